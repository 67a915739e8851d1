"""What changed in a folder: a listing and a cursor go in, changes and a new cursor come out. No I/O, no clock.

A blob version is a name with an ETag. A version has changed when the cursor does not hold it; no time takes part in
that, because a high-water mark loses writes within one second, writes behind the listing's position and renames. The
cursor holds each listed version that was decided: reported, or refused by the pattern. A version that is not decided
yet (too young, empty, or beyond ``max_changes``) stays out and comes up again; until then the cursor keeps the name's
older version, so that an overwritten blob is "modified" whenever its turn comes.

A version that is not listed any more stays decided: it was handed over, and would be once more if it came back
(undeleted, renamed back, or missed by one listing). Nothing is forgotten between two writes of the cursor, so that it
does not matter whether a process goes on from what it holds or from what is stored. A write keeps the latest of those
that are gone.
"""

from __future__ import annotations

import fnmatch
import re
from array import array
from itertools import compress, repeat
from typing import TYPE_CHECKING

from aml_provider.blobs.changes import Detection
from aml_provider.blobs.cursor import Cursor, Difference
from aml_provider.blobs.pages import Draft, Known, pieces
from aml_provider.blobs.rules import Counts, iso_dates, iso_hours, settled_until
from aml_provider.client.errors import MalformedReply
from aml_provider.client.http.messages import Pause

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from aml_provider.blobs.changes import Change
    from aml_provider.blobs.cursor import Chunk
    from aml_provider.blobs.folder import Folder
    from aml_provider.blobs.page_parser import Page, Row
    from aml_provider.blobs.rules import Rules

__all__ = ["Scan"]

# Where an event loop can run other tasks.
_BREATH = Pause(0)
# How many versions that are gone a stored cursor keeps: 16 KB.
_MOST_GONE = 1000
# What the records of watched folders are called, wherever they are kept (state/blob_cursor.py).
_RECORD = re.compile(rb"azureml_cursor_(?:[A-Za-z0-9_.-]*_)?[0-9a-f]{16}\.json")
_RECORDS = b"azureml_cursor_"


_Candidate = tuple[str, "Row", int, int]
"""A new version that the rules let through: last_modified, its row, number of its draft, position in it.

In this order candidates are taken: the oldest first, then by name.
"""


def _name(candidate: _Candidate) -> bytes:
    return candidate[1][0]


def _name_of(row: Row) -> bytes:
    return row[0]


class Scan:
    """One poll: pages in listing order, then :meth:`finish`."""

    def __init__(
        self, folder: Folder, rules: Rules, pages: tuple[Known, ...], *, first: bool, keeps_gone: bool = True
    ) -> None:
        self._folder, self._rules, self._pages = folder, rules, pages
        self._prefix = folder.prefix.encode()
        self._first = first
        self._keeps_gone = keeps_gone
        self._silent = first and not rules.report_first
        self._wanted = re.compile("|".join(map(fnmatch.translate, rules.patterns))).match if rules.patterns else None
        self._repeatable = {page.digest: page for page in pages if page.digest is not None and page.final}
        self._repeated: dict[bytes | None, Known] = {}
        self._order: list[Known | int] = []  # pages as before, or the number of a draft
        self._drafts: list[Draft] = []
        self._decided: set[int] | None = None  # versions of the cursor, built for the first page that has to be parsed
        self._candidates: list[_Candidate] = []
        self._last: _Candidate | None = None  # no candidate after this one can be among the first max_changes
        self._aside: list[tuple[Draft, bytes, bool, bool]] = []  # draft, name, known, certainly a directory marker
        self._empty: set[bytes] = set()  # what a folder beside each of them would be called
        self._prefixes: set[bytes] = set()  # those of them that there are
        self._farthest = b""  # of the names listed so far
        self._overlaps = False  # a page began before it
        self._counts = Counts()

    def repeat(self, digest: bytes) -> bool:
        """Take a page for one that was seen before; False when it has to be parsed and added.

        Only one of which nothing can be decided otherwise this time: no version in it waits for its time or its turn,
        and no page before this one may have listed its names already.
        """
        page = self._repeatable.get(digest)
        if page is None or digest in self._repeated or (page.last and page.first <= self._farthest):
            return False
        self._repeated[digest] = page
        self._order.append(page)
        self._farthest = page.last or self._farthest
        return True

    def add(self, digest: bytes, page: Page, date: str | None) -> Iterator[Pause]:
        """Compare a page.

        Args:
            digest: Of the page's bytes.
            page: What it says.
            date: The server's ``Date`` header of the page; needed only for ``settle``.

        Yields:
            Where others may go first.
        """
        rows, rules, counts = self._checked(page.rows), self._rules, self._counts
        number = len(self._drafts)
        draft = Draft(digest, rows, len(page.prefixes))
        self._drafts.append(draft)
        self._order.append(number)
        if rows and draft.first <= self._farthest:
            self._supersede({row[0] for row in rows})
        self._farthest = max(self._farthest, draft.last)
        decided = yield from self._known_versions()
        fresh: Sequence[int] = () if self._silent else range(len(rows))
        if decided:
            draft.remember(rows)
            yield _BREATH
            fresh = [i for i, version in enumerate(draft.versions) if version not in decided]
        unchanged = len(rows) - len(fresh)
        names = [row[0] for row in rows]
        aside = [i for i, row in enumerate(rows) if row[3] == b"0"]
        if self._prefix in names:
            aside = sorted({*aside, names.index(self._prefix)})
        if aside:
            unknown = set(fresh)
            for i in aside:
                name = names[i]
                is_marker = name == self._prefix or name in page.directories
                if is_marker or rules.ignore_empty:
                    known = i not in unknown
                    unchanged -= known
                    self._aside.append((draft, name, known, is_marker))
                    self._empty.add(name + b"/")
                    if not known:
                        unknown.remove(i)
                        draft.open.add(i)
            fresh = sorted(unknown)
        # Only what stands beside an empty blob matters, which comes first.
        self._prefixes.update(self._empty.intersection(page.prefixes))
        if self._silent:
            counts.remembered += unchanged
        else:
            counts.unchanged += unchanged
        if fresh and _RECORDS in b"".join(names):
            records = {i for i in fresh if _RECORD.fullmatch(names[i], len(self._prefix))}
            # Never decided either: to store that would write the record, which might be the very one.
            draft.open |= records
            draft.records = len(records)
            counts.records += draft.records
            fresh = [i for i in fresh if i not in records]
        if fresh:
            self._judge(number, fresh, rows, date)
            if len(self._candidates) > 2 * rules.max_changes:
                self._trim()
        if not decided:
            # With nothing to compare them with, the versions of what waits need not be known.
            yield _BREATH
            draft.remember(rows)

    def _checked(self, rows: list[Row]) -> list[Row]:
        """The rows of a page by name, each name once: the later row counts.

        Raises:
            MalformedReply: A blob is not directly in the folder.
        """
        if not rows:
            return rows
        names = [row[0] for row in rows]
        in_order = sorted(names)
        if in_order != names or len(set(names)) < len(names):
            latest = {row[0]: row for row in rows}
            self._counts.listed += len(rows) - len(latest)
            self._counts.twice += len(rows) - len(latest)
            rows = sorted(latest.values(), key=_name_of)
        # What is between two names that begin alike begins so, too.
        is_within = in_order[0].startswith(self._prefix) and in_order[-1].startswith(self._prefix)
        if not is_within or b"".join(names).count(b"/") != len(names) * self._prefix.count(b"/"):
            raise MalformedReply(
                "list blobs", status=200, message="The listing holds blobs that are not directly in the folder"
            )
        return rows

    def _supersede(self, names: set[bytes]) -> None:
        """Leave out what a page before this one said of the same blobs: the later row counts.

        A listing is no snapshot, so a blob that is written meanwhile may come twice.
        """
        if not self._overlaps:
            self._overlaps, self._decided = True, None
        left: list[_Candidate] = []
        for candidate in self._candidates:
            if _name(candidate) in names:
                self._drafts[candidate[2]].hold((candidate[3],))
                self._counts.twice += 1
            else:
                left.append(candidate)
        self._candidates = left

    def _judge(self, number: int, new: Sequence[int], rows: Sequence[Row], date: str | None) -> None:
        """Let the rules decide on new versions of one page: where they are in it, and its rows."""
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

    def _count_aside(self) -> None:
        """Count empty blobs and directory markers, now that every sub-folder is known."""
        counts = self._counts
        for draft, name, known, is_marker in self._aside:
            if is_marker or name + b"/" in self._prefixes:
                counts.markers += 1
                draft.markers += 1
            elif self._silent:
                counts.remembered += 1
            elif known:
                counts.unchanged += 1
            else:
                counts.empty += 1
                draft.empty += 1

    def finish(self) -> Generator[Pause, None, Detection]:
        """Close the listing.

        Yields:
            Where others may go first.

        Returns:
            What changed.
        """
        counts = self._counts
        self._count_aside()
        self._trim()
        reported = [draft.reported() for draft in self._drafts]
        older = yield from self._older(reported)
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
                counts.records += page.records
                counts.unchanged += page.listed - page.empty - page.markers - page.records
        back = ((older[name], name) for _, names in reported for name in names if name in older) if older else ()
        undo = Difference(Cursor(reported), Cursor.of(back))
        # A write follows, see Detection.must_save.
        most = _MOST_GONE if changes or counts.filtered else None
        if gone := (yield from self._gone(older, most)):
            pages.append(Known(None, gone))
        return Detection(changes, Cursor(page.chunk for page in pages), undo, counts, self._first, tuple(pages))

    def _gone(self, older: dict[int, int], most: int | None) -> Generator[Pause, None, Chunk | None]:
        """Collect the versions that were decided and are not listed any more, the latest first."""
        if not self._keeps_gone:
            return None
        pages = list(self._unrepeated())
        left, self._decided = self._decided, None
        if left is None:  # nothing had to be parsed
            if len(pages) == 1 and most is None:
                return pages[0].chunk
        else:
            for draft in self._drafts:
                left.difference_update(draft.versions)
                left.difference_update([older[draft.names[i]] for i in draft.open if draft.names[i] in older])
                yield _BREATH
            if not left:
                return None
        gone = array("Q"), array("I")
        for page in pages:
            for versions, names in pieces(page.chunk):
                positions = [i for i, version in enumerate(versions) if left is None or version in left]
                gone[0].extend([versions[i] for i in positions])
                gone[1].extend([names[i] for i in positions])
                yield _BREATH
        return (gone[0][:most], gone[1][:most]) if gone[0] else None

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
        return (page for page in self._pages if self._repeated.get(page.digest) is not page)

    def _compared(self) -> Iterable[Known]:
        """The pages that may hold what a parsed page lists.

        A blob of a page that is as before is on no other page, since the listing is ordered by name; if it is.
        """
        return self._pages if self._overlaps else self._unrepeated()

    def _known_versions(self) -> Generator[Pause, None, set[int]]:
        if self._decided is None:
            decided: set[int] = set()
            for page in self._compared():
                for versions, _ in pieces(page.chunk):
                    decided.update(versions)
                    yield _BREATH
            self._decided = decided
        return self._decided

    def _older(self, reported: Iterable[Chunk]) -> Generator[Pause, None, dict[int, int]]:
        """Find the cursor's version of each name that is reported or open; the latest one, not one that is gone."""
        pages = list(self._compared())
        if not pages:
            return {}
        names = {name for _, chunk in reported for name in chunk}
        names.update(draft.names[i] for draft in self._drafts for i in draft.open)
        if not names:
            return {}
        found: dict[int, int] = {}
        for page in pages:
            for piece in pieces(page.chunk):
                for version, name in zip(*piece, strict=True):
                    if name in names:
                        found.setdefault(name, version)
                yield _BREATH
        return found
