"""A known page of a folder's listing, and a page that is being compared."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aml_provider.blobs.cursor import Chunk
    from aml_provider.blobs.page_parser import Row

# Takes some milliseconds to compare; a cursor that was read back is a single chunk, perhaps of a million blobs.
_PIECE = 20_000


class KnownPage(NamedTuple):
    """A page that was listed before; without a digest, the blobs of a decoded cursor, or versions that disappeared."""

    digest: bytes | None
    chunk: Chunk
    final: bool = False  # while its bytes stay the same, so do the decisions about it
    first: bytes = b""  # the names of its first and last blob
    last: bytes = b""
    listed: int = 0
    empty: int = 0
    markers: int = 0
    records: int = 0
    folders: int = 0


class Draft:
    """A parsed page of the poll under way."""

    def __init__(self, digest: bytes, rows: Sequence[Row], folders: int) -> None:
        self.digest = digest
        self.first, self.last = (rows[0][0], rows[-1][0]) if rows else (b"", b"")
        self.versions, self.names = array("Q"), array("I")
        self.open: set[int] = set()  # positions of versions that are not decided yet
        self.found: list[int] = []  # positions of candidates; those that are not open are reported
        self.waits = False  # some of them can be decided though the page's bytes stay the same
        self.empty = self.markers = self.records = 0
        self.folders = folders

    def remember(self, rows: Sequence[Row]) -> None:
        """Hash the versions of all rows, except the open ones, which a later poll compares again."""
        if not self.open:
            self.versions = array("Q", b"".join(_hashes(rows)))
            self.names = array("I", [crc32(row[0]) for row in rows])
            return
        self.versions, self.names = array("Q", bytes(8 * len(rows))), array("I", bytes(4 * len(rows)))
        positions = [i for i in range(len(rows)) if i not in self.open]
        for i, version in zip(positions, array("Q", b"".join(_hashes(rows[i] for i in positions))), strict=True):
            self.versions[i] = version
            self.names[i] = crc32(rows[i][0])

    def hold(self, positions: Iterable[int]) -> None:
        """Leave versions to a later poll, which compares them again."""
        before = len(self.open)
        self.open.update(positions)
        self.waits |= len(self.open) > before

    def reported(self) -> Chunk:
        """The versions of this page that are reported."""
        versions, names = self.versions, self.names
        positions = self.found
        if self.open:
            positions = [i for i in positions if i not in self.open]
        elif len(positions) == len(versions):
            return versions, names
        return array("Q", [versions[i] for i in positions]), array("I", [names[i] for i in positions])

    def close(self, older: dict[int, int]) -> KnownPage:
        """The page as it is known after the poll: each open version is replaced by its older one, if there is one."""
        listed = len(self.versions)
        versions, names = self.versions, self.names
        if self.open:
            kept = [i for i in range(listed) if i not in self.open or names[i] in older]
            versions = array("Q", [older[names[i]] if i in self.open else versions[i] for i in kept])
            names = array("I", [names[i] for i in kept])
        counts = (listed, self.empty, self.markers, self.records, self.folders)
        return KnownPage(self.digest, (versions, names), not self.waits, self.first, self.last, *counts)


_UNUSED = blake2b(digest_size=8)


def _hashes(rows: Iterable[Row]) -> Iterator[bytes]:
    """Hash versions: 64 bits of each name with its ETag."""
    unused = _UNUSED.copy  # takes half the time of a new one
    for name, _, etag, _ in rows:
        blake = unused()
        blake.update(name + b"\0" + etag)
        yield blake.digest()


def pieces(chunk: Chunk) -> Iterator[Chunk]:
    """Split a chunk into pieces; between two pieces an event loop can run other tasks."""
    versions, names = chunk
    for at in range(0, len(versions), _PIECE):
        yield versions[at : at + _PIECE], names[at : at + _PIECE]
