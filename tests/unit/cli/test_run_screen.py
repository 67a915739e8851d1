"""The progress of a run, on a terminal and elsewhere."""

from __future__ import annotations

import contextlib
import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from support.models.service import a_run, a_step

from aml_provider.cli.execution import say
from aml_provider.cli.run_screen import ChangeLines, RunScreen, fitting, watching
from aml_provider.client.errors import Unreachable
from aml_provider.client.flows.runs import Observation

NOW = datetime(2026, 11, 30, 16, 25, 30, tzinfo=UTC)
CREATED = "2026-11-30T16:25:00Z"


@pytest.fixture(autouse=True)
def _unset(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def seen(status="Running", *steps, **options):
    state = {"StatusCode": status, "CreationTime": CREATED, "EndTime": options.pop("ended", None)}
    return Observation(a_run(Status=state), tuple(steps), **options)


def read(status="Running", **wire):
    return a_step("read", status, startTimeUtc="2026-11-30T16:25:10Z", **wire)


SCORE = a_step("score", "NotStarted")
READ_ENDED = read("Completed", endTimeUtc="2026-11-30T16:25:20.9Z")


class TestLines:
    @pytest.fixture
    def stream(self):
        return io.StringIO()

    @pytest.fixture
    def lines(self, stream):
        return ChangeLines(stream, clock=lambda: NOW)

    def test_each_change_is_a_line(self, lines, stream):
        for item in (
            seen("Running", read(), SCORE),
            seen("Running", read(), SCORE),
            seen("Running", READ_ENDED, SCORE),
            seen("Finished", READ_ENDED, SCORE, ended="2026-11-30T16:26:40Z"),
        ):
            lines.add(item)
        assert stream.getvalue().splitlines() == [
            "2026-11-30T16:25:30+00:00 Running    run r-1",
            "2026-11-30T16:25:30+00:00 Running    step read",
            "2026-11-30T16:25:30+00:00 NotStarted step score",
            "2026-11-30T16:25:30+00:00 Completed  step read, after 0:00:10",
            "2026-11-30T16:25:30+00:00 Finished   run r-1, after 0:01:40",
        ]

    def test_a_job_that_does_not_say_when_it_ended_ended_with_its_last_step(self, lines, stream):
        lines.add(seen("Finished", READ_ENDED, SCORE))
        assert stream.getvalue().splitlines()[-1].endswith("Finished   run r-1, after 0:00:20")
        lines.add(seen("Failed"))
        assert stream.getvalue().splitlines()[-1].endswith("Failed     run r-1")

    def test_names_are_other_peoples_texts(self, lines, stream):
        lines.add(seen("Running", a_step("a\x1b[2J\nb", "We\x1bird", runId="1")))
        assert "\x1b" not in stream.getvalue()
        assert len(stream.getvalue().splitlines()) == 2

    def test_colours_can_be_forced(self, lines, stream, monkeypatch):
        monkeypatch.setenv("FORCE_COLOR", "1")
        lines.add(seen("Running", READ_ENDED))
        assert "\x1b[32mCompleted \x1b[0m step read" in stream.getvalue()

    def test_steps_of_one_name_are_told_apart(self, lines, stream):
        lines.add(seen("Running", read(runId="1"), read(runId="2")))
        lines.add(seen("Running", read(runId="1"), read("Failed", runId="2")))
        assert [line.split()[1] for line in stream.getvalue().splitlines()[1:]] == ["Running", "Running", "Failed"]


def drawn(screen, *, columns=80, rows=24):
    stream = io.StringIO()
    Console(file=stream, width=columns, height=rows, color_system=None).print(screen)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


class TestScreen:
    def screen(self, item, *, now=NOW, stream=None, pipeline="score-files", is_over=False):
        screen = RunScreen(pipeline, stream or io.StringIO(), clock=lambda: now)
        screen.seen, screen.is_over = item, is_over
        return screen

    def test_it_has_a_row_for_each_step(self):
        score = a_step("score", "Running", startTimeUtc=CREATED)
        lines = drawn(self.screen(seen("Running", READ_ENDED, score)))
        # Older versions of rich make it a little longer.
        assert set(lines.pop(2)) == {"=", "+"}
        assert lines == [
            "Run of score-files: Running, 0:00:30",
            "step  | status    | started (UTC) | duration",
            "read  | Completed | 16:25:10      | 0:00:10",
            "score | Running   | 16:25:00      | 0:00:30",
            "Ctrl-C stops watching; the run continues.",
        ]

    def test_before_the_first_poll_it_is_empty(self):
        assert drawn(RunScreen("", io.StringIO())) == []

    def test_durations_grow_by_themselves(self):
        later = NOW + timedelta(hours=2)
        assert "0:00:20" in drawn(self.screen(seen("Running", read())))[3]
        assert "2:00:20" in drawn(self.screen(seen("Running", read()), now=later))[3]

    def test_a_service_whose_clock_is_ahead_has_no_negative_durations(self):
        # As in a local workspace whose time runs faster.
        clock = [NOW - timedelta(days=1)]
        screen = RunScreen("", io.StringIO(), clock=lambda: clock[0])
        screen.seen = seen("Running", READ_ENDED, a_step("score", "Running", startTimeUtc="2026-11-30T16:25:20Z"))
        assert "0:00:00" in drawn(screen)[4]
        clock[0] += timedelta(seconds=7)
        assert "0:00:07" in drawn(screen)[4]

    def test_an_unknown_duration_is_left_out(self):
        assert drawn(self.screen(seen("Finished")))[0] == "Run of score-files: Finished"
        assert drawn(self.screen(seen("Finished", READ_ENDED)))[0] == "Run of score-files: Finished, 0:00:20"

    def test_an_ended_run_has_no_hint(self):
        lines = drawn(self.screen(seen("Finished", READ_ENDED, ended="2026-11-30T16:26:40Z"), is_over=True))
        assert lines[0] == "Run of score-files: Finished, 0:01:40"
        assert "Ctrl-C" not in lines[-1]

    @pytest.mark.parametrize("columns", [40, 80])
    def test_no_line_is_wider_than_the_terminal(self, columns):
        screen = self.screen(seen("Running", a_step("long " * 40, "Running", startTimeUtc=CREATED)), pipeline="p" * 300)
        lines = drawn(screen, columns=columns)
        assert max(map(len, lines)) <= columns
        assert len([line for line in lines if "long" in line]) == 1

    def test_it_is_no_taller_than_the_terminal_until_it_is_over(self):
        steps = [a_step(f"step {number}", "Completed") for number in range(40)]
        steps[3] = a_step("the failed one", "Failed")
        steps[30] = a_step("the active one", "Running")
        lines = drawn(self.screen(seen("Running", *steps)), rows=12)
        assert len(lines) < 12
        assert any("the failed one" in line for line in lines)
        assert any("the active one" in line for line in lines)
        assert "and 34 more: 34 Completed" in lines
        assert len(drawn(self.screen(seen("Failed", *steps), is_over=True), rows=12)) >= 40

    def test_an_ascii_terminal_gets_ascii(self):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        item = seen("Running", a_step("été " * 60, "Running"))
        text = "\n".join(drawn(self.screen(item, stream=stream, pipeline="é")))
        assert text.isascii()
        assert "\\xe9t\\xe9" in text

    def test_names_are_other_peoples_texts(self):
        text = "\n".join(drawn(self.screen(seen("Running", a_step("[red]a\x1b[2J", "[b]", runId="1"))), columns=120))
        assert "\x1b" not in text
        assert "[red]a\\x1b[2J" in text


def test_of_too_many_steps_the_interesting_ones_stay_in_their_order():
    steps = tuple(
        a_step(str(number), status)
        for number, status in enumerate(["Completed", "Completed", "Failed", "Completed", "Running", "NotStarted"])
    )
    assert [step.name for step in fitting(steps, 6)] == list("012345")
    assert [step.name for step in fitting(steps, 3)] == list("234")
    assert [step.name for step in fitting(steps, 2)] == list("24")
    assert [step.name for step in fitting(steps, -3)] == ["2"]


def test_steps_that_cannot_be_read_stay_as_they_were_and_are_reported_once(capsys):
    stream = io.StringIO()
    away = Unreachable("The service is unreachable.")
    with watching(stream, "") as notify:
        for item in (
            seen("Running", read()),
            seen("Running", problem=away),
            seen("Running", problem=away),
            seen("Running", READ_ENDED),
        ):
            notify(item)
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == ["Running", "Running", "Completed"]
    assert capsys.readouterr().err == "The steps of the run could not be read: The service is unreachable.\n"


class AsciiScreen(io.TextIOWrapper):
    def isatty(self):
        return True


def test_messages_appear_above_the_table_whole_and_in_characters_that_the_terminal_has(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    screen = AsciiScreen(io.BytesIO(), encoding="ascii", write_through=True)
    address = "https://" + "x" * 200
    with contextlib.redirect_stderr(screen), watching(screen, "") as notify:
        notify(seen("Running", read()))
        say(f"café: {address}")
    assert f"caf\\xe9: {address}" in screen.buffer.getvalue().decode()
