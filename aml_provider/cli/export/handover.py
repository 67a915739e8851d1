"""Hands a native schedule over to its DAG, so that each run is started by exactly one of the two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.cli.export.airflow_dags import has_scheduled_runs, has_variable, has_waited, is_paused, why_not_landed
from aml_provider.cli.export.dag_files import replace
from aml_provider.cli.export.dag_text import WAIT_TASK, can_start, moment_text, with_start
from aml_provider.cli.export.timing import Crons
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.durable.handover import Owner, default_cursor_key
from aml_provider.state.cursor_stores import variable_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.cli.export.dag_files import DagFile
    from aml_provider.cli.export.dag_text import DagPlan
    from aml_provider.cli.export.native_times import NativeTimes

# The handover keeps this distance from each fire: clocks differ, and a request takes time.
_AFTER_A_FIRE, _BEFORE_A_FIRE = timedelta(seconds=60), timedelta(seconds=120)
# With fires in quick succession, the distance is this part of the time between two of them.
_PART = 4
_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)


class NotHandedOver(Exception):
    """The native schedule stays as it is; the message is the reason and the next step."""


class HandedOver(NamedTuple):
    """A native schedule that is disabled now.

    Attributes:
        notes: Sentences about what is to be done now.
        is_certain: Whether each run is certainly started by one of the two only.
    """

    notes: list[str]
    is_certain: bool = True


def hand_over(
    file: DagFile,
    plan_again: Callable[[], DagPlan],
    disable: Callable[[], bool],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> HandedOver:
    """Disable a native schedule whose DAG is in Airflow; a DAG for times gets its start date first.

    If this is interrupted, the same call completes it: the DAG is paused, so the start date alone starts no run.

    Args:
        file: The DAG file.
        plan_again: Reads the native schedule, and returns the plan that fits the file. It raises
            :class:`NotHandedOver` if the schedule is disabled or has changed.
        disable: Disables the native schedule, and returns whether it was active.
        now: The clock.

    Raises:
        NotHandedOver: Airflow is not ready, or it is the wrong moment.
    """
    if (reason := why_not_landed(file)) is not None:
        raise NotHandedOver(reason)
    plan = plan_again()
    if plan.times is not None:
        return _hand_over_times(file, plan, plan.times, disable, now)
    _check_polls(file, plan)
    return HandedOver(_note_of(disable()))


def _note_of(was_active: bool) -> list[str]:
    return [] if was_active else ["Somebody else has disabled the native schedule in the same moment."]


def _check_polls(file: DagFile, plan: DagPlan) -> None:
    """Check that the sensor remembers the blobs that are there, and has not begun with what it knew long ago."""
    cursor = default_cursor_key(Owner(file.dag_id, "", WAIT_TASK))
    # The sensor adds the slash; the plan has removed all others at both ends.
    folder = f"{plan.blobs['path']}/" if plan.blobs.get("path") else ""
    record = variable_key(plan.conn_id or DEFAULT_CONN_ID, plan.blobs["datastore"], folder, cursor)
    if is_paused(file.dag_id):
        if has_variable(record):
            # Of an earlier try, or of an earlier DAG with this id.
            raise NotHandedOver(
                f"DAG {file.dag_id!r} is paused, and Variable {record!r} has what task {WAIT_TASK!r} knew when it "
                "polled before. When the DAG is unpaused, it would start a run for each blob that has changed since "
                "then, although the native schedule has started one. Delete the Variable with "
                f"`airflow variables delete {record}`, and run this command again."
            )
        raise NotHandedOver(
            f"DAG {file.dag_id!r} is paused, so nothing would notice blobs. Write no blobs for a moment, unpause "
            f"the DAG with `airflow dags unpause {file.dag_id}`, and run this command again."
        )
    if not (has_waited(file.dag_id, WAIT_TASK) and has_variable(record)):
        raise NotHandedOver(
            f"Task {WAIT_TASK!r} of DAG {file.dag_id!r} has not polled the folder yet in a run on its schedule, or "
            f"does not keep what it knows in Variable {record!r}. Run this command again later."
        )


def _hand_over_times(
    file: DagFile, plan: DagPlan, times: NativeTimes, disable: Callable[[], bool], now: Callable[[], datetime]
) -> HandedOver:
    if not is_paused(file.dag_id):
        raise NotHandedOver(
            f"DAG {file.dag_id!r} is not paused. Pause it with `airflow dags pause {file.dag_id}` until the native "
            "schedule is disabled, so that no run is started twice."
        )
    if has_scheduled_runs(file.dag_id):
        raise NotHandedOver(
            f"DAG {file.dag_id!r} has started runs on its schedule before, so it would also start those that the "
            "native schedule has started since. Delete the DAG in Airflow, then run this command again."
        )
    if not can_start(file.text):
        raise NotHandedOver(
            f"{file.path.name} has its schedule and start_date no longer in the form in which they were written. Set "
            "schedule to TIMES and start_date to a moment between two fires, and disable the native schedule at that "
            "moment."
        )
    moment = now().replace(microsecond=0)
    _check_distance(times, moment)
    replace(file, with_start(file.text, _start(plan, times, moment)))
    notes = _note_of(disable())
    unpause = f"unpause the DAG: `airflow dags unpause {file.dag_id}`."
    missed = times.between(moment, now())
    if not missed:
        notes.append(
            f"The DAG starts the runs that are due since {moment:%Y-%m-%d %H:%M:%S}Z. This start date is only in "
            f"{file.path}: commit or deploy this file, then {unpause}"
        )
        return HandedOver(notes)
    later = moment_text(_start(plan, times, missed[-1] + _SECOND))
    fires = ", ".join(f"{fire:%H:%M:%S}Z" for fire in missed)
    notes.append(
        f"The request took long: the native schedule may have started what was due at {fires}, and the DAG would start "
        f"it too. If it has, set start_date={later} in {file.path}. Then commit or deploy this file, and "
        f"{unpause}"
    )
    return HandedOver(notes, is_certain=False)


def _start(plan: DagPlan, times: NativeTimes, moment: datetime) -> datetime:
    """The start date of a DAG that starts the runs that are due from this moment on."""
    start = moment if times.first_instant is None else max(moment, times.first_instant)
    # A length of time counts from its start date.
    return start if plan.timing is None or isinstance(plan.timing, Crons) else plan.timing.at_or_after(start)


def _check_distance(times: NativeTimes, moment: datetime) -> None:
    after, before = _AFTER_A_FIRE, _BEFORE_A_FIRE
    next_ones = times.between(moment, moment + _DAY)[:2]
    if len(next_ones) == 2:
        part = (next_ones[1] - next_ones[0]) / _PART
        after, before = min(after, part), min(before, part)
    if near := times.between(moment - after, moment + before):
        raise NotHandedOver(
            f"The native schedule fires at {near[0]:%H:%M:%S}Z, too close for it to be certain who starts that run. "
            f"Run this command again after {near[-1] + after:%H:%M:%S}Z."
        )
