"""The queue of waiting runs: decides, without a clock and without I/O, which runs are polled when."""

from __future__ import annotations

import random
from bisect import bisect_right
from typing import TYPE_CHECKING

from aml_provider.client.poll_log import FIRST_SILENCE, next_silence
from aml_provider.client.trouble import Troubles, pause_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.errors import AzureMLError
    from aml_provider.client.flows.runs import Progress
    from aml_provider.client.http.retry import RetryPolicy

#: Steps as progress shows them: names and statuses.
Steps = tuple[tuple[str, str], ...]

#: Runs in one query at first: about 12 kB of filter. The service's limit is not documented.
WIDTH = 250
# A wait is polled first after this part of its interval, or after this many seconds if that is sooner: a triggerer that
# starts resumes its waits within seconds, and they are polled together.
_GATHERING = 0.1
_LONGEST_GATHERING = 3.0
# A run that has been waited for that many of its intervals is polled in every second, or fourth, round only.
_SLOWER = ((80.0, 4), (40.0, 2))
# A poll may be late by this part of its interval if that saves a round.
_LATENESS = 0.25
# Rounding of floats, in seconds.
_EPSILON = 1e-3


class Wait:
    """One wait for one run.

    Args:
        run_id: The pipeline run.
        poll_interval: The minimum number of seconds between two polls.

    Attributes:
        progress: How far the run is; None before the first poll.
        run: The run, once it has ended.
        error: Why the wait has failed, once it has.
        notice: The level and the text of a line about a failure, or about its end, that still has to be logged.
        changed_at: When the progress changed.
        line_due: When a line is logged even if the progress does not change.
        silence: The seconds between the line before and that one.
        unchanged_for: The seconds without news, if a line about them still has to be logged.
        polled_at: The time of the last poll that succeeded; before the first one, the time when the wait began.
        is_late: True once the waiter's deadline has passed. Set by the waiter; polling ignores it.
    """

    __slots__ = (
        "begun",
        "changed_at",
        "due",
        "error",
        "failing_since",
        "failures",
        "in_step",
        "is_late",
        "lateness",
        "line_due",
        "notice",
        "poll_interval",
        "polled_at",
        "progress",
        "read_at",
        "run",
        "run_id",
        "silence",
        "steps",
        "steps_at",
        "unchanged_for",
    )

    def __init__(self, run_id: str, poll_interval: float) -> None:
        self.run_id = run_id
        self.poll_interval = poll_interval
        self.progress: Progress | None = None
        self.run: PipelineRun | None = None
        self.error: Exception | None = None
        self.notice: tuple[int, str] | None = None
        self.is_late = False
        self.begun = 0.0
        self.polled_at = 0.0
        self.changed_at = 0.0
        self.line_due = 0.0
        self.silence = FIRST_SILENCE
        self.unchanged_for: float | None = None
        self.due = 0.0
        # Seconds that the poll may be late to share a round with others.
        self.lateness = 0.0
        # Whether its polls coincide with those of the others, as far as possible.
        self.in_step = False
        self.steps: Steps | None = None
        self.steps_at = self.read_at = float("-inf")
        self.failing_since: float | None = None
        self.failures = 0

    def poll_at(self, due: float) -> None:
        """Poll the run at this time, without regard to the other waits."""
        self.due = due
        self.lateness = 0.0
        self.in_step = False

    def has_changed(self, now: float) -> None:
        """Record that the progress has changed, so that a line is logged now, and the next one later."""
        self.changed_at = now
        self.line_due = now + self.silence
        self.unchanged_for = None

    def is_silent(self, now: float) -> bool:
        """Whether it is time for a line although the progress has not changed; if so, that line has to be logged."""
        if now < self.line_due:
            return False
        self.silence = next_silence(self.silence)
        self.line_due = now + self.silence
        self.unchanged_for = now - self.changed_at
        return True

    def interval(self, now: float) -> float:
        """Seconds to the next poll: one interval, or two or four if that is at most a twentieth of the wait so far."""
        age = now - self.begun
        return self.poll_interval * next((times for after, times in _SLOWER if age >= after * self.poll_interval), 1)


class WaitQueue:
    """All waits for runs of one experiment under one identity.

    Times are seconds of a monotonic clock.

    Args:
        policy: How long a run that cannot be read is tried again before its wait fails. Throttling does not count.
        stagger: Draws a number below 1, which decides by how much the intervals of this queue are stretched (a
            twentieth at most), so that many queues do not poll at the same time, and by how much the time until a
            wait's first line without news (a half at most).

    Attributes:
        width: The most runs in one query.
        queries_steps: Whether the service accepts a query for the steps of several runs.
        troubles: The failures of the waits.
    """

    def __init__(self, policy: RetryPolicy, *, stagger: Callable[[], float] = random.random) -> None:
        self.policy = policy
        self.width = WIDTH
        self.queries_steps = True
        self.troubles = Troubles()
        self.pace = 1.0 + stagger() / 20.0
        self._stagger = stagger
        self._waits: dict[Wait, None] = {}
        self._gathering = float("-inf")
        self._not_before = self._no_queries_before = float("-inf")
        self._throttled = 0

    def __iter__(self) -> Iterator[Wait]:
        return iter(tuple(self._waits))

    def __len__(self) -> int:
        return len(self._waits)

    def age(self, now: float) -> float:
        """The longest time since a wait was polled with success, in seconds; 0 if there are no waits."""
        return max((now - wait.polled_at for wait in self._waits), default=0.0)

    def join(self, wait: Wait, now: float) -> None:
        """Begin a wait."""
        latest = now + min(_LONGEST_GATHERING, _GATHERING * wait.poll_interval)
        if not now <= self._gathering <= latest:
            self._gathering = latest
        wait.begun = wait.polled_at = wait.changed_at = now
        # Hundreds of waits that begin together do not log their lines together.
        wait.silence = FIRST_SILENCE * (1.0 + self._stagger() / 2.0)
        wait.line_due = now + wait.silence
        wait.due = self._gathering
        self._waits[wait] = None

    def leave(self, wait: Wait) -> None:
        """End a wait."""
        self._waits.pop(wait, None)
        self.troubles.forget(wait)

    def wake_at(self) -> float | None:
        """The time of the next round, at which as many waits as possible can be polled; None if there are no waits."""
        if not self._waits:
            return None
        latest = min(wait.due + wait.lateness for wait in self._waits)
        return max(self._not_before, *(wait.due for wait in self._waits if wait.due <= latest))

    def due(self, now: float) -> list[Wait]:
        """The waits of a round that begins now."""
        return [wait for wait in self._waits if wait.due <= now + _EPSILON]

    def throttle(self, error: AzureMLError, now: float) -> None:
        """Send no request for as long as the service asks. If it names no time, each refusal lengthens the pause."""
        self._not_before = now + pause_after(error, self.policy.pause(self._throttled, None))
        self._throttled += 1

    def may_query(self, now: float) -> bool:
        """Whether the run history may be queried; the pipelines service may be queried anyway."""
        return now >= self._no_queries_before

    def defer_queries(self, error: AzureMLError, now: float) -> None:
        """Do not query the run history for as long as it asks, but no longer than the retry budget.

        Meanwhile each run is read with a request of its own.
        """
        if error.retry_after is not None:
            self._no_queries_before = now + min(error.retry_after, self.policy.budget)

    def schedule(self, polled: Sequence[Wait], start: float, now: float) -> None:
        """Schedule the next poll of each of these waits, in as few rounds as possible.

        A poll is never sooner than the wait's interval, with one exception: the poll that follows the wait's first
        poll, or the end of its failures, may be sooner, to join a round of the other waits.

        Args:
            polled: The waits that were polled with success.
            start: When their round began.
            now: The time.
        """
        if now >= self._not_before:
            self._throttled = 0
        planned = sorted({max(now, wait.due) for wait in self._waits.keys() - polled if wait.in_step})
        for wait in polled:
            interval = wait.interval(now)
            # A slow service is polled less often.
            wanted = max(start + interval * self.pace, now + interval / 2)
            sooner = 0 if wait.in_step else bisect_right(planned, wanted)
            wait.due = planned[sooner - 1] if sooner else wanted
            wait.lateness = _LATENESS * interval
            wait.in_step = True
