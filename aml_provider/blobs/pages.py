"""A known page of a folder's listing, and a page that is being compared."""

from __future__ import annotations

from array import array
from hashlib import blake2b
from itertools import compress
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from aml_provider.blobs.cursor import Chunk

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
    """A parsed page of the poll under way.

    Args:
        digest: The digest of its bytes.
        names: The names of its blobs, in their order.
        folders: How many sub-folders it lists.

    Attributes:
        open: For each blob 1 if its version is not decided yet, else 0: a byte each, as all blobs of a folder of
            millions may have to wait.
        found: The positions of candidates; those that are not open are reported.
        waits: Whether some of them can be decided though the page's bytes stay the same.
    """

    def __init__(self, digest: bytes, names: Sequence[bytes], folders: int) -> None:
        self.digest = digest
        self.first, self.last = (names[0], names[-1]) if names else (b"", b"")
        self.versions, self.names = array("Q"), array("I")
        self.open = bytearray(len(names))
        self.found: list[int] = []
        self.waits = False
        self.empty = self.markers = self.records = 0
        self.folders = folders

    def remember(self, names: Sequence[bytes], etags: Sequence[bytes]) -> None:
        """Hash the versions of all blobs, except the open ones, which a later poll compares again."""
        size = len(names)
        if 1 not in self.open:
            self.versions = array("Q", _hashes(names, etags))
            self.names = array("I", map(crc32, names))
            return
        self.versions, self.names = array("Q", bytes(8 * size)), array("I", bytes(4 * size))
        positions = [*compress(range(size), self._decided())]
        hashes = array("Q", _hashes([names[i] for i in positions], [etags[i] for i in positions]))
        for i, version in zip(positions, hashes, strict=True):
            self.versions[i] = version
            self.names[i] = crc32(names[i])

    def hold(self, positions: Iterable[int], *, but: Iterable[int] = ()) -> None:
        """Leave versions to a later poll, which compares them again.

        Args:
            positions: The versions; of those in ``but``, none is open.
            but: The versions among them that are not left.
        """
        before = self.open.count(1)
        if isinstance(positions, range) and len(positions) == len(self.open):
            self.open = bytearray(b"\1") * len(positions)
        else:
            for i in positions:
                self.open[i] = 1
        for i in but:
            self.open[i] = 0
        self.waits |= self.open.count(1) > before

    def open_names(self) -> Iterator[int]:
        """The name hashes of the open versions."""
        return compress(self.names, self.open)

    def reported(self) -> Chunk:
        """The versions of this page that are reported."""
        versions, names = self.versions, self.names
        positions = self.found
        if 1 in self.open:
            positions = [i for i in positions if not self.open[i]]
        elif len(positions) == len(versions):
            return versions, names
        return array("Q", [versions[i] for i in positions]), array("I", [names[i] for i in positions])

    def close(self, older: dict[int, int]) -> KnownPage:
        """The page as it is known after the poll: each open version is replaced by its older one, if there is one."""
        listed = len(self.versions)
        versions, names = self.versions, self.names
        if 1 in self.open:
            if older:
                kept = [i for i in range(listed) if not self.open[i] or names[i] in older]
                versions = array("Q", [older[names[i]] if self.open[i] else versions[i] for i in kept])
                names = array("I", [names[i] for i in kept])
            else:
                versions = array("Q", compress(versions, self._decided()))
                names = array("I", compress(names, self._decided()))
        counts = (listed, self.empty, self.markers, self.records, self.folders)
        return KnownPage(self.digest, (versions, names), not self.waits, self.first, self.last, *counts)

    def _decided(self) -> bytearray:
        """The opposite of :attr:`open`."""
        return self.open.translate(_OPPOSITE)


_OPPOSITE = bytes([1]) + bytes(255)
_UNUSED = blake2b(digest_size=8)


def _hashes(names: Iterable[bytes], etags: Iterable[bytes]) -> bytes:
    """Hash versions: 64 bits of each name with its ETag."""
    unused = _UNUSED.copy  # takes half the time of a new one
    hashes = []
    for version in map(b"\0".join, zip(names, etags, strict=True)):
        blake = unused()
        blake.update(version)
        hashes.append(blake.digest())
    return b"".join(hashes)


def pieces(chunk: Chunk) -> Iterator[Chunk]:
    """Split a chunk into pieces; between two pieces an event loop can run other tasks."""
    versions, names = chunk
    for at in range(0, len(versions), _PIECE):
        yield versions[at : at + _PIECE], names[at : at + _PIECE]
