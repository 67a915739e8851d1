"""The cursor of a folder: the blob versions that no later poll has to consider again, in 12 bytes each."""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from aml_provider.stored import CursorUnreadable

if TYPE_CHECKING:
    from collections.abc import Iterable

Chunk = tuple["array[int]", "array[int]"]
"""Version hashes (8 bytes) and name hashes (4 bytes) of the same blobs, in listing order."""

_FORMAT = "1"
_ENTRY = 12


class Cursor:
    """An immutable set of entries, each a 64-bit hash of name and ETag with a 32-bit hash of the name.

    A hash collision hides a new version with probability n / 2^64 (5e-14 in a folder of a million blobs), and reports
    an added blob as modified with probability n / 2^32. As text an entry takes 16 bytes.
    """

    __slots__ = ("chunks",)

    def __init__(self, chunks: Iterable[Chunk] = ()) -> None:
        self.chunks: tuple[Chunk, ...] = tuple(chunks)

    @classmethod
    def of(cls, entries: Iterable[tuple[int, int]]) -> Cursor:
        """Make a cursor of (version hash, name hash) pairs."""
        pairs = list(entries)
        return cls([(array("Q", [version for version, _ in pairs]), array("I", [name for _, name in pairs]))])

    def __len__(self) -> int:
        return sum(len(versions) for versions, _ in self.chunks)

    def entries(self) -> Iterable[tuple[int, int]]:
        """The (version hash, name hash) pairs."""
        return chain.from_iterable(zip(versions, names, strict=True) for versions, names in self.chunks)

    def apply(self, difference: Difference) -> Cursor:
        """Remove the entries of ``difference.drop``, and add those of ``difference.restore``."""
        entries = dict.fromkeys(self.entries())
        for entry in difference.drop.entries():
            entries.pop(entry, None)
        entries.update(dict.fromkeys(difference.restore.entries()))
        return Cursor.of(entries)

    def encode(self) -> str:
        """Encode as text: format, checksum and entries."""
        versions = b"".join([chunk[0].tobytes() for chunk in self.chunks])
        packed = versions + b"".join([_little(chunk[1]).tobytes() for chunk in self.chunks])
        return f"{_FORMAT}.{crc32(packed):08x}.{b64encode(packed).decode()}"

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Read the result of :meth:`encode`.

        Raises:
            CursorUnreadable: The text is something else.
        """
        form, _, rest = text.partition(".")
        if form != _FORMAT:
            raise CursorUnreadable(f"The stored cursor has format {form[:20]!r}; this version reads {_FORMAT!r}")
        checksum, _, body = rest.partition(".")
        try:
            packed = b64decode(body, validate=True)
        except (Base64Error, ValueError) as error:
            raise CursorUnreadable(f"The stored cursor is damaged: {error}") from None
        if len(packed) % _ENTRY or checksum != f"{crc32(packed):08x}":
            raise CursorUnreadable("The stored cursor is damaged: its checksum does not match")
        split = len(packed) // _ENTRY * 8
        return cls([(array("Q", packed[:split]), _little(array("I", packed[split:])))])


class Difference(NamedTuple):
    """The difference between two cursors."""

    drop: Cursor
    restore: Cursor

    def encode(self) -> str:
        """Encode as text."""
        return f"{self.drop.encode()} {self.restore.encode()}"

    @classmethod
    def decode(cls, text: str) -> Difference:
        """Read the result of :meth:`encode`.

        Raises:
            CursorUnreadable: The text is something else.
        """
        drop, found, restore = text.partition(" ")
        if not found:
            raise CursorUnreadable("The stored difference is damaged")
        return cls(Cursor.decode(drop), Cursor.decode(restore))


def undone(cursor_text: str, undo_text: str) -> tuple[str, str]:
    """Take a batch out of a stored cursor; the undo text is the difference to the cursor without it.

    Returns:
        The cursor without the batch, and a difference that changes nothing.

    Raises:
        CursorUnreadable: A text is something else.
    """
    nothing = Difference(Cursor(), Cursor()).encode()
    return Cursor.decode(cursor_text).apply(Difference.decode(undo_text)).encode(), nothing


def _little(names: array[int]) -> array[int]:
    # Version hashes are the digest's bytes in memory order; only the numbers need one byte order for all machines.
    if sys.byteorder == "little":
        return names
    swapped = names[:]
    swapped.byteswap()
    return swapped
