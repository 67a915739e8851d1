"""How long a deferred sensor may still wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aml_provider.connection import airflow_errors
from aml_provider.durations import in_seconds

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseSensorOperator


def deadline_of(sensor: BaseSensorOperator, known: float | None) -> float:
    """When the sensor's ``timeout`` ends in this try, in seconds since the epoch.

    Args:
        sensor: The sensor, about to defer.
        known: What the deferral before this one carried; a deferral must not start the time anew.

    Raises:
        AirflowSensorTimeout: It has ended.
    """
    with airflow_errors():
        timeout = in_seconds("timeout", sensor.timeout)
    now = time.time()
    deadline = now + timeout if known is None else known
    if now >= deadline:
        from airflow.providers.common.compat.sdk import AirflowSensorTimeout

        raise AirflowSensorTimeout(f"Nothing within the sensor's timeout of {timeout:g} seconds.")
    return deadline
