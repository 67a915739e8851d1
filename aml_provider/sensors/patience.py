"""How long a deferred sensor may still wait."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aml_provider.durations import in_seconds

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseSensorOperator, Context


def time_left(sensor: BaseSensorOperator, context: Context) -> timedelta:
    """What is left of the sensor's ``timeout`` in this try; a deferral must not start it anew."""
    # dag.test() on Airflow 2.11 gives no start date.
    ti: Any = context["ti"]
    spent = time.time() - ti.start_date.timestamp() if ti.start_date is not None else 0.0
    return timedelta(seconds=max(1.0, in_seconds("timeout", sensor.timeout) - spent))
