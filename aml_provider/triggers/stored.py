"""Triggers outlive the version of this package that stored them: upgrades and downgrades are rolling."""

from __future__ import annotations

import functools
import inspect
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class StoredTrigger:
    """Makes the triggers below it take arguments that another version has stored and this one does not know.

    Airflow fails a trigger whose class refuses an argument, and with it the task, without looking at its run. So what
    is unknown is left out, with a warning. An author's misspelt argument is still a ``TypeError``: a stored trigger has
    each of its arguments, since ``serialize`` gives them all, whereas an author leaves out at least the one that he
    misspelt. This holds as long as no argument of a release is ever taken away.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _lenient(cls.__init__)  # type: ignore[method-assign]


def _lenient(init: Callable[..., None]) -> Callable[..., None]:
    _, *parameters = inspect.signature(init).parameters.values()
    known = {parameter.name for parameter in parameters}
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)

    @functools.wraps(init)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        unknown = sorted(kwargs.keys() - known)
        if takes_all or not unknown or not known <= kwargs.keys():
            init(self, *args, **kwargs)
            return
        log.warning(
            "A stored %s has arguments that this version of airflow-provider-azureml does not know; they are ignored: "
            "%s. Is another version installed on other machines?",
            type(self).__name__,
            ", ".join(unknown),
        )
        try:
            init(self, *args, **{name: kwargs[name] for name in known})
        except (ValueError, RuntimeError) as error:
            # The one error that Airflow takes for this trigger's; any other one ends the whole triggerer.
            raise TypeError(str(error)) from error

    return wrapper
