"""Compares a listing with a cursor: the changes in a folder, and its new cursor. No I/O, no clock.

A blob version is a name with an ETag. A version is new if the cursor does not hold it. Times are not compared, because
a high-water mark would miss writes within one second, writes to names that were already listed, and renames. The cursor
holds each listed version that was decided: reported, or refused by the pattern. A version that is not decided yet
(too young, empty, or beyond ``max_changes``) stays out of the cursor and is considered again in the next poll. Until
then the cursor keeps the name's older version, so that an overwritten blob is reported as "modified" later.

A version that is no longer listed stays decided: it was delivered, and must not be delivered again if it comes back
(undeleted, renamed back, or missed by one listing). Nothing is forgotten between two writes of the cursor, so a process
can continue from its memory as well as from the stored cursor. A write keeps the latest 1,000 versions that have
disappeared.
"""

from __future__ import annotations

import fnmatch
import re
from array import array
from itertools import compress, repeat
from operator import lt, not_
from typing import TYPE_CHECKING

from aml_provider.blobs.change import Detection
from aml_provider.blobs.cursor import Cursor, Difference
from aml_provider.blobs.page_parser import columns_of, malformed
from aml_provider.blobs.pages import Draft, KnownPage, pieces
from aml_provider.blobs.rules import Counts, iso_dates, nth_hour, settled_until, until_hour
from aml_provider.client.http.messages import Pause

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from aml_provider.blobs.change import Change
    from aml_provider.blobs.cursor import Chunk
    from aml_provider.blobs.folder import Folder
    from aml_provider.blobs.page_parser import Columns, Page, Row
    from aml_provider.blobs.rules import Rules

# Where an event loop can run other tasks.
_BREATH = Pause(0)
# The most versions that are gone in a stored cursor: 16 KB.
_MOST_GONE = 1000
# The names of blobs that hold cursors (state/cursor_stores.py).
_RECORD = re.compile(rb"azureml_cursor_(?:[A-Za-z0-9_.-]*_)?[0-9a-f]{16}\.json")
_RECORDS = b"azureml_cursor_"

_Candidate = tuple[str, "Row", int, int]
"""A new version that the rules allow: last_modified, its row, the number of its draft, its position in the draft.

Candidates are reported in this order: the oldest first, then by name.
"""


def _matcher(patterns: Sequence[str]) -> Callable[[str], re.Match[str] | None]:
    return re.compile("|".join(map(fnmatch.translate, patterns))).match


def _name(candidate: _Candidate) -> bytes:
    return candidate[1][0]


def _picked(column: Sequence[bytes], positions: Sequence[int]) -> Sequence[bytes]:
    """Some items of a column; often these are all."""
    return column if len(positions) == len(column) else [column[i] for i in positions]


class Scan:
    """One poll: pages in listing order, then :meth:`finish`."""

    def __init__(
        self,
        folder: Folder,
        rules: Rules,
        pages: tuple[KnownPage, ...],
        *,
        first: bool,
        keeps_gone: bool = True,
        before: Sequence[str] | None = None,
    ) -> None:
        self._folder, self._rules, self._pages = folder, rules, pages
        self._prefix = folder.prefix.encode()
        self._first = first
        self._keeps_gone = keeps_gone
        self._silent = first and not rules.report_first
        self._wanted = _matcher(rules.patterns) if rules.patterns else None
        # The pattern before, if it is another one.
        self._before = _matcher(before) if before else None
        self._repeatable = {page.digest: page for page in pages if page.digest is not None and page.final}
        self._repeated: dict[bytes | None, KnownPage] = {}
        self._order: list[KnownPage | int] = []  # unchanged pages, or the numbers of drafts
        self._drafts: list[Draft] = []
        self._decided: set[int] | None = None  # the cursor's versions, built with the first page that must be parsed
        self._candidates: list[_Candidate] = []
        self._last: _Candidate | None = None  # no candidate after this one can be among the first max_changes
        self._aside: list[tuple[Draft, bytes, bool, bool]] = []  # draft, name, is known, is surely a directory marker
        self._empty: set[bytes] = set()  # the name of a sub-folder next to each of them
        self._prefixes: set[bytes] = set()  # those of these sub-folders that exist
        self._farthest = b""  # the greatest name listed so far
        self._overlaps = False  # whether a page began before it
        self._counts = Counts()

    def repeat(self, digest: bytes) -> bool:
        """Reuse a page that was seen before; False if it must be parsed and added.

        A page is reused only if this poll cannot decide anything else about it: none of its versions waits for
        ``settle`` or ``max_changes``, and no earlier page of this listing can contain a blob that is on this page too.
        """
        page = self._repeatable.get(digest)
        if page is None or digest in self._repeated or (page.last and page.first <= self._farthest):
            return False
        self._repeated[digest] = page
        self._order.append(page)
        self._farthest = page.last or self._farthest
        return True

    def add(self, digest: bytes, page: Page, date: str | None) -> Iterator[Pause]:
        """Compare a parsed page; the server's ``Date`` header is needed only for ``settle``.

        Yields:
            Pauses, in which an event loop can run other tasks.
        """
        columns, rules, counts = self._checked(page.columns), self._rules, self._counts
        names, _, etags, sizes = columns
        number = len(self._drafts)
        draft = Draft(digest, names, len(page.prefixes))
        self._drafts.append(draft)
        self._order.append(number)
        if names and draft.first <= self._farthest:
            self._supersede(set(names))
        self._farthest = max(self._farthest, draft.last)
        decided = yield from self._known_versions()
        fresh: Sequence[int] = () if self._silent else range(len(names))
        if decided:
            draft.remember(names, etags)
            yield _BREATH
            if not decided.isdisjoint(draft.versions):
                fresh = [*compress(fresh, map(not_, map(decided.__contains__, draft.versions)))]
        unchanged = len(names) - len(fresh)
        if self._before is not None:
            self._count_passed_over(names, fresh)
            yield _BREATH
        aside = [i for i, size in enumerate(sizes) if size == b"0"] if b"0" in sizes else []
        if names and names[0] == self._prefix:
            aside = sorted({0, *aside})
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
                        draft.open[i] = 1
            fresh = sorted(unknown)
        # Only sub-folders next to an empty blob matter, and the empty blob is listed first.
        self._prefixes.update(self._empty.intersection(page.prefixes))
        if self._silent:
            counts.remembered += unchanged
        else:
            counts.unchanged += unchanged
        if fresh and _RECORDS in b"".join(names):
            records = {i for i in fresh if _RECORD.fullmatch(names[i], len(self._prefix))}
            # Never decided either: to store a decision would write the cursor, which may be this very blob.
            for i in records:
                draft.open[i] = 1
            draft.records = len(records)
            counts.records += draft.records
            fresh = [i for i in fresh if i not in records]
        if fresh:
            self._judge(number, fresh, columns, date)
            if len(self._candidates) > 2 * rules.max_changes:
                self._trim()
        if not decided:
            # There is nothing to compare with, so the versions that wait need no hashes.
            yield _BREATH
            draft.remember(names, etags)

    def _checked(self, columns: Columns) -> Columns:
        """The blobs of a page, sorted by name; of two with one name the later one counts.

        Raises:
            MalformedReply: A blob is not directly in the folder.
        """
        names = columns[0]
        if not names:
            return columns
        if not all(map(lt, names, names[1:])):
            latest = {row[0]: row for row in zip(*columns, strict=True)}
            self._counts.listed += len(names) - len(latest)
            self._counts.twice += len(names) - len(latest)
            columns = columns_of(sorted(latest.values()))
            names = columns[0]
        # All names between the first and the last one have the prefix that these two have.
        is_within = names[0].startswith(self._prefix) and names[-1].startswith(self._prefix)
        if not is_within or b"".join(names).count(b"/") != len(names) * self._prefix.count(b"/"):
            raise malformed("The listing holds blobs that are not directly in the folder")
        return columns

    def _supersede(self, names: set[bytes]) -> None:
        """Drop the candidates of earlier pages with these names: the later row counts.

        A listing is not a snapshot, so a blob that is written during it may be listed twice.
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

    def _judge(self, number: int, new: Sequence[int], columns: Columns, date: str | None) -> None:
        """Apply the rules to the new versions of one page; ``new`` has their positions in the columns."""
        counts, rules, wanted, draft = self._counts, self._rules, self._wanted, self._drafts[number]
        names, times, _, _ = columns
        left = new
        if rules.settle:
            latest = settled_until(date, rules.settle)
            left = [*compress(new, [written <= latest for written in iso_dates(_picked(times, new))])]
            counts.unsettled += len(new) - len(left)
            draft.hold(new, but=left)
        if wanted is not None:
            bare = [name.rpartition(b"/")[2].decode("utf-8", "replace") for name in _picked(names, left)]
            fits = [wanted(name) is not None for name in bare]
            counts.filtered += fits.count(False)
            left = [*compress(left, fits)]
        soon = self._soon(left, columns)
        if len(soon) < len(left):
            counts.held += len(left) - len(soon)
            draft.hold(left, but=soon)
        left = soon
        found: list[Row] = [*zip(*(_picked(column, left) for column in columns), strict=True)]
        self._candidates += zip(iso_dates(_picked(times, left)), found, repeat(number), left)
        draft.found += left

    def _count_passed_over(self, names: Sequence[bytes], fresh: Sequence[int]) -> None:
        """Count the known blobs that only the new pattern matches."""
        assert self._before is not None
        new = set(fresh)
        for i, name in enumerate(names):
            last = name.rpartition(b"/")[2].decode("utf-8", "replace")
            if i not in new and self._before(last) is None and (self._wanted is None or self._wanted(last) is not None):
                self._counts.passed_over += 1

    def _soon(self, new: Sequence[int], columns: Columns) -> Sequence[int]:
        """Those of some versions of a page that can be among the first ``max_changes``, as far as is known by now."""
        names, times, etags, sizes = columns
        stamps, most = _picked(times, new), self._rules.max_changes
        if self._last is None:
            # Candidates cost most, so a first page of thousands must not make thousands of them.
            return new if len(new) <= most else [*compress(new, until_hour(stamps, nth_hour(stamps, most)))]
        end, last = self._last[:2]
        # For most, comparing the hour is enough, which takes a third of the time.
        soon = [*compress(new, until_hour(stamps, end))]
        dates = zip(soon, iso_dates(_picked(times, soon)), strict=True)
        return [
            i
            for i, written in dates
            if written < end or (written == end and (names[i], times[i], etags[i], sizes[i]) <= last)
        ]

    def _trim(self) -> None:
        """Keep only candidates that can be reported, so that a first listing of millions stays small."""
        most = self._rules.max_changes
        if len(self._candidates) > most:
            self._candidates.sort()
            self._counts.held += len(self._candidates) - most
            late: dict[int, list[int]] = {}
            for _, _, number, position in self._candidates[most:]:
                late.setdefault(number, []).append(position)
            for number, positions in late.items():
                self._drafts[number].hold(positions)
            del self._candidates[most:]
            self._last = self._candidates[-1]

    def _count_aside(self) -> None:
        """Count empty blobs and directory markers, now that all sub-folders are known."""
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
        """End the poll.

        Yields:
            Pauses, in which an event loop can run other tasks.

        Returns:
            The changes and the new cursor.
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
            page = entry if isinstance(entry, KnownPage) else self._drafts[entry].close(older)
            pages.append(page)
            counts.listed += page.listed
            counts.folders += page.folders
            if isinstance(entry, KnownPage):
                counts.empty += page.empty
                counts.markers += page.markers
                counts.records += page.records
                counts.unchanged += page.listed - page.empty - page.markers - page.records
        back = ((older[name], name) for _, names in reported for name in names if name in older) if older else ()
        undo = Difference(Cursor(reported), Cursor.of(back))
        # A write follows, see Detection.must_save.
        most = _MOST_GONE if changes or counts.filtered else None
        if gone := (yield from self._gone(older, most)):
            pages.append(KnownPage(None, gone))
        return Detection(changes, Cursor(page.chunk for page in pages), undo, counts, self._first, tuple(pages))

    def _gone(self, older: dict[int, int], most: int | None) -> Generator[Pause, None, Chunk | None]:
        """Collect the decided versions that are no longer listed, the latest first."""
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
                left.difference_update([older[name] for name in draft.open_names() if name in older])
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
        """The reported changes, ordered by name."""
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

    def _unrepeated(self) -> Iterator[KnownPage]:
        return (page for page in self._pages if self._repeated.get(page.digest) is not page)

    def _compared(self) -> Iterable[KnownPage]:
        """The known pages that may hold blobs of a parsed page.

        A listing is ordered by name, so a blob of an unchanged page is on no other page; unless pages overlap.
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
        """For each name that is reported or open, find its latest version in the cursor; gone versions do not count."""
        pages = list(self._compared())
        if not pages:
            return {}
        names = {name for _, chunk in reported for name in chunk}
        for draft in self._drafts:
            names.update(draft.open_names())
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
