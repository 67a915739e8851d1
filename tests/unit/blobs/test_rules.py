"""Dates of a listing, what is old enough, and arguments that cannot be used."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.blobs.rules import Rules, iso_dates, nth_hour, settled_until, until_hour
from aml_provider.client.errors import InvalidArgument, MalformedReply

NOW = "Sun, 22 Nov 2026 12:00:00 GMT"

# From the year 1020 to 9890.
moments = st.integers(-(3 * 10**10), 25 * 10**10).map(
    lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


def iso(stamp):
    [date] = iso_dates([stamp])
    return date


def http(moment):
    return format_datetime(moment, usegmt=True).encode()


@given(moments)
def test_a_date_in_iso_8601(moment):
    assert iso(http(moment)) == moment.isoformat()
    assert nth_hour([http(moment)], 1) == moment.isoformat()[:13]


def test_more_hours_than_are_remembered():
    moments = [datetime(1990, 1, 1, tzinfo=UTC) + timedelta(hours=hours) for hours in range(20_000)]
    stamps = [http(moment) for moment in reversed(moments)]
    assert nth_hour(stamps, 15_000) == moments[14_999].isoformat()[:13]
    assert until_hour(stamps, moments[499].isoformat()) == [False] * 19_500 + [True] * 500
    assert until_hour(stamps, "1989") == [False] * 20_000


@given(st.lists(moments, min_size=1), moments)
def test_a_date_until_the_end_of_an_hour_is_in_it(dates, latest):
    stamps = [http(moment) for moment in dates]
    hour = latest.isoformat()[:13]
    assert until_hour(stamps, latest.isoformat()) == [moment.isoformat()[:13] <= hour for moment in dates]
    assert until_hour(stamps, hour) == until_hour(stamps, latest.isoformat())
    assert nth_hour(stamps, len(stamps)) == max(dates).isoformat()[:13]


def test_a_text_without_an_hour_is_refused():
    for function in (lambda stamps: until_hour(stamps, "2026"), lambda stamps: nth_hour(stamps, 1)):
        with pytest.raises(MalformedReply, match="'tomorrow' is not an HTTP date"):
            function([NOW.encode(), b"tomorrow"])


@given(moments, moments)
def test_written_dates_sort_as_text(one, other):
    assert (iso(http(one)) < iso(http(other))) == (one < other)


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "2026-11-22T12:00:00Z",
        "Sun, 22 Nov 2026 12:00:00",
        "Sun, 22 Nov 2026 12:00:00 +0000",
        "Sun, 22 nov 2026 12:00:00 GMT",
        "Sun, 31 Nov 2026 12:00:00 GMT",
        "Sun, 22 Nov 2026 24:00:00 GMT",
        "Sun, 22 Nov 2026 12:60:00 GMT",
        "Sun, 22 Nov 2026 12:00:60 GMT",
        "Sun, 22 Nov 2026 12:00:00 GMT ",
        "Sün, 22 Nov 2026 12:00:00 GMT",
    ],
)
def test_a_text_that_is_not_a_date_is_refused(stamp):
    with pytest.raises(MalformedReply, match="is not an HTTP date"):
        iso(stamp.encode())
    with pytest.raises(MalformedReply, match=re.escape(f"{stamp!r} is no")):
        iso_dates([NOW.encode(), stamp.encode(), NOW.encode()])


@pytest.mark.parametrize("settle", [0.5, 1, 1.5, 60, 86400.0])
@given(ago=st.integers(-10, 100_000))
def test_settle_compares_whole_seconds(settle, ago):
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    written = iso(http(now - timedelta(seconds=ago)))
    assert (written <= settled_until(NOW, settle)) == (ago >= settle)


@pytest.mark.parametrize("settle", [1e11, 1e300])
def test_nothing_is_older_than_the_calendar(settle):
    assert settled_until(NOW, settle) < iso(b"Mon, 01 Jan 0001 00:00:00 GMT")


@pytest.mark.parametrize("now", [None, "", "noon"])
def test_a_reply_without_a_date(now):
    with pytest.raises(MalformedReply, match=r"(?i)date"):
        settled_until(now, 1)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("settle", -1),
        ("settle", float("nan")),
        ("pattern", []),
        ("pattern", ""),
        ("pattern", [1]),
        ("pattern", "sub/*.csv"),
        ("pattern", ["*.csv", "[!/]*/a[/]"]),
        ("ignore_empty", "no"),
        ("ignore_empty", None),
        ("max_changes", 0),
        ("max_changes", True),
        ("max_changes", 1.5),
        ("on_first_poll", "ignore"),
    ],
)
def test_bad_arguments_are_named(argument, value):
    with pytest.raises(InvalidArgument, match=f"^{argument}: "):
        Rules.of(**{argument: value})
