"""Reads back texts that this package has stored. Somebody may have edited them since, or they were cut off."""

from __future__ import annotations

import json
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_type_hints

from aml_provider.client.errors import AzureMLError
from aml_provider.client.help import Helped, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

# The errors of reading arbitrary data: bytes that are not text, JSON that is nested too deeply, endless numbers.
_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Slot(Protocol):
    """A place for one text that survives a crash. ``str(slot)`` describes the place, for messages."""

    def load(self) -> str | None:
        """Read the text. Returns None only if it is certain that none is stored."""

    def save(self, text: str) -> None:
        """Replace the text; when this returns, it is stored.

        Raises:
            StorageError: It cannot be read back.
        """

    def delete(self) -> None:
        """Delete the text, if there is one."""


class StoredRecordDamaged(AzureMLError):
    """A stored text of this package cannot be read; the message says which one, and what to delete.

    A damaged text never counts as absent: that would submit a second run, or create a second schedule.
    """

    permanent = True


class StorageError(Helped, RuntimeError):
    """Airflow's storage (a Variable) cannot be read, or does not keep what is written to it.

    The error is temporary, or goes away when a person changes the configuration.
    """


class CursorUnreadable(ValueError):
    """A stored cursor is damaged, or of a newer format.

    It never counts as absent, because that would silently skip every change since it was written.
    """


def damaged(problem: str) -> CursorUnreadable:
    """The error for a damaged cursor, or a damaged record that holds one."""
    return CursorUnreadable(f"The stored record is damaged: {problem}")


@contextmanager
def reading(refuse: Callable[[str], Exception]) -> Iterator[None]:
    """Turn each error that damaged data causes into the one that ``refuse`` makes from a description of the problem."""
    try:
        yield
    except _DAMAGE as error:
        damage = refuse(f"{type(error).__name__}: {text_of(error)[:200]}")
        # An inner reading() may have made this error already.
        raise (error if isinstance(error, type(damage)) else damage) from None


def parse(text: str | bytes) -> Any:
    """Read strict JSON: Python's ``NaN`` and ``Infinity`` are refused.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_constant=_refuse_constant)


def made(kind: Callable[..., T], fields: Any) -> T:
    """Make a named tuple from its stored fields; fields that a later version of this package has added are ignored.

    Raises:
        TypeError: A value has another type, or is missing.
    """
    hints = get_type_hints(kind)
    known = {name: value for name, value in dict(fields).items() if name in hints}
    for name, value in known.items():
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        fits = is_number and isfinite(value) if hints[name] is float else isinstance(value, hints[name])
        if not fits or (hints[name] is int and not is_number):
            raise TypeError(f"{name} is {value!r:.80}")
    return kind(**known)


def overridden(key: str) -> StorageError:
    """The error for a Variable whose written value cannot be read back."""
    return StorageError(
        f"The Variable {key} was written, but does not read as written: a secrets backend or the environment overrides "
        "it. Remove it there"
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
