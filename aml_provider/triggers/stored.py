"""Triggers outlive the version of this package that stored them: upgrades and downgrades are rolling."""

from __future__ import annotations

import functools
import inspect
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

#: Says among a trigger's arguments that they come out of Airflow's database, where no author has misspelt them.
STORED = "stored"


class StoredTrigger:
    """Makes the triggers below it take arguments that another version has stored and this one does not know.

    Airflow fails a trigger whose class refuses an argument, and with it the task, without looking at its run. So what
    is unknown is left out, with a warning. An author's misspelt argument is still a ``TypeError``: what ``serialize``
    gives carries :data:`STORED`, what an author writes does not.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            cls.__init__ = _lenient(cls.__init__)  # type: ignore[method-assign]
        if "serialize" in vars(cls):
            cls.serialize = _labelled(cls.serialize)  # type: ignore[attr-defined]


def _lenient(init: Callable[..., None]) -> Callable[..., None]:
    parameters = inspect.signature(init).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())

    @functools.wraps(init)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        if takes_all or not kwargs.pop(STORED, False):
            init(self, *args, **kwargs)
            return
        unknown = sorted(kwargs.keys() - parameters.keys())
        if unknown:
            log.warning(
                "A stored %s has arguments that this version of airflow-provider-azureml does not know; they are "
                "ignored: %s. Is another version installed on other machines?",
                type(self).__name__,
                ", ".join(unknown),
            )
        try:
            init(self, *args, **{name: value for name, value in kwargs.items() if name in parameters})
        except (ValueError, RuntimeError) as error:
            # The one error that Airflow takes for this trigger's; any other one ends the whole triggerer.
            raise TypeError(str(error)) from error

    return wrapper


def _labelled(serialize: Callable[..., tuple[str, dict[str, Any]]]) -> Callable[..., tuple[str, dict[str, Any]]]:
    @functools.wraps(serialize)
    def wrapper(self: Any) -> tuple[str, dict[str, Any]]:
        path, arguments = serialize(self)
        return path, {**arguments, STORED: True}

    return wrapper
