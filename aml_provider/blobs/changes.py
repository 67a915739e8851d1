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
from itertools import compress, repeat
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

from aml_provider.blobs.cursor import Cursor, Difference
from aml_provider.blobs.pages import Draft, Known, pieces
from aml_provider.blobs.rules import Counts, iso_dates, iso_hours, settled_until

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from aml_provider.blobs.cursor import Chunk
    from aml_provider.blobs.folder import Folder
    from aml_provider.blobs.listing import Page, Row
    from aml_provider.blobs.rules import Rules

__all__ = ["Change", "Detection", "FolderState", "Scan"]


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
    pages: tuple[Known, ...]

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
        self._pages: tuple[Known, ...] = tuple(Known(None, chunk) for chunk in cursor.chunks) if cursor else ()

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


_Candidate = tuple[str, "Row", int, int]
"""A new version that the rules let through: last_modified, its row, number of its draft, position in it.

In this order candidates are taken: the oldest first, then by name.
"""


def _name(candidate: _Candidate) -> bytes:
    return candidate[1][0]


class Scan:
    """One poll: pages in listing order, then :meth:`finish`."""

    def __init__(self, folder: Folder, rules: Rules, pages: tuple[Known, ...], *, first: bool) -> None:
        self._folder, self._rules, self._pages = folder, rules, pages
        self._first = first
        self._silent = first and not rules.report_first
        self._wanted = re.compile("|".join(map(fnmatch.translate, rules.patterns))).match if rules.patterns else None
        self._repeatable = {page.digest: page for page in pages if page.digest is not None and page.final}
        self._repeated: set[bytes] = set()
        self._order: list[Known | int] = []  # pages as before, or the number of a draft
        self._drafts: list[Draft] = []
        self._decided: set[int] | None = None  # versions of the cursor, built for the first page that has to be parsed
        self._candidates: list[_Candidate] = []
        self._last: _Candidate | None = None  # no candidate after this one can be among the first max_changes
        self._zero: list[tuple[int, int, Row, bool, str | None]] = []  # draft, position, row, known, date
        self._prefixes: set[bytes] = set()
        self._folder_names: set[bytes] = set()
        self._markers_open = False
        self._counts = Counts()

    def repeat(self, digest: bytes) -> bool:
        """Take a page for one that was seen before; False when it has to be parsed and added.

        Only one of which nothing can be decided otherwise this time: no version in it waits for its time or its turn,
        and no new empty blob of an earlier page may have its sub-folder in it.
        """
        page = None if self._markers_open else self._repeatable.get(digest)
        if page is None or digest in self._repeated:
            return False
        self._repeated.add(digest)
        self._order.append(page)
        return True

    def add(self, digest: bytes, page: Page, date: str | None) -> Iterator[None]:
        """Compare a page.

        Args:
            digest: Of the page's bytes.
            page: What it says.
            date: The server's ``Date`` header of the page; needed only for ``settle``.

        Yields:
            Where others may go first.
        """
        rows, rules, counts = page.rows, self._rules, self._counts
        number = len(self._drafts)
        draft = Draft(digest, len(page.prefixes))
        self._drafts.append(draft)
        self._order.append(number)
        self._prefixes.update(page.prefixes)
        self._folder_names.update(page.directories)
        decided = yield from self._known_versions()
        empty = [i for i, row in enumerate(rows) if row[3] == b"0"]
        fresh: Sequence[int] = () if self._silent else range(len(rows))
        if decided:
            draft.remember(rows)
            yield
            fresh = [i for i, version in enumerate(draft.versions) if version not in decided]
        if self._silent:
            counts.remembered += len(rows) - len(empty)
        else:
            counts.unchanged += len(rows) - len(fresh)
        if empty:
            unknown = set(fresh)
            for i in empty:
                known = i not in unknown
                if known and not self._silent:
                    counts.unchanged -= 1  # until it is clear that it is no directory marker
                self._zero.append((number, i, rows[i], known, date))
                self._markers_open |= not known and not rules.ignore_empty
            fresh = sorted(unknown.difference(empty))
        if fresh:
            self._judge(number, fresh, rows, date)
            if len(self._candidates) > 2 * rules.max_changes:
                self._trim()
        if not decided:
            # With nothing to compare them with, the versions of what waits need not be known.
            yield
            draft.remember(rows)

    def _judge(self, number: int, new: Sequence[int], rows: Sequence[Row] | dict[int, Row], date: str | None) -> None:
        """Let the rules decide on new versions of one page: where they are in it, and its rows by position."""
        counts, rules, wanted, draft = self._counts, self._rules, self._wanted, self._drafts[number]
        left = new
        if rules.settle:
            latest = settled_until(date, rules.settle)
            left = [
                i for i, written in zip(new, iso_dates([rows[i][1] for i in new]), strict=True) if written <= latest
            ]
            counts.unsettled += len(new) - len(left)
            draft.hold(set(new).difference(left))
        if wanted is not None:
            names = [rows[i][0].rpartition(b"/")[2].decode("utf-8", "replace") for i in left]
            fits = [wanted(name) is not None for name in names]
            counts.filtered += fits.count(False)
            left = [*compress(left, fits)]
        if self._last is not None:
            end, last = self._last[:2]
            # Most are told by their hour, which takes a third of the time.
            hours = zip(left, iso_hours([rows[i][1] for i in left]), strict=True)
            soon = [i for i, hour in hours if hour <= end[: len(hour)]]
            dates = zip(soon, iso_dates([rows[i][1] for i in soon]), strict=True)
            soon = [i for i, written in dates if written < end or (written == end and rows[i] <= last)]
            counts.held += len(left) - len(soon)
            draft.hold(set(left).difference(soon))
            left = soon
        found = [rows[i] for i in left]
        self._candidates += zip(iso_dates([row[1] for row in found]), found, repeat(number), left)
        draft.found += left

    def _trim(self) -> None:
        """Keep only candidates that can be reported, so that a first listing of millions stays small."""
        most = self._rules.max_changes
        if len(self._candidates) > most:
            self._candidates.sort()
            self._counts.held += len(self._candidates) - most
            for _, _, number, position in self._candidates[most:]:
                self._drafts[number].hold((position,))
            del self._candidates[most:]
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

    def finish(self) -> Generator[None, None, Detection]:
        """Close the listing.

        Yields:
            Where others may go first.

        Returns:
            What changed.
        """
        counts = self._counts
        self._settle_empty()
        self._trim()
        gone = [draft.reported() for draft in self._drafts]
        older = yield from self._older(gone)
        changes = self._changes(older)
        counts.modified = sum(change["change"] == "modified" for change in changes) if older else 0
        counts.added = len(changes) - counts.modified
        pages = []
        for entry in self._order:
            page = entry if isinstance(entry, Known) else self._drafts[entry].close(older)
            pages.append(page)
            counts.listed += page.listed
            counts.folders += page.folders
            if isinstance(entry, Known):
                counts.empty += page.empty
                counts.markers += page.markers
                counts.unchanged += page.listed - page.empty - page.markers
        back = ((older[name], name) for _, names in gone for name in names if name in older) if older else ()
        undo = Difference(Cursor(gone), Cursor.of(back))
        return Detection(changes, Cursor(page.chunk for page in pages), undo, counts, self._first, tuple(pages))

    def _changes(self, older: dict[int, int]) -> list[Change]:
        """What is reported, ordered by name."""
        container_url, _, datastore = self._folder
        drafts = self._drafts
        return [
            {
                "datastore": datastore,
                "container_url": container_url,
                "path": (path := name.decode("utf-8", "replace")),
                "name": path.rpartition("/")[2],
                "etag": etag.decode(),
                "last_modified": modified,
                "size": int(size),
                "change": "modified" if older and drafts[number].names[i] in older else "added",
            }
            for modified, (name, _, etag, size), number, i in sorted(self._candidates, key=_name)
        ]

    def _unrepeated(self) -> Iterator[Known]:
        # A blob of a page that is as before is on no other page, since the listing is ordered by name.
        return (page for page in self._pages if page.digest is None or page.digest not in self._repeated)

    def _known_versions(self) -> Generator[None, None, set[int]]:
        if self._decided is None:
            decided: set[int] = set()
            for page in self._unrepeated():
                for versions, _ in pieces(page.chunk):
                    decided.update(versions)
                    yield
            self._decided = decided
        return self._decided

    def _older(self, reported: Iterable[Chunk]) -> Generator[None, None, dict[int, int]]:
        """Find the cursor's version of each name that is reported or open."""
        pages = list(self._unrepeated())
        if not pages:
            return {}
        names = {name for _, chunk in reported for name in chunk}
        names.update(draft.names[i] for draft in self._drafts for i in draft.open)
        if not names:
            return {}
        found: dict[int, int] = {}
        for page in pages:
            for piece in pieces(page.chunk):
                found.update((n, v) for v, n in zip(*piece, strict=True) if n in names)
                yield
        return found
