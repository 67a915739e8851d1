"""A deadline that several machines check, each by its own clock.

A trigger only wakes the task. The worker that resumes it decides by its own clock whether the time is up, and continues
to wait if not.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: A longer timeout is no limit: Airflow cannot compute the instant at which it ends.
LONGEST_TIMEOUT = timedelta(days=36_600)

# Seconds after the deadline at which Airflow itself ends a deferral whose trigger has not fired. Its API server
# computes that instant and its scheduler compares it, so this is longer than clocks may differ. Otherwise Airflow would
# end waits that have time left, and triggers would take that for a manual state change.
_BEYOND_DEADLINE = 900.0

#: The field of an event with the time at which its trigger fired, by the triggerer's clock, in seconds since the epoch.
FIRED_AT = "fired_at"

# Seconds. The service creates a run some time after its submission was sent, and its times are whole seconds.
_CLOCKS_AGREE = 120.0
# Seconds by which a deadline moves at most because of clocks.
_MOST = 3600.0

# Seconds. A timer may fire a little early; the task would then defer again for a fraction of a second.
_LAST_MOMENT = 1.0


def has_passed(deadline: float) -> bool:
    """Whether a deadline, in seconds since the epoch, has passed by our clock, or is about to pass."""
    return time.time() >= deadline - _LAST_MOMENT


def deadline_of(started: datetime | None, timeout: timedelta | None) -> float | None:
    """The instant at which a try must end, in seconds since the epoch; a deferral does not move it.

    Args:
        started: The task instance's ``start_date``. ``dag.test()`` on Airflow 2.11 gives None, which means now.
        timeout: The task's ``execution_timeout``; None: no limit.

    Returns:
        None if there is no limit.
    """
    if timeout is None or timeout > LONGEST_TIMEOUT:
        return None
    return (time.time() if started is None else started.timestamp()) + timeout.total_seconds()


def first_clock_behind(*, begun: float, sent: float, created: float, ahead: float) -> float:
    """The time by which the clock of the worker that began a try is behind ours, where that is minutes.

    That worker computed the deadline. It stored the instant at which it submitted the run, and the service knows when
    it created the run, so the service's clock leads from one worker's clock to the other's.

    Args:
        begun: When the try began, by the first worker's clock.
        sent: When the run was submitted. If that is before ``begun``, an earlier try did it, perhaps elsewhere.
        created: When the run was created, by the service's clock.
        ahead: The seconds by which our clock is ahead of the service's.

    Returns:
        Seconds; 0 if the clocks agree, if the first one is ahead, and if nothing is known. More than an hour is
        nobody's clock, but a service without the right time. All other times are in seconds since the epoch.
    """
    behind = created + ahead - sent
    return behind if sent >= begun and _CLOCKS_AGREE < behind <= _MOST else 0.0


def in_words(deadline: float) -> str:
    """A deadline, in seconds since the epoch, as a date and time for the log."""
    try:
        return f"{datetime.fromtimestamp(deadline, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):  # after the year 9999
        return "an instant that no calendar has"


def is_late(event: Mapping[str, Any], started: datetime | None, deadline: float | None) -> bool:
    """Whether the deadline of a resumed try has passed by our clock.

    The trigger was given the deadline that the task had when it was deferred. Somebody may have changed the timeout
    since then, so the task's present deadline decides. ``dag.test()`` begins a new try with each deferral, and so
    computes a later deadline each time. There the trigger's deadline, which is the earliest one, counts too.
    """
    fired_at = _instant(event, FIRED_AT)
    if started is None or (fired_at is not None and started.timestamp() >= fired_at):
        first = trigger_deadline(event)
        if first is not None and has_passed(first):
            return True
    return deadline is not None and has_passed(deadline)


def trigger_deadline(event: Mapping[str, Any]) -> float | None:
    """The deadline that a trigger was given, in seconds since the epoch; None for a trigger of an earlier version."""
    return _instant(event, "deadline")


def deferral_timeout(deadline: float) -> timedelta:
    """The time that Airflow itself allows for a deferral whose trigger fires at the deadline at the latest.

    The deadline is in seconds since the epoch, by our clock.
    """
    return timedelta(seconds=max(0.0, deadline - time.time()) + _BEYOND_DEADLINE)


def clock_ahead(event: Mapping[str, Any] | None) -> float:
    """The least time by which the triggerer's clock is ahead of ours, according to an event that it has sent.

    The next trigger's deadline must be later by this time, so that it fires at the right moment. Otherwise a triggerer
    whose clock is ahead would fire again and again until the deadline has passed by our clock.

    Returns:
        Seconds; 0 if the clocks agree or ours is ahead, and for a trigger of an earlier version, which does not say
        when it fired.
    """
    fired_at = _instant(event or {}, FIRED_AT)
    return 0.0 if fired_at is None else max(0.0, fired_at - time.time())


def _instant(event: Mapping[str, Any], name: str) -> float | None:
    value = event.get(name)
    return None if isinstance(value, bool) or not isinstance(value, (int, float)) else value
