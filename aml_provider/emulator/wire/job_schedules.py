"""The JSON of the schedules of the v2 API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.wire.arm import resource

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.job_schedule_models import JobSchedule


def schedule_dto(schedule: JobSchedule, provisioning: str, scope: str) -> JsonObject:
    """A schedule as it was sent, with its provisioning state."""
    properties = {"properties": {}, "tags": {}, **schedule.properties, "provisioningState": provisioning}
    return resource(scope, "schedules", f"schedules/{schedule.name}", properties, schedule.created)
