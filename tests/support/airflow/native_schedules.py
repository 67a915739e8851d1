"""Native schedules that are exported as DAGs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aml_provider.client.models import Recurrence
from aml_provider.hooks.azure_ml import AzureMLHook


def make(name, **arguments):
    """A native schedule of v1 that fires in six hours, and each day at that time."""
    at = datetime.now(UTC) + timedelta(hours=6)
    daily = Recurrence("Day", 1, start_time="2026-01-01T00:00:00", hours=[at.hour], minutes=[at.minute])
    return AzureMLHook().create_schedule(
        name, **{"experiment_name": "work", "pipeline_id": "quick", "recurrence": daily, **arguments}
    )


def make_polling(name, emulator):
    """A native schedule of v1 that runs ``score-files`` for each changed blob in ``landing/in``."""
    (pipeline,) = [item for item in emulator.state.pipelines.values() if item.name == "score-files"]
    return make(
        name,
        pipeline_id=pipeline.id,
        recurrence=None,
        datastore="landing",
        path_on_datastore="in",
        data_path_parameter_name="input_datapath",
    )


def make_job_schedule(hour, **arguments):
    """The native schedule of v2 ``moving``, each day at the given number of hours from now."""
    at = datetime.now(UTC) + timedelta(hours=hour)
    return AzureMLHook().create_job_schedule(
        "moving",
        experiment_name="work",
        component_name="quick",
        cron=f"{at.minute} {at.hour} * * *",
        start_time="2099-01-01T00:00:00",
        **arguments,
    )


def is_active(schedule):
    return AzureMLHook().get_schedule(schedule.id).is_active
