"""The deadline of a sensor's wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aml_provider.compat import AIRFLOW_V_3_0_PLUS
from aml_provider.connection import airflow_errors
from aml_provider.durations import in_seconds

if TYPE_CHECKING:
    from aml_provider.compat import BaseSensorOperator, Context


def deadline_of_sensor(sensor: BaseSensorOperator, context: Context) -> float:
    """The instant at which a sensor's ``timeout`` ends, in seconds since the epoch, as Airflow's own loop counts it.

    In reschedule mode each poll is a process of its own, and the time starts with the first process of the first try.

    Raises:
        AirflowFailException: The timeout cannot be used.
    """
    with airflow_errors():
        timeout = in_seconds("timeout", sensor.timeout)
    began = _first_start(sensor, context) if sensor.reschedule else None
    return timeout + (time.time() if began is None else began.timestamp())


def _first_start(sensor: BaseSensorOperator, context: Context) -> Any:
    ti: Any = context["ti"]
    if AIRFLOW_V_3_0_PLUS:
        return ti.get_first_reschedule_date(context)
    from airflow.sensors.base import _orig_start_date  # type: ignore[import-not-found, unused-ignore]

    return _orig_start_date(
        dag_id=ti.dag_id,
        task_id=ti.task_id,
        run_id=ti.run_id,
        map_index=ti.map_index,
        try_number=(ti.max_tries or 0) - (sensor.retries or 0) + 1,
    )
