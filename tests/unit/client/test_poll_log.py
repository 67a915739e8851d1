"""Which polls of a wait are logged."""

from __future__ import annotations

import json
from itertools import pairwise

from aml_provider.client.poll_log import FIRST_SILENCE, LONGEST_SILENCE, Lines, PollLog


def lines_of(polls):
    log = PollLog()
    return [(now, line) for now, text in polls if (line := log.line(text, now)) is not None]


def test_each_change_is_logged_and_a_poll_without_one_is_not():
    polls = [(0, "Queued"), (30, "Queued"), (60, "Running"), (90, "Running"), (120, "Queued")]
    assert lines_of(polls) == [(0, "Queued"), (60, "Running"), (120, "Queued")]


def test_a_wait_without_news_logs_a_line_at_growing_intervals():
    day = [(now, "Running") for now in range(0, 86_401, 30)]
    minutes = [now / 60 for now, _ in lines_of(day)]
    assert minutes[:7] == [0, 10, 30, 70, 150, 270, 390]
    assert {later - sooner for sooner, later in pairwise(minutes[4:])} == {LONGEST_SILENCE / 60}
    assert lines_of(day)[2] == (1800, "Running, unchanged for 30 min")


def test_news_restarts_the_silence_but_not_its_growth():
    polls = [(0, "a"), (FIRST_SILENCE, "a"), (FIRST_SILENCE + 1, "b")]
    polls += [(FIRST_SILENCE + 1 + later, "b") for later in range(0, 1300, 100)]
    assert lines_of(polls)[-1] == (FIRST_SILENCE + 1 + 1200, "b, unchanged for 20 min")
    assert len(lines_of(polls)) == 4


def test_a_poll_that_is_late_reports_the_real_time():
    assert lines_of([(5, "a"), (5000, "a")]) == [(5, "a"), (5000, "a, unchanged for 83 min")]


def test_a_log_continues_in_another_process():
    polls = [(now, "Running") for now in range(0, 20_000, 60)]
    lines, stored = [], None
    for now, text in polls:
        log = PollLog(stored)
        if (line := log.line(text, now)) is not None:
            lines.append((now, line))
            stored = Lines(*json.loads(json.dumps(log.lines)))
    assert lines == lines_of(polls)
    assert len(lines) == 6
