"""One look at many waiting runs: what is asked, and what the answers mean. Decisions, without I/O.

The run history tells the states of hundreds of runs in one answer. But it is a copy: what a run ended as is decided by
the record in the pipelines service. That is read when the history says that a run has ended or does not know it, and in
turn for a few of the others, so that not even a copy that stands still makes anybody wait for ever.
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
    from aml_provider.client.polling.queries import Sighting
    from aml_provider.client.polling.waits import Steps, Watch, Watchlist

# Records that are read in each look although the history shows their runs as active. No more runs than that need no
# query at all.
_CHECKS = 2
# A look asks for the steps of as many runs as fit one page; of one whose steps are not known it expects so many.
_STEPS_PAGE = 500
_STEPS_EXPECTED = 10
# So many records that cannot be read are a service that is down: the others are not asked for.
_STRIKES = 3

# The history's words for the states.
_STATES = {word: state for state in RunState for word in state.history_words}
# Other ids could mean something to the filter; their runs are asked for one by one.
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{7,}")


class Look:
    """One look at some runs: first by :attr:`batches`, then by :meth:`records`, last at :meth:`parents`.

    Args:
        watchlist: Whose it is.
        watches: At whom.
        now: When it begins.

    Attributes:
        batches: Ids to query for, a tuple for each query; a query that is too long comes back as two.
    """

    def __init__(self, watchlist: Watchlist, watches: Sequence[Watch], now: float) -> None:
        self._list = watchlist
        self._start = now
        self._watches = watches
        # Of several who wait for the same run, any one stands for it.
        self._by_run = {watch.run_id: watch for watch in watches}
        plain = [run_id for run_id in self._by_run if _PLAIN.fullmatch(run_id)]
        self.batches: list[tuple[str, ...]] = []
        if len(self._by_run) > _CHECKS and watchlist.may_query(now):
            width = watchlist.width
            self.batches = [tuple(plain[at : at + width]) for at in range(0, len(plain), width)]
        self._seen: dict[str, str] = {}
        self._ended: set[str] = set()
        self._read: dict[str, PipelineRun] = {}
        self._steps: Mapping[str, Steps] = {}
        self._errors: dict[str, AzureMLError] = {}
        self._outage: AzureMLError | None = None
        self._strikes = 0
        self._pauses: dict[int, float] = {}
        self._news: dict[Watch, None] = {}
        self._throttling: AzureMLError | None = None

    def __str__(self) -> str:
        return (
            f"{len(self._by_run)} runs, {len(self._seen)} found in the history, {len(self._read)} records read, "
            f"{len(self._errors)} not read{', throttled' if self.throttled else ''}"
        )

    @property
    def throttled(self) -> bool:
        """Whether the service asked to be left alone."""
        return self._throttling is not None

    def found(self, runs: Iterable[Sighting]) -> None:
        """Take a query's answer."""
        for run_id, status in runs:
            if run_id in self._by_run:
                state = _STATES.get(status, RunState.UNKNOWN)
                if state.is_final:
                    self._ended.add(run_id)
                # The words of the pipelines service, so that nothing seems to change when its record is read.
                self._seen[run_id] = status if state is RunState.UNKNOWN else state.value

    def lost(self, run_ids: tuple[str, ...], error: AzureMLError, now: float) -> None:
        """Take a query's failure. Its runs are asked for one by one, but not if the service wants to be left alone."""
        if self._is_throttling(error, now):
            return
        self._list.defer_queries(error, now)
        if isinstance(error, BadRequest) and len(run_ids) > 1 and self._outage is None:
            # What else could be wrong with it than its length? So it is halved, and the next ones are as short.
            half = (len(run_ids) + 1) // 2
            self._list.width = min(self._list.width, half)
            self.batches += [run_ids[:half], run_ids[half:]]
            return
        self.batches.clear()
        self._outage = error

    def records(self) -> list[str]:
        """Ids of the runs whose records are to be read: those that may have ended come first."""
        if self.throttled:
            return []
        unseen = [run_id for run_id in self._by_run if run_id not in self._seen]
        # The others in turn; one that could not be read stays the next.
        checks = nsmallest(_CHECKS, self._by_run, key=lambda run_id: self._by_run[run_id].read_at)
        return list(dict.fromkeys([*sorted(self._ended), *checks, *unseen]))

    @property
    def is_down(self) -> bool:
        """Whether to ask for nothing more."""
        return self.throttled or self._strikes >= _STRIKES

    def read(self, run_id: str, run: PipelineRun) -> None:
        """Take a record; the service may spell its id in other letters than it was asked for."""
        self._read[run_id] = run

    def missed(self, run_id: str, error: AzureMLError, now: float) -> None:
        """Take the failure to read a record."""
        if self._is_throttling(error, now):
            return
        if not ends_a_wait(error):
            self._strikes += 1
        self._errors[run_id] = error
        self._outage = self._outage or error

    def parents(self) -> list[str]:
        """Ids of the runs whose steps are to be listed: those that have changed, then in turn, one page in all."""
        if self.is_down or not self._list.may_query(self._start):
            return []
        known = [run_id for run_id in self._by_run if self._status(run_id) and _PLAIN.fullmatch(run_id)]
        turn = nsmallest(min(self._list.width, _STEPS_PAGE), known, key=self._steps_turn)
        room = _STEPS_PAGE
        chosen: list[str] = []
        for run_id in turn:
            steps = self._by_run[run_id].steps
            room -= _STEPS_EXPECTED if steps is None else len(steps)
            if chosen and (room < 0 or not self._list.queries_steps):
                break
            chosen.append(run_id)
        return chosen

    def stepped(self, steps: Mapping[str, Steps]) -> None:
        """Take the steps of those runs."""
        self._steps = steps

    def steps_refused(self, error: AzureMLError, now: float) -> None:
        """Take the failure to list steps: progress is a courtesy, without it the runs are watched all the same."""
        if self._is_throttling(error, now):
            return
        self._list.defer_queries(error, now)
        if error.permanent:
            self._list.queries_steps = False

    def close(self, now: float) -> list[Watch]:
        """Note what has come of it, and when to look again.

        Returns:
            Those for whom something has changed; they are still to be told.
        """
        going_on = [watch for watch in self._watches if self._settle(watch, now)]
        self._list.schedule(going_on, self._start, now)
        return list(self._news)

    def _settle(self, watch: Watch, now: float) -> bool:
        """Whether it has been looked at, and the next look is an interval later."""
        run_id = watch.run_id
        own = self._errors.get(run_id)
        run = self._read.get(run_id)
        if own is not None:
            self._failed(watch, own, now)
            return False
        if run is not None:
            watch.read_at = now
        elif run_id not in self._seen:
            if self._outage is not None and not self.throttled:
                self._failed(watch, self._outage, now)
                return False
            # A service that says "later" is no service that fails. It is due as it was, and looked at then.
            watch.failing_since = None
            watch.tries = 0
            watch.poll_at(watch.due)
            if self._throttling is not None:
                self._tell(watch, logging.WARNING, self._list.troubles.failed(watch, self._throttling, None, now))
            return False
        watch.failing_since = None
        watch.tries = 0
        self._tell(watch, logging.INFO, self._list.troubles.over(watch, now))
        steps = self._steps.get(run_id)
        if steps is not None:
            watch.steps, watch.steps_at = steps, now
        ended = run is not None and run.state.is_final
        # Of what has ended no older states of steps are told.
        progress = Progress(self._status(run_id), (steps if ended else watch.steps) or ())
        if ended:
            watch.run = run
            self._list.leave(watch)
        if progress != watch.progress or ended:
            watch.progress = progress
            self._news[watch] = None
        return not ended

    def _failed(self, watch: Watch, error: AzureMLError, now: float) -> None:
        """Try again soon, or as late as the service asks for; without the time for that the wait ends."""
        if watch.failing_since is None:
            watch.failing_since = now
        left = self._list.policy.budget - (now - watch.failing_since)
        pause = pause_after(error, self._pause(watch.tries))
        of_run = watch.run_id in self._errors and ends_a_wait(error)
        if of_run or pause > left:
            self._list.leave(watch)
            watch.error = error
            self._news[watch] = None
            return
        watch.tries += 1
        watch.poll_at(now + pause)
        self._tell(watch, logging.WARNING, self._list.troubles.failed(watch, error, left, now))

    def _pause(self, tries: int) -> float:
        # One for all, or each would have a look of its own.
        if tries not in self._pauses:
            self._pauses[tries] = self._list.policy.pause(tries, None)
        return self._pauses[tries]

    def _tell(self, watch: Watch, level: int, text: str | None) -> None:
        if text is not None:
            watch.notice = level, text
            self._news[watch] = None

    def _status(self, run_id: str) -> str:
        """What is known of a run's status after this look; nothing is the empty text."""
        run = self._read.get(run_id)
        # An end that the record does not confirm is none.
        if run is not None and (run.state.is_final or run_id not in self._seen or run_id in self._ended):
            return run.status
        return self._seen.get(run_id, "")

    def _steps_turn(self, run_id: str) -> tuple[bool, float]:
        watch = self._by_run[run_id]
        same = watch.progress is not None and watch.progress.status == self._status(run_id)
        return same, watch.steps_at

    def _is_throttling(self, error: AzureMLError, now: float) -> bool:
        if not isinstance(error, Throttled):
            return False
        self.batches.clear()
        if self._throttling is None:
            self._throttling = error
            self._list.throttle(error, now)
        return True
