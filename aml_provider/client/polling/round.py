"""Decides, without I/O, what one round of polling many waiting runs requests, and what the replies mean.

The run history returns the states of hundreds of runs in one answer. But it is a copy: only the pipelines service
decides how a run ended. So a run is read from the pipelines service if the history shows that the run has ended, or if
the history does not know the run. A few of the other runs are read too, in turn, so that no task waits for ever if the
copy is no longer updated.
"""

from __future__ import annotations

import logging
import re
from heapq import nsmallest
from typing import TYPE_CHECKING

from aml_provider.client.entities import RunState
from aml_provider.client.errors import BadRequest, Throttled, ends_a_wait
from aml_provider.client.flows.runs import Progress
from aml_provider.client.trouble import pause_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.errors import AzureMLError
    from aml_provider.client.polling.queries import StatusRow
    from aml_provider.client.polling.waits import Steps, Wait, WaitQueue

# Runs that are read in each round although the history shows them as active. A round with
# at most this many runs sends no query.
_CHECKS = 2
# A round lists the steps of as many runs as fit one page; a run whose steps are not known counts for that many.
_STEPS_PAGE = 500
_STEPS_EXPECTED = 10
# A round ends the waits of at most this many runs, whose steps fit one page. The other ended runs follow in the next
# round, so many seconds after this one began. While the supervisor of Airflow's triggerer stores events, it reads no
# log lines, so hundreds of events at a time would block the triggerer at a log line.
_ENDS = _STEPS_PAGE // _STEPS_EXPECTED
_NEXT_ENDS = 1.0
# Once this many runs could not be read, the service counts as down, and the others are not read.
_FAILURES = 3

# The history's words for the states.
_STATES = {word: state for state in RunState for word in state.history_words}
# Other ids could have a meaning in the filter; their runs are read one by one.
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{7,}")


class PollRound:
    """One round of polling: query for the :attr:`batches`, read the runs of :meth:`to_read`, then list the steps.

    The runs whose steps are listed are those of :meth:`to_list`; at the end, call :meth:`finish`.

    Args:
        queue: The queue of all waits.
        waits: The waits that are due.
        now: When the round begins.

    Attributes:
        batches: Ids to query for, a tuple for each query; a query that is too long is replaced by two.
    """

    def __init__(self, queue: WaitQueue, waits: Sequence[Wait], now: float) -> None:
        self._queue = queue
        self._start = now
        self._waits = waits
        # Of several waits for the same run, any one stands for it.
        self._by_run = {wait.run_id: wait for wait in waits}
        plain = [run_id for run_id in self._by_run if _PLAIN.fullmatch(run_id)]
        self.batches: list[tuple[str, ...]] = []
        if len(self._by_run) > _CHECKS and queue.may_query(now):
            width = queue.width
            self.batches = [tuple(plain[at : at + width]) for at in range(0, len(plain), width)]
        self._statuses: dict[str, str] = {}
        self._ended: set[str] = set()
        self._left: frozenset[str] = frozenset()
        self._runs: dict[str, PipelineRun] = {}
        self._steps: Mapping[str, Steps] = {}
        self._errors: dict[str, AzureMLError] = {}
        self._outage: AzureMLError | None = None
        self._failures = 0
        self._pauses: dict[int, float] = {}
        self._news: dict[Wait, None] = {}
        self._throttling: AzureMLError | None = None

    def __str__(self) -> str:
        return (
            f"{len(self._by_run)} runs, {len(self._statuses)} found in the history, {len(self._runs)} read, "
            f"{len(self._errors)} not read{', throttled' if self.is_throttled else ''}"
        )

    @property
    def is_throttled(self) -> bool:
        """Whether the service answered 429: nothing more is requested."""
        return self._throttling is not None

    def add_statuses(self, rows: Iterable[StatusRow]) -> None:
        """Take a query's answer."""
        for run_id, status in rows:
            if run_id in self._by_run:
                state = _STATES.get(status, RunState.UNKNOWN)
                if state.is_final:
                    self._ended.add(run_id)
                # In the pipelines service's words, so that the status does not seem to change when the run is read.
                self._statuses[run_id] = status if state is RunState.UNKNOWN else state.value

    def query_failed(self, run_ids: tuple[str, ...], error: AzureMLError, now: float) -> None:
        """Take a query's failure: its runs are read one by one, unless the service throttles."""
        if self._throttles(error, now):
            return
        self._queue.defer_queries(error, now)
        if isinstance(error, BadRequest) and len(run_ids) > 1 and self._outage is None:
            # Most likely it is too long. So it is halved, and later queries are as short.
            half = (len(run_ids) + 1) // 2
            self._queue.width = min(self._queue.width, half)
            self.batches += [run_ids[:half], run_ids[half:]]
            return
        self.batches.clear()
        self._outage = error

    def to_read(self) -> list[str]:
        """Ids of the runs that have to be read; those that may have ended come first."""
        if self.is_throttled:
            return []
        ended = sorted(self._ended)
        unknown = [run_id for run_id in self._by_run if run_id not in self._statuses]
        # The others in turn; a run that could not be read stays the next.
        checks = nsmallest(_CHECKS, self._by_run, key=lambda run_id: self._by_run[run_id].read_at)
        chosen = dict.fromkeys([*ended[:_ENDS], *checks, *unknown])
        self._left = frozenset(ended) - chosen.keys()
        return list(chosen)

    @property
    def is_down(self) -> bool:
        """Whether nothing more should be requested."""
        return self.is_throttled or self._failures >= _FAILURES

    def add_run(self, run_id: str, run: PipelineRun) -> None:
        """Take the run that was read with ``run_id``; the service may return its id in another spelling."""
        self._runs[run_id] = run

    def read_failed(self, run_id: str, error: AzureMLError, now: float) -> None:
        """Take the failure to read a run."""
        if self._throttles(error, now):
            return
        if not ends_a_wait(error):
            self._failures += 1
        self._errors[run_id] = error
        self._outage = self._outage or error

    def to_list(self) -> list[str]:
        """Ids of the runs whose steps have to be listed, at most one page: first changed runs, then others in turn."""
        if self.is_down or not self._queue.may_query(self._start):
            return []
        known = [
            run_id
            for run_id in self._by_run
            if self._status(run_id) and run_id not in self._left and _PLAIN.fullmatch(run_id)
        ]
        turn = nsmallest(min(self._queue.width, _STEPS_PAGE), known, key=self._steps_turn)
        room = _STEPS_PAGE
        chosen: list[str] = []
        for run_id in turn:
            steps = self._by_run[run_id].steps
            room -= _STEPS_EXPECTED if steps is None else len(steps)
            if chosen and (room < 0 or not self._queue.queries_steps):
                break
            chosen.append(run_id)
        return chosen

    def add_steps(self, steps: Mapping[str, Steps]) -> None:
        """Take the steps of those runs."""
        self._steps = steps

    def steps_failed(self, error: AzureMLError, now: float) -> None:
        """Take the failure to list steps: they only show progress, so no wait fails because of it."""
        if self._throttles(error, now):
            return
        self._queue.defer_queries(error, now)
        if error.permanent:
            self._queue.queries_steps = False

    def finish(self, now: float) -> list[Wait]:
        """Update the waits, and schedule their next poll.

        Returns:
            The waits with news, whose waiters still have to be notified.
        """
        polled = [wait for wait in self._waits if self._update(wait, now)]
        self._queue.schedule(polled, self._start, now)
        return list(self._news)

    def _update(self, wait: Wait, now: float) -> bool:
        """Update a wait; return whether the poll of its run succeeded and the wait continues."""
        run_id = wait.run_id
        own = self._errors.get(run_id)
        run = self._runs.get(run_id)
        if own is not None:
            self._fail(wait, own, now)
            return False
        if run is not None:
            wait.read_at = now
        elif run_id not in self._statuses:
            if self._outage is not None and not self.is_throttled:
                self._fail(wait, self._outage, now)
                return False
            # A busy service is not a failing one. The wait stays due, and is polled when the throttling ends.
            wait.failing_since = None
            wait.failures = 0
            wait.poll_at(wait.due)
            if self._throttling is not None:
                self._log(wait, logging.WARNING, self._queue.troubles.failed(wait, self._throttling, None, now))
            return False
        wait.polled_at = now
        wait.failing_since = None
        wait.failures = 0
        self._log(wait, logging.INFO, self._queue.troubles.over(wait, now))
        if run_id in self._left and not self.is_down:
            wait.poll_at(self._start + _NEXT_ENDS)
            return False
        steps = self._steps.get(run_id)
        if steps is not None:
            wait.steps, wait.steps_at = steps, now
        ended = run is not None and run.state.is_final
        # Older states of the steps would contradict the end of the run.
        progress = Progress(self._status(run_id), (steps if ended else wait.steps) or ())
        if ended:
            wait.run = run
            self._queue.leave(wait)
        if progress != wait.progress or ended:
            wait.progress = progress
            wait.has_changed(now)
            self._news[wait] = None
        elif wait.is_silent(now):
            self._news[wait] = None
        return not ended

    def _fail(self, wait: Wait, error: AzureMLError, now: float) -> None:
        """Poll again soon, or as late as the service asks for; if that exceeds the budget, the wait ends."""
        if wait.failing_since is None:
            wait.failing_since = now
        left = self._queue.policy.budget - (now - wait.failing_since)
        pause = pause_after(error, self._pause(wait.failures))
        of_run = wait.run_id in self._errors and ends_a_wait(error)
        if of_run or pause > left:
            self._queue.leave(wait)
            wait.error = error
            self._news[wait] = None
            return
        wait.failures += 1
        wait.poll_at(now + pause)
        self._log(wait, logging.WARNING, self._queue.troubles.failed(wait, error, left, now))

    def _pause(self, failures: int) -> float:
        # One for all waits, which are then polled in one round.
        if failures not in self._pauses:
            self._pauses[failures] = self._queue.policy.pause(failures, None)
        return self._pauses[failures]

    def _log(self, wait: Wait, level: int, text: str | None) -> None:
        if text is not None:
            wait.notice = level, text
            self._news[wait] = None

    def _status(self, run_id: str) -> str:
        """What is known of a run's status after this round; empty if nothing is."""
        run = self._runs.get(run_id)
        # An end in the history that the pipelines service does not confirm does not count.
        if run is not None and (run.state.is_final or run_id not in self._statuses or run_id in self._ended):
            return run.status
        return self._statuses.get(run_id, "")

    def _steps_turn(self, run_id: str) -> tuple[bool, float]:
        wait = self._by_run[run_id]
        same = wait.progress is not None and wait.progress.status == self._status(run_id)
        return same, wait.steps_at

    def _throttles(self, error: AzureMLError, now: float) -> bool:
        if not isinstance(error, Throttled):
            return False
        self.batches.clear()
        if self._throttling is None:
            self._throttling = error
            self._queue.throttle(error, now)
        return True
