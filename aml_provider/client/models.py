"""Values that DAG authors write: named tuples, so that Airflow renders the templates in them.

(Airflow silently ignores a frozen dataclass in a template field, and an XComArg inside it makes no dependency.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


#: The frequencies of a recurrence, and the days of the week; the checks of a recurrence read them from here.
Frequency = Literal["Minute", "Hour", "Day", "Week", "Month"]
WeekDay = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


class DataPath(NamedTuple):
    """A file or folder in a datastore, as the value of a pipeline's DataPath parameter.

    Args:
        datastore: The datastore's name in the workspace.
        path: The path inside its container, without a leading slash; empty for the container itself.
    """

    datastore: str
    path: str = ""


class Recurrence(NamedTuple):
    """When a native schedule or a job schedule fires.

    Args:
        frequency: ``Minute``, ``Hour``, ``Day``, ``Week`` or ``Month``.
        interval: The number of minutes, hours, days, weeks or months from one run to the next; at least 1.
        start_time: The first moment at which a run may start, without an offset: it is local to ``time_zone``. Without
            it, the service starts a run immediately.
        time_zone: An IANA name (``Asia/Seoul``) or a Windows one (``Korea Standard Time``).
        hours: Hours of the day, 0 to 23; only with ``Day`` and ``Week``, in a job schedule also with ``Month``.
        minutes: Minutes of the hour, 0 to 59; with the same frequencies.
        week_days: ``Monday`` to ``Sunday``; only with ``Week``, in a job schedule also with ``Month``.
        time_of_day: ``"h:mm"``, in place of hours and minutes.
        month_days: Days of the month, 1 to 31; only with ``Month``, and only in a job schedule (Azure ML v2). The
            service leaves out the months that do not have the day.
    """

    frequency: Frequency
    interval: int
    start_time: datetime | str | None = None
    time_zone: str | None = None
    hours: Sequence[int] | None = None
    minutes: Sequence[int] | None = None
    week_days: Sequence[WeekDay] | None = None
    time_of_day: str | None = None
    month_days: Sequence[int] | None = None
