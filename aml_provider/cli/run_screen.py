"""The progress of a run, for people: a table that changes on a terminal, and a line for each change elsewhere."""

from __future__ import annotations

import contextlib
import io
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rich.box import ASCII_DOUBLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aml_provider.cli.execution import say
from aml_provider.cli.records import duration_of, status_of
from aml_provider.cli.terminal import colour_of, encodable, has_colours, is_screen, painted, write
from aml_provider.client.entities import RunState
from aml_provider.client.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO, TypeAlias

    from rich.console import ConsoleOptions, RenderResult

    from aml_provider.client.entities import HistoryRun, PipelineRun
    from aml_provider.client.flows.runs import Observation

    #: The id, the status and the name of a run or step, and the run or step itself.
    _Status: TypeAlias = tuple[str, str, str, PipelineRun | HistoryRun]

# The lines of the screen that are not steps: the run, the heading and its rule, two hints, and the cursor.
_OTHER_LINES = 6
_LONGEST_NAME = 200
_LONGEST_STATUS = 40
# The order in which steps are left out, if there are too many for the screen, is the reverse of this one.
_RANKS = {RunState.FAILED: 0, RunState.FINISHED: 2, RunState.CANCELED: 2, RunState.NOT_STARTED: 3}
_ACTIVE_RANK = 1


@contextlib.contextmanager
def watching(stream: TextIO, pipeline: str) -> Iterator[Callable[[Observation], None]]:
    """Show a run; yield the function that takes the result of each poll.

    Args:
        stream: The destination.
        pipeline: The name of the pipeline; may be empty.
    """
    if not is_screen(stream):
        yield _reporting_problems(ChangeLines(stream).add)
        return
    screen = RunScreen(pipeline, stream)
    console = Console(
        file=stream,
        force_terminal=True,
        color_system="standard" if has_colours(stream) else None,
        no_color=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    live = Live(
        screen,
        console=console,
        # Durations grow between two polls.
        refresh_per_second=1,
        redirect_stderr=False,
        redirect_stdout=False,
    )
    messages = _AboveTable(console, stream) if sys.stderr.isatty() else sys.stderr

    def show(seen: Observation) -> None:
        screen.seen = seen
        live.refresh()

    with live, contextlib.redirect_stderr(messages):
        try:
            yield _reporting_problems(show)
        finally:
            screen.is_over = True


class _AboveTable(io.TextIOBase):
    """A stream whose lines appear above the table. The terminal wraps long ones, so that addresses stay whole.

    Args:
        console: The console of the table.
        stream: The terminal.
    """

    def __init__(self, console: Console, stream: TextIO) -> None:
        self._console = console
        self._stream = stream
        self._begun = ""

    def write(self, text: str) -> int:
        """Print the lines that have ended."""
        *lines, self._begun = f"{self._begun}{text}".split("\n")
        for line in lines:
            self._console.print(Text(encodable(line, self._stream)), soft_wrap=True)
        return len(text)


def _reporting_problems(show: Callable[[Observation], None]) -> Callable[[Observation], None]:
    """Say once that the steps of a run cannot be read; until they can be, their last statuses are shown."""
    steps: tuple[HistoryRun, ...] = ()
    is_failing = False

    def notify(seen: Observation) -> None:
        nonlocal steps, is_failing
        if seen.problem is None:
            steps, is_failing = seen.steps, False
        elif not is_failing:
            say(f"The steps of the run could not be read: {seen.problem.text}")
            is_failing = True
        show(seen._replace(steps=steps))

    return notify


class ChangeLines:
    """Writes a line for each change of a status: time, status and name.

    Args:
        stream: The destination.
        clock: Returns the time.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._stream = stream
        self._clock = clock
        self._last: dict[str, str] = {}

    def add(self, seen: Observation) -> None:
        """Write what has changed."""
        at = self._clock().isoformat(timespec="seconds")
        run: _Status = (seen.run.id, status_of(seen.run), f"run {seen.run.id}", _with_end(seen))
        steps: list[_Status] = [
            (step.id, step.status, f"step {one_line(step.name, _LONGEST_NAME)}", step) for step in seen.steps
        ]
        # A run begins before its steps and ends after them.
        for key, status, name, item in [*steps, run] if seen.run.state.is_final else [run, *steps]:
            if self._last.get(key) == status:
                continue
            self._last[key] = status
            duration = duration_of(item) if item.state.is_final else None
            after = "" if duration is None else f", after {duration}"
            shown = painted(f"{one_line(status, _LONGEST_STATUS):<10}", status, self._stream)
            write(self._stream, f"{at} {shown} {name}{after}\n")


class RunScreen:
    """A table of a run's steps, as tall as the terminal at most.

    Args:
        pipeline: The name of the pipeline; may be empty.
        stream: The terminal.
        clock: Returns the time.

    Attributes:
        seen: The result of the last poll; None before the first one.
        is_over: Whether the table will not change any more. Then it has all steps.
    """

    def __init__(
        self, pipeline: str, stream: TextIO, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.seen: Observation | None = None
        self.is_over = False
        self._pipeline = one_line(pipeline, _LONGEST_NAME)
        self._stream = stream
        self._clock = clock
        self._ahead = timedelta()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it."""
        if self.seen is None:
            return
        run, steps = self.seen.run, self.seen.steps
        now = self._now(self.seen)
        status = status_of(run)
        of = f" of {self._pipeline}" if self._pipeline else ""
        duration = duration_of(_with_end(self.seen), now)
        yield Text.assemble(
            self._shown(f"Run{of}: "),
            (self._shown(status), colour_of(status)),
            "" if duration is None else f", {duration}",
        )
        shown = list(steps) if self.is_over else fitting(steps, console.height - _OTHER_LINES)
        table = Table(box=ASCII_DOUBLE_HEAD, show_edge=False, pad_edge=False)
        has_dots = encodable("…", self._stream) == "…"
        table.add_column("step", no_wrap=True, overflow="ellipsis" if has_dots else "crop")
        for heading in ("status", "started (UTC)", "duration"):
            table.add_column(heading, no_wrap=True, min_width=8)
        for step in shown:
            table.add_row(
                Text(self._shown(step.name)),
                Text(self._shown(step.status), colour_of(step.status)),
                "" if step.started is None else step.started.astimezone(UTC).strftime("%H:%M:%S"),
                "" if (duration := duration_of(step, now)) is None else str(duration),
            )
        if shown:
            yield table
        left_out = Counter(step.status for step in steps) - Counter(step.status for step in shown)
        if left_out:
            rest = ", ".join(f"{count} {status}" for status, count in left_out.items())
            yield Text(self._shown(f"and {left_out.total()} more: {rest}"))
        if not self.is_over:
            yield Text("Ctrl-C stops watching; the run continues.", no_wrap=True)

    def _now(self, seen: Observation) -> datetime:
        """The time by the service's clock, if that is ahead of this host's: no time in a reply is in the future."""
        now = self._clock()
        times = [time for step in seen.steps for time in (step.created, step.started, step.ended) if time is not None]
        times += [time for time in (seen.run.created, seen.run.ended) if time is not None]
        self._ahead = max([self._ahead, *(time - now for time in times)])
        return now + self._ahead

    def _shown(self, text: str) -> str:
        return encodable(one_line(text, _LONGEST_NAME), self._stream)


def _with_end(seen: Observation) -> PipelineRun:
    """The run; if the service does not say when it ended, as that of jobs, it ended with its last step."""
    run, ends = seen.run, [step.ended for step in seen.steps if step.ended is not None]
    return replace(run, ended=max(ends)) if run.state.is_final and run.ended is None and ends else run


def fitting(steps: tuple[HistoryRun, ...], room: int) -> list[HistoryRun]:
    """The steps for which there is room, in their order: failed ones first, then active, ended and waiting ones."""
    if len(steps) <= room:
        return list(steps)
    numbered = list(enumerate(steps))
    # Of the ended steps, those that began last.
    numbered.sort(
        key=lambda item: (_rank(item[1]), -item[0] if _rank(item[1]) == _RANKS[RunState.FINISHED] else item[0])
    )
    return [step for _, step in sorted(numbered[: max(1, room)], key=lambda item: item[0])]


def _rank(step: HistoryRun) -> int:
    return _RANKS.get(step.state, _ACTIVE_RANK)
