"""Blob sensors in every mode, which stand still between commit and result once, so that they can be killed there."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG

from aml_provider.sensors.blob import AzureBlobChangeSensor

MODES = {"poke": {"mode": "poke"}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}
VICTIMS = ("task", "both")


class StandsStill(AzureBlobChangeSensor):
    """Says that its batch is committed, the first time, and goes no further."""

    def poke(self, context):
        answer = super().poke(context)
        committed = Path(os.environ["SENSORS_COMMITTED"], self.dag_id)
        if answer.is_done and not committed.exists():
            committed.touch()
            time.sleep(3600)
        return answer


for mode, arguments in MODES.items():
    for victim in VICTIMS:
        with DAG(
            f"{mode}_{victim}",
            schedule=None,
            start_date=datetime(2026, 1, 1),  # noqa: DTZ001
            catchup=False,
            max_active_runs=1,
        ):
            StandsStill(
                task_id="watch",
                container_url=os.environ["SENSORS_CONTAINER"],
                path=f"{mode}_{victim}",
                poke_interval=2,
                retries=3,
                retry_delay=timedelta(0),
                **arguments,
            )
