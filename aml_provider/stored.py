"""What this package stored and reads back. Meanwhile somebody may have edited it, or it was cut off."""

from __future__ import annotations

import json
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_type_hints

from aml_provider.client.errors import AzureMLError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Slot", "StoredRecordDamaged", "made", "parse", "reading"]

T = TypeVar("T")

# What reading anything at all may raise: text that is none, JSON that is nested too deeply, numbers without an end.
_DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class Slot(Protocol):
    """A place for one text that survives a crash. Converted to text it names itself, for people."""

    def load(self) -> str | None:
        """Read the text; None only when there is certainly none."""

    def save(self, text: str) -> None:
        """Replace the text; when this returns, it is stored.

        Raises:
            RuntimeError: It cannot be read back.
        """

    def delete(self) -> None:
        """Delete the text, if there is one."""


class StoredRecordDamaged(AzureMLError):
    """A record that this package stored cannot be read; the message says which, and what to delete.

    It is never taken for an absent one: that would submit a second run, or create a second schedule.
    """

    permanent = True


@contextmanager
def reading(refuse: Callable[[str], Exception]) -> Iterator[None]:
    """Turn everything that damage causes into one error.

    Args:
        refuse: Makes it of what is wrong.
    """
    try:
        yield
    except _DAMAGE as error:
        told = refuse(f"{type(error).__name__}: {str(error)[:200]}")
        # Those who are within have said it already.
        raise (error if isinstance(error, type(told)) else told) from None


def parse(text: str | bytes) -> Any:
    """Read JSON; what is no number in JSON is none here either.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    return json.loads(text, parse_constant=_no_number)


def made(kind: Callable[..., T], fields: Any) -> T:
    """Make a named tuple of what was stored of it; what a later version stored in addition is left out.

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


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
