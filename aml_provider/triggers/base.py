"""The base of all triggers; it accepts arguments that another version of this package has stored.

During a rolling upgrade or downgrade, two versions run at the same time.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import TriggerEvent

from aml_provider.deadlines import FIRED_AT

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)


class StoredTrigger:
    """Makes its subclasses tolerate arguments that another version of them has stored.

    If the class of a trigger refuses an argument, Airflow fails the trigger and its task, without checking the run. So
    unknown arguments are left out, with a warning. An author's misspelt argument is still a ``TypeError``: a stored
    trigger has each of its arguments, since ``serialize`` writes them all, whereas an author leaves out at least the
    misspelt one. This holds as long as no released argument is ever removed.

    A class that sets ``_path`` is stored under this path, with its constructor's arguments; these must be attributes.
    """

    _path: ClassVar[str]
    _stored: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "_path" in vars(cls):
            cls._stored = tuple(inspect.signature(cls).parameters)
        if "__init__" in vars(cls):
            cls.__init__ = _lenient(cls.__init__)  # type: ignore[method-assign]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class's path and its arguments, for Airflow's database."""
        return self._path, {name: getattr(self, name) for name in self._stored}

    def check_times(self) -> None:
        """Check what the constructor must not check, because an error there would end the whole triggerer.

        Raises:
            InvalidArgument: The stored poll interval or deadline makes no sense.
        """
        from aml_provider.durations import in_seconds

        stored: Any = self
        in_seconds("poll_interval", stored.poll_interval, minimum=0.1)
        if stored.deadline is not None:
            in_seconds("deadline", stored.deadline)

    def event(self, **facts: Any) -> TriggerEvent:
        """Make an event of these facts, the deadline and the triggerer's time."""
        stored: Any = self
        return TriggerEvent({**facts, "deadline": stored.deadline, FIRED_AT: time.time()})


def retry_after(error: Exception) -> dict[str, float]:
    """The seconds after which the service accepts the next request, as a fact of an event; empty if it did not say.

    The task fails with this error on a worker, where a retry policy reads it
    (:mod:`aml_provider.retry_policies`).
    """
    seconds: float | None = getattr(error, "retry_after", None)
    return {} if seconds is None else {"retry_after": seconds}


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
            # Airflow fails this one trigger for a TypeError; any other error ends the whole triggerer.
            raise TypeError(str(error)) from error

    return wrapper
