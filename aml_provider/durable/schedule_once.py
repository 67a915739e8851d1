"""Creates a native schedule once, for a caller that stores nothing about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client import calls
from aml_provider.client.arguments import IF_EXISTS, as_choice
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.flows.schedules import check_provisioned, prepare, wait_for_provisioning
from aml_provider.client.flows.targets import Known
from aml_provider.client.specs.target import PipelineReference
from aml_provider.durable.schedule import ScheduleReconciler
from aml_provider.durable.schedule_owner import NO_OWNER

if TYPE_CHECKING:
    from aml_provider.client.entities import Schedule
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.specs.schedule import ScheduleRequest
    from aml_provider.durable.log import Log


class _MemorySlot:
    """A slot that lasts as long as one call."""

    def __init__(self) -> None:
        self._text: str | None = None

    def load(self) -> str | None:
        return self._text

    def save(self, text: str) -> None:
        self._text = text

    def delete(self) -> None:
        self._text = None


def create_schedule(
    wanted: ScheduleRequest,
    *,
    pipeline_id: str | None,
    endpoint_id: str | None,
    if_exists: str,
    deadline: float | None,
    lookup_timeout: float,
    log: Log,
) -> Flow[Schedule]:
    """Create a schedule of a published pipeline or of a pipeline endpoint, or find the one that has its name.

    The service must have set it up by the ``deadline``, in seconds since the epoch; None: do not wait for that. If the
    reply to the creation was lost, the schedule is searched for during ``lookup_timeout`` seconds.

    Raises:
        InvalidArgument: A value cannot be used.
        PipelineError: There is no such pipeline or endpoint, it is not active, or it does not accept the parameters.
        ScheduleError: The schedule cannot be found, or cannot be managed as requested.
    """
    if (pipeline_id is None) == (endpoint_id is None):
        raise InvalidArgument("pipeline_id", "give either pipeline_id or endpoint_id")
    as_choice("if_exists", if_exists, IF_EXISTS)
    reference = PipelineReference(pipeline_id=pipeline_id, endpoint_id=endpoint_id)
    target = yield from prepare(wanted, reference, Known(), warn=log.warning)
    reconciler = ScheduleReconciler(
        wanted=wanted,
        target=target,
        owner=NO_OWNER,
        if_exists=if_exists,
        intent_slot=_MemorySlot(),
        lookup_timeout=lookup_timeout,
        log=log,
    )
    schedule = yield from reconciler.reconcile()
    if deadline is None:
        return schedule
    schedule_id = schedule.id
    schedule = yield from wait_for_provisioning(lambda: calls.get_schedule(schedule_id), deadline=deadline)
    check_provisioned(schedule)
    return schedule
