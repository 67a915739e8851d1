"""The rules for which blob versions are reported and when, and the counts of one poll."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from aml_provider.client.arguments import as_choice, as_flag, as_name, wrong_type
from aml_provider.client.errors import InvalidArgument, MalformedReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: What happens to the blobs that the very first poll finds.
OnFirstPoll = Literal["remember", "report"]
ON_FIRST_POLL: tuple[OnFirstPoll, ...] = get_args(OnFirstPoll)
_CLASSES = re.compile(r"\[!?\]?[^\]]*\]")  # [!/] in a glob


class Rules(NamedTuple):
    """The rules for which versions are reported, and when. Make it with :meth:`of`, which checks the values.

    Attributes:
        settle: Seconds that must have passed since a version's last write, by the server's clock; whole seconds,
            because Last-Modified has no fractions.
        ignore_empty: Ignore empty blobs until they are not empty.
        patterns: Globs; the last segment of the name must match one of them. None accepts every name.
        max_changes: The most changes in one result; the oldest ones come first, so that no change waits for ever.
        report_first: Whether the very first poll reports every existing blob; otherwise it only remembers them.
    """

    settle: float = 0.0
    ignore_empty: bool = True
    patterns: tuple[str, ...] | None = None
    max_changes: int = 1000
    report_first: bool = False

    @classmethod
    def of(
        cls,
        *,
        settle: float = 0.0,
        ignore_empty: bool = True,
        pattern: str | Iterable[str] | None = None,
        max_changes: int = 1000,
        on_first_poll: str = "remember",
    ) -> Rules:
        """Check a sensor's arguments.

        Raises:
            InvalidArgument: A value cannot be used; the message names the argument.
        """
        if not 0 <= settle < float("inf"):
            raise InvalidArgument("settle", f"{settle!r} is not a number of seconds from 0")
        if isinstance(max_changes, bool) or not isinstance(max_changes, int) or max_changes < 1:
            raise InvalidArgument("max_changes", f"{max_changes!r} is not a whole number from 1")
        as_choice("on_first_poll", on_first_poll, ON_FIRST_POLL)
        patterns = None if pattern is None else (pattern,) if isinstance(pattern, str) else pattern
        if patterns is not None:
            if isinstance(patterns, (bytes, Mapping)) or not isinstance(patterns, Iterable):
                raise wrong_type("pattern", pattern, "a glob or a list of globs")
            patterns = tuple(patterns)
            for glob in patterns:
                # A name has no slash, so nothing would ever match, and every blob would be refused for good.
                if "/" in _CLASSES.sub("", as_name("pattern", glob)):
                    raise InvalidArgument(
                        "pattern", f"{glob!r} has a slash, but is for the last part of a name; folders go into path"
                    )
            if not patterns:
                raise InvalidArgument("pattern", f"{pattern!r} is neither a glob nor a list of globs")
        as_flag("ignore_empty", ignore_empty)
        return cls(settle, ignore_empty, patterns, max_changes, on_first_poll == "report")

    def describe(self) -> str:
        """Which blobs count, in words, for the log."""
        names = "all names" if self.patterns is None else f"names like {' or '.join(map(repr, self.patterns))}"
        parts = [f"{names} count"]
        if self.ignore_empty:
            parts.append("empty blobs do not count")
        if self.settle:
            parts.append(f"a blob counts {self.settle:g} s after its last change")
        return ", ".join(parts)


class Counts:
    """The counts of one poll: ``listed`` is the sum of the others, without ``folders``.

    Attributes:
        listed: All entries of the folder's own level that are not sub-folders.
        added: New names that are reported.
        modified: Known names with a new version that are reported.
        unchanged: Versions that the cursor held.
        remembered: Versions of the first poll that are remembered and not reported.
        filtered: New versions that the pattern refused; the next poll counts them as unchanged.
        unsettled: Versions that are too young for ``settle``.
        empty: Empty blobs, with ``ignore_empty``.
        held: Changes beyond ``max_changes``; a later result has them.
        markers: Directory markers.
        records: Blobs in which this provider stores a cursor.
        twice: Versions whose name was listed again later in the same listing; only the later one counts.
        folders: Sub-folders, which are not listed.
        passed_over: Of the unchanged ones, those that the pattern matches and the pattern before did not match. They
            may have been refused by the pattern before; in no sum.
    """

    def __init__(self) -> None:
        self.listed = self.added = self.modified = self.unchanged = self.remembered = self.filtered = 0
        self.unsettled = self.empty = self.held = self.markers = self.records = self.twice = self.folders = 0
        self.passed_over = 0

    def __str__(self) -> str:
        others = {
            "remembered": self.remembered,
            "ignored by pattern": self.filtered,
            "waiting for settle": self.unsettled,
            "waiting because empty": self.empty,
            "waiting beyond max_changes": self.held,
            "directory markers": self.markers,
            "cursor records of this provider": self.records,
            "listed again later": self.twice,
        }
        rest = "".join(f", {number} {text}" for text, number in others.items() if number)
        deeper = f"; {self.folders} sub-folders ignored" if self.folders else ""
        known = f"{self.added} new, {self.modified} modified, {self.unchanged} unchanged"
        return f"listed {self.listed}: {known}{rest}{deeper}"


_MONTHS = {month: number for number, month in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_HOUR = re.compile(rb"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d)")
_MOST_WRITTEN = 8192
_SECOND = re.compile(rb"(:[0-5]\d:[0-5]\d) GMT")


def iso_dates(stamps: Sequence[bytes]) -> list[str]:
    """Convert HTTP dates to ISO 8601, which sorts as text; email.utils takes twenty times as long.

    Raises:
        MalformedReply: One of them is not an HTTP date.
    """
    with _checked(stamps):
        return [_HOURS[stamp[:19]] + _SECONDS[stamp[19:]] for stamp in stamps]


def nth_hour(stamps: Sequence[bytes], number: int) -> str:
    """The hour of the N-th earliest of some HTTP dates, as ISO 8601: ``2026-11-22T15``.

    Raises:
        MalformedReply: One of them is not an HTTP date.
    """
    with _checked(stamps):
        return sorted([_HOURS[stamp[:19]] for stamp in stamps])[number - 1]


def until_hour(stamps: Sequence[bytes], latest: str) -> list[bool]:
    """For each HTTP date, whether its hour is not later than that of ``latest``, an ISO 8601 date or hour.

    Raises:
        MalformedReply: One of them is not an HTTP date.
    """
    hours = [stamp[:19] for stamp in stamps]
    with _checked(stamps):
        early = {hour for hour in set(hours) if _HOURS[hour] <= latest[:13]}
    return [hour in early for hour in hours] if early else [False] * len(hours)


@contextmanager
def _checked(stamps: Sequence[bytes]) -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError):
        wrong = next(stamp for stamp in stamps if not _is_date(stamp))
        raise _malformed(f"{wrong.decode(errors='replace')!r} is not an HTTP date") from None


def _is_date(stamp: bytes) -> bool:
    try:
        return bool(_HOURS[stamp[:19]] and _SECONDS[stamp[19:]])
    except (ValueError, LookupError):
        return False


class _Written(dict[bytes, str]):
    """A cache of converted dates: a look-up takes half as long as the call of a cached function."""

    def __init__(self, write: Callable[[bytes], str]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, stamp: bytes) -> str:
        if len(self) >= _MOST_WRITTEN:
            self.clear()
        text = self[stamp] = self._write(stamp)
        return text


def _hour(stamp: bytes) -> str:
    day, month, year, hour = _groups(_HOUR, stamp)
    return datetime(int(year), _MONTHS[month], int(day), int(hour), tzinfo=UTC).isoformat()[:13]


def _second(stamp: bytes) -> str:
    return f"{_groups(_SECOND, stamp)[0].decode()}+00:00"


def _groups(pattern: re.Pattern[bytes], stamp: bytes) -> tuple[bytes, ...]:
    match = pattern.fullmatch(stamp)
    if match is None:
        raise ValueError
    return match.groups()


_HOURS, _SECONDS = _Written(_hour), _Written(_second)


def settled_until(now: str | None, settle: float) -> str:
    """The latest ISO 8601 date that is at least ``settle`` seconds ago.

    ``now`` is the ``Date`` of the server's reply, so that no other clock matters.

    Raises:
        MalformedReply: ``now`` is not a date.
    """
    if now is None:
        raise _malformed("the reply has no Date, which settle needs")
    try:
        return (datetime.fromisoformat(*iso_dates([now.encode()])) - timedelta(seconds=ceil(settle))).isoformat()
    except OverflowError:
        return ""  # nothing is that old


def _malformed(problem: str) -> MalformedReply:
    return MalformedReply("list blobs", status=200, message=problem)
