"""Follows the logs of a run: delivers what is new of each step's files until the run has ended.

Each byte of a file is delivered once. If a file is replaced by another one, the new one is delivered from its
beginning; if it was renamed, as programs do that rotate their logs, it is recognised by its content.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Literal

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, InvalidArgument
from aml_provider.client.flows.log_file import LogFile, News, read_news
from aml_provider.client.flows.run_results import log_files
from aml_provider.client.flows.runs import list_steps, read_run
from aml_provider.client.http.messages import Pause
from aml_provider.client.trouble import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import HistoryRun, PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.retry import RetryPolicy

# The log of a step that has no files.
_STDOUT: Literal["STDOUT"] = "STDOUT"
# The most readings after the end of a run: the last lines of a log may arrive a little later.
_LAST_READINGS = 3


class _Step:
    """A step whose logs are followed.

    Attributes:
        name: Its unique name.
        files: The files that have been read, by name.
        former: Files that no longer have the name under which they were read.
        is_done: Whether everything of an ended step has been delivered.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: dict[str, LogFile] = {}
        self.former: list[LogFile] = []
        self.is_done = False


class LogFollower:
    """Follows the logs of one run.

    Args:
        run_id: The pipeline run or job.
        experiment: Its experiment.
        step: Only this step: its name, or the id of its run.
        deliver: Called with ``step/file`` and the new bytes of that file.
        warn: Called with a line about each file that was replaced or could not be read.
        now: A monotonic clock.
    """

    def __init__(
        self,
        run_id: str,
        experiment: str,
        step: str | None,
        *,
        deliver: Callable[[str, bytes], None],
        warn: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_id = run_id
        self._experiment = experiment
        self._wanted = step
        self._deliver = deliver
        self._warn = warn
        self._now = now
        self._steps: dict[str, _Step] = {}
        self._troubles = Troubles()
        self._is_awaited = False
        self._failing: set[str] = set()

    def follow(
        self,
        *,
        poll_interval: float,
        deadline: float | None = None,
        policy: RetryPolicy,
        clock: Callable[[], float] = time.time,
    ) -> Flow[PipelineRun]:
        """Deliver logs until the run has ended, or its deadline has passed.

        If an error ends this flow, another one continues where it has ended.

        Args:
            poll_interval: Seconds between two polls.
            deadline: Seconds since the epoch; None: until the run has ended.
            policy: For how long the run is read again after an error, and where the errors are logged.
            clock: The wall clock.

        Returns:
            The run as it was read last.

        Raises:
            InvalidArgument: The run has ended without the wanted step.
            AzureMLError: The run could not be read.
        """
        readings = 0
        while True:
            run = yield from read_run(self._run_id, policy=policy)
            is_complete = yield from self._read(run)
            readings += run.state.is_final
            if readings and (is_complete or readings >= _LAST_READINGS):
                for key in sorted(self._failing):
                    self._warn(f"{key}: It failed until the end of the run, so something is missing above.")
                return run
            pause = Pause.before(deadline, poll_interval, clock())
            if pause is None:
                return run
            yield pause

    def _read(self, run: PipelineRun) -> Flow[bool]:
        """Read all logs once; return whether there was nothing new and no error."""
        self._failing.clear()
        try:
            steps = yield from list_steps(self._experiment, self._run_id)
        except AzureMLError as error:
            self._failed(f"list the steps of run {self._run_id}", error.text)
            return False
        self._over(f"list the steps of run {self._run_id}")
        is_complete = True
        for step, item in self._chosen(steps, run):
            if step.is_done or item.status in {"NotStarted", "Queued"}:
                continue
            has_ended = item.state.is_final
            is_quiet = yield from self._read_step(step, item, has_ended=has_ended)
            step.is_done = is_quiet and has_ended
            is_complete &= is_quiet
        return is_complete

    def _chosen(self, steps: tuple[HistoryRun, ...], run: PipelineRun) -> list[tuple[_Step, HistoryRun]]:
        times = Counter(item.name for item in steps)
        for item in steps:
            # A name stays as it was first, so that a file is printed under one name.
            self._steps.setdefault(item.id, _Step(item.name if times[item.name] == 1 else item.id))
        wanted = [item for item in steps if self._wanted is None or self._wanted in {item.name, item.id}]
        if not wanted and self._wanted is not None:
            names = ", ".join(self._steps[item.id].name for item in steps) or "none yet"
            problem = f"is {self._wanted!r}, and run {self._run_id} has no such step; it has {names}"
            if run.state.is_final:
                raise InvalidArgument("step", problem)
            if not self._is_awaited:
                self._warn(f"There is no step {self._wanted!r} yet; the run has {names}. Waiting for it.")
                self._is_awaited = True
        return [(self._steps[item.id], item) for item in wanted]

    def _read_step(self, step: _Step, item: HistoryRun, *, has_ended: bool) -> Flow[bool]:
        """Read the logs of a step once; return whether there was nothing new and no error."""
        key = f"the logs of step {step.name!r}"
        found: dict[str, News] = {}
        problems: list[str] = []
        try:
            files = yield from log_files(self._experiment, item, problems.append)
            if has_ended and not files and not problems and item.node_id and _STDOUT not in step.files:
                text: str = yield calls.get_step_log(self._run_id, item.node_id, _STDOUT)
                found[_STDOUT] = News(text.encode())
        except AzureMLError as error:
            self._failed(key, f"The list of {key} could not be read: {error.text}")
            return False
        self._over(key)
        if problems:
            self._failed(f"more of {key}", problems[0])
        else:
            self._over(f"more of {key}")
        is_quiet = not problems
        for name, url in files.items():
            operation = f"read {name} of step {step.name!r}"
            try:
                found[name] = yield from read_news(operation, url, step.files.get(name, LogFile()))
            except AzureMLError as error:
                self._failed(operation, error.text)
                is_quiet = False
            else:
                self._over(operation)
        # In a list that is not complete, a file that is missing has not vanished.
        listed = {*files, *found, *(step.files if problems else ())}
        return not self._sort(step, listed, found) and is_quiet

    def _sort(self, step: _Step, listed: set[str], found: dict[str, News]) -> bool:
        """Deliver what was found in the files of a step; return whether there was anything new."""
        replaced = [name for name, news in found.items() if news.is_replaced]
        vanished = [name for name in step.files if listed and name not in listed]
        step.former += [step.files.pop(name) for name in (*replaced, *vanished)]
        is_new = False
        # First the rest of renamed files, which are older than those that have their names now.
        for name, news in sorted(found.items(), key=lambda item: item[0] in replaced):
            data = news.data
            if name not in step.files:
                renamed, data = self._renamed(step, data)
                step.files[name] = renamed or LogFile()
                if name in replaced and renamed is None:
                    self._warn(f"{step.name}/{name} was replaced; the new file is printed from its beginning.")
            step.files[name].add(data)
            if data:
                self._deliver(f"{step.name}/{name}", data)
                is_new = True
        return is_new

    def _renamed(self, step: _Step, content: bytes) -> tuple[LogFile | None, bytes]:
        """The former file that has this content now, if there is one, and what is new of the content."""
        for known in step.former:
            rest = known.rest_of(content) if known.size else None
            if rest is not None:
                step.former.remove(known)
                return known, rest
        return None, content

    def _failed(self, key: str, why: str) -> None:
        self._failing.add(key)
        if (text := self._troubles.failed(key, why, None, self._now())) is not None:
            self._warn(f"{key}: {text}")

    def _over(self, key: str) -> None:
        if (text := self._troubles.over(key, self._now())) is not None:
            self._warn(f"{key}: {text}")
