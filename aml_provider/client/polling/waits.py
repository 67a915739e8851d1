"""Which of many waiting runs are looked at when: decisions, without a clock of its own and without I/O."""

from __future__ import annotations

import random
from bisect import bisect_right
from typing import TYPE_CHECKING

from aml_provider.client.trouble import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.errors import AzureMLError
    from aml_provider.client.flows.runs import Progress
    from aml_provider.client.http.retry import RetryPolicy

#: Steps as progress shows them: names and statuses.
Steps = tuple[tuple[str, str], ...]

#: So many runs are asked for in one query at first: about 12 kB of filter. What the service takes is not documented.
WIDTH = 250
# Newcomers wait for each other this part of their interval, and this many seconds at most: a triggerer that starts
# takes up its waits within seconds.
_GATHERING = 0.1
_LONGEST_GATHERING = 3.0
# A run that has been watched for so many of its intervals is looked at in every second, or fourth, round only.
_SLOWER = ((80.0, 4), (40.0, 2))
# A look may come this part of its interval later if that spares a round.
_SLACK = 0.25
# Rounding of floats, in seconds.
_EPSILON = 1e-3


class Watch:
    """One wait for one run.

    Args:
        run_id: The pipeline run.
        poll_interval: The least seconds between two looks.

    Attributes:
        progress: How far the run is; None before the first look.
        run: The run, once it has ended.
        error: Why the run cannot be watched, once that is so.
        notice: A trouble, or its end, that is still to be told: the level of its line in the log, and the line.
        is_late: Whether who waits does so no longer. It is theirs, and changes no look.
    """

    __slots__ = (
        "begun",
        "due",
        "error",
        "failing_since",
        "in_step",
        "is_late",
        "notice",
        "poll_interval",
        "progress",
        "read_at",
        "run",
        "run_id",
        "slack",
        "steps",
        "steps_at",
        "tries",
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
        self.due = 0.0
        # Seconds that the look may be late for the sake of others.
        self.slack = 0.0
        # Whether its looks are where those of the others are, as far as that can be.
        self.in_step = False
        self.steps: Steps | None = None
        self.steps_at = self.read_at = float("-inf")
        self.failing_since: float | None = None
        self.tries = 0

    def poll_at(self, due: float) -> None:
        """Poll it at this time, whatever the others do."""
        self.due = due
        self.slack = 0.0
        self.in_step = False

    def interval(self, now: float) -> float:
        """Seconds to the next look: its end is told at most a twentieth of the wait late, or four intervals."""
        age = now - self.begun
        return self.poll_interval * next((times for after, times in _SLOWER if age >= after * self.poll_interval), 1)


class Watchlist:
    """All waits for runs of one experiment under one identity.

    Times are seconds of a clock that only goes on.

    Args:
        policy: How long a run that cannot be read is tried again before its wait is given up. Being throttled does not
            count.
        stagger: Draws a number below 1: how much the looks of this list are stretched, by a twentieth at most, so that
            many lists do not go in step.

    Attributes:
        width: The most runs in one query.
        queries_steps: Whether the service takes a query for the steps of several runs.
        troubles: Of those waits that are in trouble.
    """

    def __init__(self, policy: RetryPolicy, *, stagger: Callable[[], float] = random.random) -> None:
        self.policy = policy
        self.width = WIDTH
        self.queries_steps = True
        self.troubles = Troubles()
        self.pace = 1.0 + stagger() / 20.0
        self._watches: dict[Watch, None] = {}
        self._gathering = float("-inf")
        self._not_before = self._no_queries_before = float("-inf")
        self._throttled = 0

    def __iter__(self) -> Iterator[Watch]:
        return iter(tuple(self._watches))

    def join(self, watch: Watch, now: float) -> None:
        """Begin a wait."""
        latest = now + min(_LONGEST_GATHERING, _GATHERING * watch.poll_interval)
        if not now <= self._gathering <= latest:
            self._gathering = latest
        watch.begun = now
        watch.due = self._gathering
        self._watches[watch] = None

    def leave(self, watch: Watch) -> None:
        """End a wait."""
        self._watches.pop(watch, None)
        self.troubles.forget(watch)

    def wake_at(self) -> float | None:
        """When somebody is to be looked at next, and as many others with them as can be; None: nobody waits."""
        if not self._watches:
            return None
        latest = min(watch.due + watch.slack for watch in self._watches)
        return max(self._not_before, *(watch.due for watch in self._watches if watch.due <= latest))

    def due(self, now: float) -> list[Watch]:
        """Who is to be looked at, once it is time to wake up."""
        return [watch for watch in self._watches if watch.due <= now + _EPSILON]

    def throttle(self, error: AzureMLError, now: float) -> None:
        """Leave the service alone for as long as it asks for, or for longer and longer."""
        self._not_before = now + max(self.policy.pause(self._throttled, None), error.retry_after or 0.0)
        self._throttled += 1

    def may_query(self, now: float) -> bool:
        """Whether the run history is to be queried; the pipelines service is another one."""
        return now >= self._no_queries_before

    def defer_queries(self, error: AzureMLError, now: float) -> None:
        """Leave the run history alone for as long as it asks for, but no longer than an outage may last.

        Meanwhile each run costs a request.
        """
        self._no_queries_before = now + min(error.retry_after or 0.0, self.policy.budget)

    def schedule(self, looked_at: Sequence[Watch], start: float, now: float) -> None:
        """Say when each is looked at again, in as few looks as possible.

        Never sooner than it asks for, but for the look after the first, or after a trouble: that comes with the next
        one that others have.
        """
        if now >= self._not_before:
            self._throttled = 0
        planned = sorted({max(now, watch.due) for watch in self._watches.keys() - looked_at if watch.in_step})
        for watch in looked_at:
            interval = watch.interval(now)
            # Of a service that is slow there are fewer looks.
            wanted = max(start + interval * self.pace, now + interval / 2)
            sooner = 0 if watch.in_step else bisect_right(planned, wanted)
            watch.due = planned[sooner - 1] if sooner else wanted
            watch.slack = _SLACK * interval
            watch.in_step = True
