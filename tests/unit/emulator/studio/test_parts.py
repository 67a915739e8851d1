"""The computed parts of the pages: words, charts, addresses."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from aml_provider.emulator.studio.chart import chart
from aml_provider.emulator.studio.listing import RunFilter, Slice
from aml_provider.emulator.studio.words import (
    ahead,
    counted,
    distance,
    duration,
    glyph,
    recurrence_words,
    trigger_words,
)
from aml_provider.emulator.workspace.models import Run, Step, StepRun
from aml_provider.emulator.workspace.recurrence import Recurrence
from aml_provider.emulator.workspace.schedule_models import DatastoreTrigger
from aml_provider.emulator.workspace.timeline import view


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (0, "0 s"),
        (0.04, "0 s"),
        (0.25, "0.2 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3599.9, "1 h"),
        (3660, "1 h 1 min"),
        (86399, "23 h 59 min"),
        (86400, "1 d"),
        (90000, "1 d 1 h"),
        (1e9, "11574 d 1 h"),
    ],
)
def test_duration_in_words(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3.4, "3 s ago"),
        (0, "0 s ago"),
        (125, "in 2 min"),
        (-90000, "1 d 1 h ago"),
        (59.7, "in 1 min"),
        (7170, "in 2 h"),
    ],
)
def test_distance_in_words(seconds, words):
    assert distance(seconds) == words


@pytest.mark.parametrize("status", ["Finished", "Failed", "Running", "Canceled", "NotStarted", "Queued"])
def test_a_status_has_the_sign_of_the_style_sheet(status):
    style = (resources.files("aml_provider.emulator.studio") / "studio.css").read_text(encoding="utf-8")
    signs = dict(re.findall(r'data-status=(\w+)\]::before[^{]*{ content: "(.) "', style))
    assert glyph(status) == signs.get(status, "○")


@pytest.mark.parametrize(
    ("recurrence", "words"),
    [
        (Recurrence("Minute"), "Every minute"),
        (Recurrence("Hour", 6), "Every 6 hours"),
        (Recurrence("Month", 1, "2026-12-31T16:00:00"), "Every month, starting 2026-12-31 16:00:00"),
        (Recurrence("Day", 1, "2026-12-31T16:00:00Z"), "Every day, starting 2026-12-31 16:00:00"),
        (Recurrence("Day", hours=(2,), minutes=(30,)), "Every day at 02:30"),
        (Recurrence("Day", hours=(17, 9), minutes=(30, 0)), "Every day at 09:00, 09:30, 17:00 and 17:30"),
        (
            Recurrence("Day", hours=(1, 2, 3, 4), minutes=(0, 30)),
            "Every day at minutes 0 and 30 of hours 1, 2, 3 and 4",
        ),
        (Recurrence("Day", hours=(9,)), "Every day in hour 9 at the minute of its start"),
        (Recurrence("Day", minutes=(5,)), "Every day at minute 5 of the hour of its start"),
        (
            Recurrence("Week", 2, week_days=("Monday", "Friday"), hours=(9,), minutes=(0,)),
            "Every 2 weeks on Monday and Friday at 09:00",
        ),
    ],
)
def test_recurrence_in_words(recurrence, words):
    assert recurrence_words(recurrence) == words


def test_recurrence_in_words_with_minute_zero():
    assert recurrence_words(Recurrence("Day", hours=(9,)), minute_zero=True) == "Every day in hour 9 at minute 0"


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (DatastoreTrigger("s", "a/b/", 1), "When a blob directly in s/a/b is added or modified; polls every minute"),
        (DatastoreTrigger("s"), "When a blob directly in s is added or modified; polls every 5 minutes"),
    ],
)
def test_trigger_in_words(trigger, words):
    assert trigger_words(trigger) == words


def a_run(*steps, start=10.0, **more):
    step_runs = [StepRun(str(number), number, step) for number, step in enumerate(steps)]
    return Run("r", 1, "p", "g", "e", 1000.0, start, step_runs, **more)


def bars(run, now):
    return [[(bar.status, bar.x, bar.width) for bar in step] for step in chart(run, view(run, now), now).steps]


class TestChart:
    STEPS = (Step("a", queue_seconds=10, run_seconds=30), Step("b", queue_seconds=10, run_seconds=40))

    def test_bars_match_the_times(self):
        run = a_run(*self.STEPS)
        assert bars(run, 5000.0) == [
            [("Queued", 10.0, 10.0), ("Finished", 20.0, 30.0)],
            [("Queued", 50.0, 10.0), ("Finished", 60.0, 40.0)],
        ]

    def test_the_bar_of_a_running_step_reaches_the_end(self):
        assert bars(a_run(*self.STEPS), 1040.0) == [[("Queued", 25.0, 25.0), ("Running", 50.0, 50.0)], []]

    def test_the_bar_of_a_queued_step_reaches_the_end(self):
        assert bars(a_run(*self.STEPS), 1016.0)[0] == [("Queued", 62.5, 37.5)]

    def test_the_chart_ends_with_the_failed_step(self):
        run = a_run(Step("a", queue_seconds=0, run_seconds=30, fails="no"), *self.STEPS)
        assert bars(run, 5000.0) == [[("Failed", 25.0, 75.0)], [], []]

    def test_the_bar_of_a_canceled_step_ends_at_the_cancellation(self):
        run = a_run(*self.STEPS, canceled=1040.0, cancel_effective=1040.0)
        assert bars(run, 5000.0)[0] == [("Queued", 25.0, 25.0), ("Canceled", 50.0, 50.0)]

    def test_a_short_step_in_a_long_run_is_visible(self):
        run = a_run(Step("a", queue_seconds=0, run_seconds=86400), Step("b", queue_seconds=0, run_seconds=1))
        ((status, x, width),) = bars(run, 1e6)[1]
        assert (status, width) == ("Finished", 0.5)
        assert x + width <= 100

    def test_a_new_run_has_an_axis_but_no_bars(self):
        run = a_run(*self.STEPS)
        drawn = chart(run, view(run, 1000.0), 1000.0)
        assert drawn.steps == ((), ())
        assert drawn.ticks[0].label == "0 s"

    @pytest.mark.parametrize(
        ("length", "labels"),
        [
            (0.3, ["0 s", "0.1 s", "0.2 s"]),
            (7, ["0 s", "2 s", "4 s", "6 s"]),
            (3600, ["0 s", "10 min", "20 min", "30 min", "40 min", "50 min"]),
            (100 * 86400, ["0 s", "17 d", "34 d", "51 d", "68 d", "85 d"]),
        ],
    )
    def test_ticks_are_round_and_few(self, length, labels):
        run = a_run(Step("a", queue_seconds=0, run_seconds=length), start=0.0)
        ticks = chart(run, view(run, 1e9), 1e9).ticks
        assert [tick.label for tick in ticks] == labels
        assert all(0 <= tick.x <= 92 for tick in ticks)


class TestSlice:
    @pytest.mark.parametrize(
        ("page", "number", "items"),
        [
            ("", 1, [0, 1]),
            ("1", 1, [0, 1]),
            ("3", 3, [4]),
            ("4", 3, [4]),
            ("0", 1, [0, 1]),
            ("-1", 1, [0, 1]),
            ("x", 1, [0, 1]),
            ("9" * 5000, 1, [0, 1]),
            ("²", 1, [0, 1]),
        ],
    )
    def test_an_unknown_page_is_the_nearest_one(self, page, number, items):
        cut = Slice.cut(range(5), {"page": page}, size=2)
        assert (cut.number, list(cut.items), cut.pages, cut.total) == (number, items, 3, 5)

    def test_an_empty_list_has_one_page(self):
        assert Slice.cut([], {}) == Slice([], 1, 1, 0)


def test_the_address_of_a_filter_selects_the_same_runs():
    wanted = RunFilter.of({"pipeline": "a&b=c", "find": " x ", "wsid": "/s", "page": "2", "status": ""})
    assert wanted == RunFilter(pipeline="a&b=c", find="x")
    assert wanted.url() == "/runs?pipeline=a%26b%3Dc&find=x"
    assert wanted.url("pipeline") == "/runs?find=x"
    assert wanted.url("pipeline", "find") == "/runs"


@pytest.mark.parametrize(
    ("number", "things", "words"),
    [
        (0, "runs", "0 runs"),
        (1, "runs", "1 run"),
        (2, "runs", "2 runs"),
        (1, "bytes", "1 byte"),
        (11, "days", "11 days"),
    ],
)
def test_counted_in_words(number, things, words):
    assert counted(number, things) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, ""),
        (59.9, ""),
        (-59.9, ""),
        (60, "1 min ahead of real time"),
        (4 * 3600 - 160, "3 h 57 min ahead of real time"),
        (4 * 3600 - 20, "4 h ahead of real time"),
        (-7200, "2 h behind real time"),
        (5e9, "57870 d 8 h ahead of real time"),
    ],
)
def test_distance_of_the_clock_from_real_time_in_words(seconds, words):
    reason = "it was moved or ran faster" if seconds > 0 else "it was held or ran more slowly"
    assert ahead(seconds) == (f"{words}, because {reason}" if words else "")
