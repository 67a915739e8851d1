"""The runs of a schedule are delivered once each, in the order in which they began."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.client.entities import PipelineRun
from aml_provider.durable.run_cursor import LATENESS, RunCursor
from aml_provider.stored import CursorUnreadable

START = datetime(2026, 3, 29, tzinfo=UTC)


def run(run_id, minutes):
    began = None if minutes is None else (START + timedelta(minutes=minutes)).isoformat()
    return PipelineRun.from_wire({"Id": run_id, "Status": {"StatusCode": "Running", "CreationTime": began}})


def follow(cursor, runs):
    """Take all runs, through the stored text each time."""
    taken = []
    while (found := cursor.next_run(runs)) is not None:
        taken.append(found.id)
        cursor = RunCursor.decode(cursor.after(found).encode())
    return taken, cursor


@given(st.lists(st.integers(0, 600), max_size=30), st.randoms())
def test_each_run_is_taken_once_in_the_order_in_which_they_began(minutes, random):
    runs = [run(f"r{number:02}", minute) for number, minute in enumerate(minutes)]
    expected = [found.id for found in sorted(runs, key=lambda item: (item.created, item.id))]
    random.shuffle(runs)
    taken, cursor = follow(RunCursor(START), runs)
    assert taken == expected
    assert cursor.next_run(runs) is None


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30, unique=True))
def test_runs_that_appear_one_by_one_are_all_taken(minutes):
    """In any order, as long as none appears later than the allowance."""
    late = LATENESS.total_seconds() / 60
    cursor, taken, listed = RunCursor(START), [], []
    for minute in sorted(minutes, key=lambda value: value + (value * 7919) % late):
        listed.append(run(f"r{minute}", minute))
        more, cursor = follow(cursor, listed)
        taken += more
    assert sorted(taken) == sorted(f"r{minute}" for minute in minutes)


def test_runs_that_began_before_the_start_are_ignored():
    runs = [run("before", -1), run("at", 0), run("after", 5)]
    assert follow(RunCursor(START), runs)[0] == ["at", "after"]


def test_a_later_since_ignores_more_runs_and_an_earlier_one_changes_nothing():
    cursor = RunCursor(START)
    runs = [run("before", -5), run("early", 1), run("late", 10)]
    assert cursor.next_run(runs, START + timedelta(minutes=5)).id == "late"
    assert cursor.next_run(runs, START - timedelta(days=1)).id == "early"


def test_a_run_that_appears_late_is_still_taken_within_the_allowance():
    _, cursor = follow(RunCursor(START), [run("b", 60)])
    assert cursor.next_run([run("a", 59), run("b", 60)]).id == "a"
    assert cursor.next_run([run("a", -1), run("b", 60)]) is None


def test_a_run_without_a_date_waits_for_one():
    assert RunCursor(START).next_run([run("new", None)]) is None


def test_the_cursor_stays_small():
    _, cursor = follow(RunCursor(START), [run(f"r{minute:05}", minute) for minute in range(3000)])
    assert len(cursor.seen) == LATENESS.total_seconds() / 60 + 1


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"since": "x", "latest": null, "seen": []}', "null"])
def test_a_damaged_cursor_is_not_an_absent_one(text):
    with pytest.raises(CursorUnreadable):
        RunCursor.decode(text)
