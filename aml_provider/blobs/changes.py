"""What changed in a folder: a listing and a cursor go in, changes and a new cursor come out. No I/O, no clock.

A blob version is a name with an ETag. A version has changed when the cursor does not hold it; no time takes part in
that, because a high-water mark loses writes within one second, writes behind the listing's position and renames. The
cursor holds each listed version that was decided: reported, or refused by the pattern. A version that is not decided
yet (too young, empty, or beyond ``max_changes``) stays out and comes up again; until then the cursor keeps the name's
older version, so that an overwritten blob is "modified" whenever its turn comes.
"""

from __future__ import annotations

import fnmatch
import re
from array import array
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict
from zlib import crc32

from aml_provider.blobs.cursor import Cursor, Difference
from aml_provider.blobs.rules import Counts, age, iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from aml_provider.blobs.cursor import Chunk
    from aml_provider.blobs.folder import Folder, Page, Row
    from aml_provider.blobs.rules import Rules

__all__ = ["Change", "Detection", "FolderState", "Scan"]

_Digest = tuple[int, int]


class Change(TypedDict):
    """One added or modified blob, as a task hands it on; it works as a data path as it is."""

    datastore: str | None
    container_url: str
    path: str
    name: str
    etag: str
    last_modified: str
    size: int
    change: Literal["added", "modified"]


class _Known(NamedTuple):
    """A page that was listed before, or (without a digest) all that a decoded cursor holds."""

    digest: _Digest | None
    chunk: Chunk
    final: bool = False  # nothing in it can be decided otherwise while its bytes stay the same
    listed: int = 0
    empty: int = 0
    markers: int = 0
    folders: int = 0


class Detection(NamedTuple):
    """The result of one poll.

    Attributes:
        changes: What is reported, ordered by name.
        cursor: What is known once the changes are handed over.
        undo: Takes the cursor back to where none of the changes was reported yet.
        counts: The arithmetic, for the log.
        first: There was no cursor before.
        pages: For :meth:`FolderState.accept`.
    """

    changes: list[Change]
    cursor: Cursor
    undo: Difference
    counts: Counts
    first: bool
    pages: tuple[_Known, ...]

    @property
    def must_save(self) -> bool:
        """Something was decided that a later process has to know, though there may be nothing to report.

        Names that are gone do not count: keeping them longer harms nobody.
        """
        return self.first or bool(self.changes or self.counts.filtered)


class FolderState:
    """What a process knows about one folder between polls: 12 bytes per blob and a digest per page."""

    __slots__ = ("_first", "_pages", "folder", "rules")

    def __init__(self, folder: Folder, rules: Rules, cursor: Cursor | None) -> None:
        self.folder = folder
        self.rules = rules
        self._first = cursor is None
        self._pages: tuple[_Known, ...] = tuple(_Known(None, chunk) for chunk in cursor.chunks) if cursor else ()

    @property
    def cursor(self) -> Cursor | None:
        """What is decided so far; None before the first accepted poll."""
        return None if self._first else Cursor(page.chunk for page in self._pages)

    def scan(self) -> Scan:
        """Begin a poll; nothing moves before :meth:`accept`."""
        return Scan(self.folder, self.rules, self._pages, first=self._first)

    def accept(self, detection: Detection) -> None:
        """Go on from a poll's result: its changes are handed over, and stored if they have to be."""
        self._pages = detection.pages
        self._first = False


class _Draft:
    """A parsed page of the poll under way."""

    __slots__ = ("digest", "empty", "folders", "markers", "names", "open", "versions", "waits")

    def __init__(self, digest: _Digest, rows: Sequence[Row], folders: int) -> None:
        self.digest = digest
        self.versions = array("Q", b"".join([_version(name, etag) for name, _, etag, _ in rows]))
        self.names = array("I", [crc32(row[0]) for row in rows])
        self.open: set[int] = set()  # positions of versions that are not decided
        self.waits = False  # some of them will be decided without a change of the page's bytes
        self.empty = self.markers = 0
        self.folders = folders

    def close(self, older: dict[int, int]) -> _Known:
        """Leave out what is open; a name among it that was known keeps its older version."""
        listed = len(self.versions)
        versions, names = self.versions, self.names
        if self.open:
            versions, names = array("Q"), array("I")
            for position, (version, name) in enumerate(zip(self.versions, self.names, strict=True)):
                kept = older.get(name) if position in self.open else version
                if kept is not None:
                    versions.append(kept)
                    names.append(name)
        return _Known(self.digest, (versions, names), not self.waits, listed, self.empty, self.markers, self.folders)


def _version(name: bytes, etag: bytes) -> bytes:
    return blake2b(name + b"\0" + etag, digest_size=8).digest()


_Candidate = tuple[str, bytes, bytes, bytes, int, int]
"""A new version that the rules let through: last_modified, name, ETag, size, number of its draft, position in it.

In this order candidates are taken: the oldest first, then by name.
"""


class Scan:
    """One poll: pages in listing order, then :meth:`finish`."""

    def __init__(self, folder: Folder, rules: Rules, pages: tuple[_Known, ...], *, first: bool) -> None:
        self._folder, self._rules, self._pages = folder, rules, pages
        self._first = first
        self._silent = first and not rules.report_first
        self._wanted = re.compile("|".join(map(fnmatch.translate, rules.patterns))).match if rules.patterns else None
        self._repeatable = {page.digest: page for page in pages if page.digest is not None and page.final}
        self._repeated: set[_Digest] = set()
        self._order: list[_Known | int] = []  # pages as before, or the number of a draft
        self._drafts: list[_Draft] = []
        self._decided: set[int] | None = None  # versions of the cursor, built for the first page that has to be parsed
        self._candidates: list[_Candidate] = []
        self._last: _Candidate | None = None  # no candidate after this one can be among the first max_changes
        self._zero: list[tuple[int, int, Row, bool, str | None]] = []  # draft, position, row, known, date
        self._prefixes: set[bytes] = set()
        self._folder_names: set[bytes] = set()
        self._markers_open = False
        self._counts = Counts()

    def repeat(self, digest: _Digest) -> bool:
        """Take a page for one that was seen before; False when it has to be parsed and added.

        Only a page of which nothing can be decided otherwise this time is taken: no version in it waits for its time or
        its turn, and no new empty blob of an earlier page may have its sub-folder in it.
        """
        page = self._repeatable.get(digest)
        if page is None or self._markers_open or digest in self._repeated:
            return False
        self._repeated.add(digest)
        self._order.append(page)
        return True

    def add(self, digest: _Digest, page: Page, date: str | None) -> None:
        """Compare a page.

        Args:
            digest: Of the page's bytes.
            page: What it says.
            date: The server's ``Date`` header of the page; needed only for ``settle``.
        """
        rows, rules, counts = page.rows, self._rules, self._counts
        number = len(self._drafts)
        draft = _Draft(digest, rows, len(page.prefixes))
        self._drafts.append(draft)
        self._order.append(number)
        self._prefixes.update(page.prefixes)
        self._folder_names.update(page.directories)
        decided = self._known_versions()
        empty = [i for i, row in enumerate(rows) if row[3] == b"0"]
        fresh: Sequence[int] = ()
        if not self._silent:
            fresh = [i for i, v in enumerate(draft.versions) if v not in decided] if decided else range(len(rows))
        if self._silent:
            counts.remembered += len(rows) - len(empty)
        else:
            counts.unchanged += len(rows) - len(fresh)
        if not (fresh or empty):
            return
        if empty:
            unknown = set(fresh)
            for i in empty:
                known = i not in unknown
                if known and not self._silent:
                    counts.unchanged -= 1  # until it is clear that it is no directory marker
                self._zero.append((number, i, rows[i], known, date))
                self._markers_open |= not known and not rules.ignore_empty
            fresh = sorted(unknown.difference(empty))
        self._judge(number, fresh, rows, date)
        if len(self._candidates) > 2 * rules.max_changes + 10_000:
            self._trim()

    def _judge(
        self, number: int, positions: Iterable[int], rows: Sequence[Row] | Mapping[int, Row], date: str | None
    ) -> None:
        """Let the rules decide on new versions of one page."""
        draft, counts, wanted, settle = self._drafts[number], self._counts, self._wanted, self._rules.settle
        last = self._last
        for position in positions:
            name, modified, etag, size = rows[position]
            if settle and age(modified, date) < settle:
                counts.unsettled += 1
                draft.open.add(position)
                draft.waits = True
                continue
            if wanted is not None and not wanted(name.rpartition(b"/")[2].decode(errors="replace")):
                counts.filtered += 1
                continue
            draft.open.add(position)  # until it is known to be reported
            stamp = iso(modified)
            if last is None or (stamp, name) < last[:2]:
                self._candidates.append((stamp, name, etag, size, number, position))
            else:
                counts.held += 1
                draft.waits = True

    def _trim(self) -> None:
        """Keep only candidates that can be reported, so that a first listing of millions stays small."""
        self._candidates.sort()
        for late in self._candidates[self._rules.max_changes :]:
            self._drafts[late[4]].waits = True
            self._counts.held += 1
        del self._candidates[self._rules.max_changes :]
        if len(self._candidates) == self._rules.max_changes:
            self._last = self._candidates[-1]

    def _settle_empty(self) -> None:
        """Decide on empty blobs, now that every sub-folder is known."""
        counts = self._counts
        prefix = self._folder.prefix.encode()
        for number, position, row, known, date in self._zero:
            name, draft = row[0], self._drafts[number]
            if name == prefix or name in self._folder_names or name + b"/" in self._prefixes:
                counts.markers += 1
                draft.markers += 1
                if not known and self._rules.ignore_empty and not self._silent:
                    draft.open.add(position)  # like any empty blob, whether its sub-folder is still there or not
            elif self._silent:
                counts.remembered += 1
            elif known:
                counts.unchanged += 1
            elif self._rules.ignore_empty:
                counts.empty += 1
                draft.empty += 1
                draft.open.add(position)
            else:
                self._judge(number, (position,), {position: row}, date)

    def finish(self) -> Detection:
        """Close the listing and say what changed."""
        counts = self._counts
        self._settle_empty()
        self._trim()
        reported = sorted(self._candidates, key=lambda candidate: candidate[1])
        older = self._older(reported)
        changes: list[Change] = []
        gone: list[tuple[int, int]] = []
        for modified, path, etag, size, number, position in reported:
            draft = self._drafts[number]
            draft.open.discard(position)
            name = draft.names[position]
            gone.append((draft.versions[position], name))
            changes.append(self._change(path.decode(errors="replace"), etag, modified, size, known=name in older))
        counts.modified = sum(change["change"] == "modified" for change in changes)
        counts.added = len(changes) - counts.modified
        back = {name: older[name] for _, name in gone if name in older}
        pages = []
        for entry in self._order:
            page = entry if isinstance(entry, _Known) else self._drafts[entry].close(older)
            pages.append(page)
            counts.listed += page.listed
            counts.folders += page.folders
            if isinstance(entry, _Known):
                counts.empty += page.empty
                counts.markers += page.markers
                counts.unchanged += page.listed - page.empty - page.markers
        undo = Difference(Cursor.of(gone), Cursor.of((version, name) for name, version in back.items()))
        return Detection(changes, Cursor(page.chunk for page in pages), undo, counts, self._first, tuple(pages))

    def _change(self, path: str, etag: bytes, modified: str, size: bytes, *, known: bool) -> Change:
        return {
            "datastore": self._folder.datastore,
            "container_url": self._folder.container_url,
            "path": path,
            "name": path.rpartition("/")[2],
            "etag": etag.decode(),
            "last_modified": modified,
            "size": int(size),
            "change": "modified" if known else "added",
        }

    def _unrepeated(self) -> Iterator[_Known]:
        # A blob of a page that is as before is on no other page, since the listing is ordered by name.
        return (page for page in self._pages if page.digest is None or page.digest not in self._repeated)

    def _known_versions(self) -> set[int]:
        if self._decided is None:
            self._decided = set()
            for page in self._unrepeated():
                self._decided.update(page.chunk[0])
        return self._decided

    def _older(self, reported: Iterable[_Candidate]) -> dict[int, int]:
        """Find the cursor's version of each name that is open or reported."""
        pages = list(self._unrepeated())
        if not pages:
            return {}
        names = {draft.names[i] for draft in self._drafts for i in draft.open}
        names.update(self._drafts[item[4]].names[item[5]] for item in reported)
        if not names:
            return {}
        return {n: v for page in pages for v, n in zip(*page.chunk, strict=True) if n in names}
