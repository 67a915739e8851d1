"""Errors of this package that are Airflow's ``AirflowFailException`` too: each fails its task without a retry.

One exception is both, so that a task's log shows one traceback, and code may catch it by either class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.compat import AirflowFailException

if TYPE_CHECKING:
    from aml_provider.client.errors import AzureMLError

# The class that is made for each class of errors.
_KINDS: dict[type[AzureMLError], type[AzureMLError]] = {}


def fail_error(error: AzureMLError) -> AzureMLError:
    """Make an error with the text, the attributes and the class of this one, which is also an AirflowFailException."""
    return _restored(type(error), error.args, error.__dict__)


def _restored(kind: type[AzureMLError], args: tuple[object, ...], attributes: dict[str, Any]) -> AzureMLError:
    both = _both(kind)
    restored = both.__new__(both, *args)
    restored.__dict__.update(attributes)
    return restored


def _both(kind: type[AzureMLError]) -> type[AzureMLError]:
    if kind not in _KINDS:
        _KINDS[kind] = _make_both(kind)
    return _KINDS[kind]


def _make_both(kind: type[AzureMLError]) -> type[AzureMLError]:
    class Both(kind, AirflowFailException):  # type: ignore[valid-type, misc]
        def __reduce__(self) -> tuple[object, ...]:
            # In another process the class has to be made first.
            return _restored, (kind, self.args, self.__dict__)

        def serialize(self) -> tuple[str, tuple[str], dict[str, Any]]:
            """The form in which Airflow passes its own exceptions between processes: a class and one text."""
            return f"{AirflowFailException.__module__}.{AirflowFailException.__name__}", (str(self),), {}

    # In logs it has the name that the documentation has.
    Both.__name__, Both.__qualname__ = kind.__name__, kind.__qualname__
    Both.__module__, Both.__doc__ = kind.__module__, kind.__doc__
    return Both
