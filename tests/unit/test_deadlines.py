"""The deadline of a try: one instant, whatever clocks and timeouts do while the task is deferred."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from aml_provider.deadlines import deadline_of, first_clock_behind, is_late

NOW = time.time()
# Longer than any run of the suite, which begins with the line above.
LONG = 10 * 24 * 3600.0


def event(deadline, fired_at=None):
    return {"deadline": deadline, "fired_at": deadline if fired_at is None else fired_at}


def at(seconds):
    return datetime.fromtimestamp(NOW + seconds, UTC)


@pytest.mark.parametrize("timeout", [None, timedelta.max, timedelta(days=36_601)])
def test_without_a_limit_there_is_no_deadline(timeout):
    assert deadline_of(at(0), timeout) is None


def test_a_deadline_counts_from_the_start_of_the_try():
    assert deadline_of(at(-60), timedelta(seconds=LONG)) == pytest.approx(NOW + LONG - 60)
    before = time.time()
    # The milliseconds are for rounding.
    assert before - 0.001 <= deadline_of(None, timedelta(seconds=LONG)) - LONG <= time.time() + 0.001


@pytest.mark.parametrize(
    ("deadline", "late"),
    [(NOW - 1, True), (NOW + LONG, False), (None, False)],
    ids=["unchanged", "raised", "removed"],
)
def test_the_present_deadline_of_a_try_counts(deadline, late):
    assert is_late(event(NOW - 1), at(-LONG), deadline) is late


@pytest.mark.parametrize("started", [None, at(0)], ids=["no start date", "a new one"])
def test_where_each_deferral_begins_a_new_try_the_first_deadline_counts(started):
    assert is_late(event(NOW - 1), started, NOW + LONG)
    assert not is_late(event(NOW + LONG, NOW), started, NOW + LONG)


@pytest.mark.parametrize(
    ("first", "ours", "service", "behind"),
    [(-600, 0, 0, 600), (0, 600, 0, 600), (-600, 600, 7000, 1200), (600, 0, 0, 0), (0, 0, -500, 0), (0, 60, 0, 0)],
)
def test_the_service_tells_how_far_the_first_workers_clock_is_behind(first, ours, service, behind):
    times = {"begun": NOW + first, "sent": NOW + first + 5, "created": NOW + service + 5, "ahead": ours - service}
    assert first_clock_behind(**times) == pytest.approx(behind)


def test_what_an_earlier_try_submitted_tells_nothing():
    assert first_clock_behind(begun=NOW, sent=NOW - 1, created=NOW, ahead=600) == 0


def test_an_event_of_an_earlier_version_leaves_the_present_deadline():
    assert not is_late({}, at(-LONG), NOW + LONG)
    assert is_late({}, at(-LONG), NOW - 1)
