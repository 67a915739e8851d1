"""The trigger that waits until a native schedule is set up."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

from aml_provider.client.help import text_of
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.triggers.base import StoredTrigger, retry_after

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow.triggers.base import TriggerEvent

    from aml_provider.client.calls import Call


class AzureMLScheduleProvisioningTrigger(StoredTrigger, BaseTrigger):
    """Wait until the service has set a schedule up.

    Its event is ``{"schedule_id", "outcome", "message", "deadline", "fired_at"}`` with the outcome ``settled``,
    ``deadline`` (it passed, by the triggerer's clock) or ``unwatched`` (the schedule could not be read). The receiver
    reads the schedule again.

    Its arguments are ids and no secrets: Airflow 3 stores them in clear text.

    Args:
        schedule_id: The schedule.
        deadline: When to stop, in seconds since the epoch.
        poll_interval: Seconds between two polls.
        azureml_conn_id: The connection.
        is_job_schedule: Whether it is a job schedule (Azure ML v2), whose id is its name.
    """

    _path = "aml_provider.triggers.schedule.AzureMLScheduleProvisioningTrigger"

    def __init__(
        self,
        schedule_id: str,
        deadline: float,
        poll_interval: float = 5.0,
        azureml_conn_id: str = DEFAULT_CONN_ID,
        is_job_schedule: bool = False,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.schedule_id = schedule_id
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.azureml_conn_id = azureml_conn_id
        self.is_job_schedule = is_job_schedule

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll the schedule and fire once."""
        from aml_provider.client import calls
        from aml_provider.client.flows.schedules import wait_for_provisioning
        from aml_provider.hooks.workspace import WorkspaceHook

        read: Callable[[str], Call[Any]] = calls.get_job_schedule if self.is_job_schedule else calls.get_schedule
        try:
            self.check_times()
            async with WorkspaceHook(self.azureml_conn_id).async_client() as client:
                schedule = await client.run(
                    wait_for_provisioning(
                        partial(read, self.schedule_id), poll_interval=self.poll_interval, deadline=self.deadline
                    )
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, the schedule exists anyway
            yield self._event("unwatched", text_of(error), **retry_after(error))
            return
        yield self._event("deadline" if schedule.is_provisioning else "settled", schedule.provisioning)

    def _event(self, outcome: str, message: str, **facts: float) -> TriggerEvent:
        return self.event(schedule_id=self.schedule_id, outcome=outcome, message=message, **facts)
