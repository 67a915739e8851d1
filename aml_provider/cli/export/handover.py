"""Hands a native schedule over to its DAG, so that each run is started by exactly one of the two."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aml_provider.cli.export.airflow_dags import has_scheduled_runs, has_waited, is_paused, why_not_landed
from aml_provider.cli.export.dag_files import replace
from aml_provider.cli.export.dag_text import WAIT_TASK, can_start, with_start
from aml_provider.cli.export.timing import Crons

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.cli.export.dag_files import DagFile
    from aml_provider.cli.export.dag_text import DagPlan
    from aml_provider.cli.export.native_times import NativeTimes

# The handover keeps this distance from each fire: clocks differ, and a request takes time.
_AFTER_A_FIRE, _BEFORE_A_FIRE = timedelta(seconds=60), timedelta(seconds=120)
# With fires in quick succession, the distance is this part of the time between two of them.
_PART = 4
_DAY = timedelta(days=1)


class NotHandedOver(Exception):
    """The native schedule stays as it is; the message is the reason and the next step."""


def hand_over(
    file: DagFile, plan: DagPlan, disable: Callable[[], object], now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[str]:
    """Disable a native schedule whose DAG is in Airflow; a DAG for times gets its start date first.

    If this is interrupted, the same call completes it: the DAG is paused, so the start date alone starts no run.

    Args:
        file: The DAG file.
        plan: Its plan.
        disable: Disables the native schedule.
        now: The clock.

    Returns:
        Sentences about what is to be done now.

    Raises:
        NotHandedOver: Airflow is not ready, or it is the wrong moment.
    """
    if (reason := why_not_landed(file)) is not None:
        raise NotHandedOver(reason)
    if plan.times is None:
        if is_paused(file.dag_id):
            raise NotHandedOver(
                f"DAG {file.dag_id!r} is paused, so nothing would notice blobs. Write no blobs for a moment, unpause "
                f"the DAG with `airflow dags unpause {file.dag_id}`, and run this command again."
            )
        if not has_waited(file.dag_id, WAIT_TASK):
            raise NotHandedOver(
                f"Task {WAIT_TASK!r} of DAG {file.dag_id!r} has not polled the folder yet. Run this command again "
                "later."
            )
        disable()
        return []
    return _hand_over_times(file, plan, plan.times, disable, now)


def _hand_over_times(
    file: DagFile, plan: DagPlan, times: NativeTimes, disable: Callable[[], object], now: Callable[[], datetime]
) -> list[str]:
    unpause = f"Unpause the DAG: `airflow dags unpause {file.dag_id}`."
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
    start = moment if times.first_instant is None else max(moment, times.first_instant)
    if plan.timing is not None and not isinstance(plan.timing, Crons):
        # It counts from its start date.
        start = plan.timing.at_or_after(start)
    replace(file, with_start(file.text, start))
    disable()
    done = [f"The DAG starts the runs that are due since {moment:%Y-%m-%d %H:%M:%S}Z. {unpause}"]
    if missed := times.between(moment, now()):
        done.append(
            f"The request took long: the native schedule may have started the run of {missed[0]:%H:%M:%S}Z too."
        )
    return done


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
