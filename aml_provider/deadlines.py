"""A deadline that several machines watch, each by its own clock.

Whoever resumes a task decides by its own clock whether the time is up, and waits on if not. A trigger only wakes it.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# How much later than the deadline Airflow itself ends a deferral whose trigger has not fired, in seconds. Its API
# server computes that instant and its scheduler compares it, so it is longer than clocks may differ. Otherwise Airflow
# would end waits that have time left, and triggers would take that for a person's act.
_BACKSTOP = 900.0

#: Where an event says when its trigger fired, by the triggerer's clock, in seconds since the epoch.
FIRED_AT = "fired_at"


# A timer may fire a little early, and a task that is resumed for its last second is resumed once more after it.
_LAST_MOMENT = 1.0


def has_passed(deadline: float) -> bool:
    """Whether a deadline has passed by our clock, or is about to.

    Args:
        deadline: In seconds since the epoch.
    """
    return time.time() >= deadline - _LAST_MOMENT


def was_late(event: Mapping[str, Any]) -> bool:
    """Whether the deadline that a trigger was given has passed by our clock.

    It is never before the task's own, and it stays where it is: in ``dag.test()`` each deferral begins a new try.

    Args:
        event: What the trigger has sent; of a trigger of an earlier version it does not say.
    """
    deadline = event.get("deadline")
    return isinstance(deadline, (int, float)) and has_passed(deadline)


def backstop(deadline: float) -> timedelta:
    """How long Airflow itself is to let a deferral last.

    Args:
        deadline: When the trigger fires at the latest, by our clock, in seconds since the epoch.
    """
    return timedelta(seconds=max(0.0, deadline - time.time()) + _BACKSTOP)


def clock_ahead(event: Mapping[str, Any] | None) -> float:
    """How much the clock of the triggerer that has sent an event is ahead of ours at least.

    A trigger that is given a deadline later by so much fires at the right time. Otherwise one whose clock is ahead
    would fire at once, again and again, until the deadline has passed.

    Args:
        event: What the trigger has sent; of a trigger of an earlier version it does not say when.

    Returns:
        Seconds; 0 where the clocks agree, ours is ahead, or nothing is known.
    """
    fired_at = (event or {}).get(FIRED_AT)
    if isinstance(fired_at, bool) or not isinstance(fired_at, (int, float)):
        return 0.0
    return max(0.0, fired_at - time.time())
