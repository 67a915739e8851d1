"""A native schedule that is created once and then left to itself, by whoever calls and keeps no record of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client.arguments import IF_EXISTS, as_choice
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.flows.schedules import check_provisioned, prepare, wait_for_provisioning
from aml_provider.client.flows.targets import find_target
from aml_provider.durable.schedule import Intent, Keeper, Upkeep

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import Schedule
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.specs.schedule import ScheduleRequest


class Nobody(Keeper):
    """Keeps no schedule: leaves no marks, so that what was created is found by its name alone."""

    __slots__ = ()

    def marks(self, name: str) -> dict[str, str]:  # noqa: ARG002 - a keeper's signature
        """None."""
        return {}

    def birth_marks(self) -> dict[str, str]:
        """None."""
        return {}


class _Once:
    """An intent for as long as one call lasts."""

    def __init__(self) -> None:
        self._intent: Intent | None = None

    def load(self) -> Intent | None:
        return self._intent

    def save(self, intent: Intent) -> None:
        self._intent = intent

    def clear(self) -> None:
        self._intent = None


def create_schedule(
    wanted: ScheduleRequest,
    *,
    pipeline_id: str | None,
    endpoint_id: str | None,
    if_exists: str,
    deadline: float | None,
    grace: float,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> Flow[Schedule]:
    """Create a schedule, or come to the one that has its name.

    Args:
        wanted: What it shall be.
        pipeline_id: The published pipeline that it runs; or
        endpoint_id: the pipeline endpoint.
        if_exists: What becomes of one of this name: ``fail``, ``reuse`` or ``update``.
        deadline: When the service must have set it up, in seconds since the epoch; None: do not wait for that.
        grace: Seconds for which a creation whose reply was lost is looked for.
        say: Called with what was done.
        warn: Called with what may not work.

    Raises:
        InvalidArgument: A value cannot be used.
        PipelineError: There is no such pipeline or endpoint, it is not active, or does not take what it would get.
        ScheduleError: The schedule cannot be come to as asked.
    """
    if (pipeline_id is None) == (endpoint_id is None):
        raise InvalidArgument("pipeline_id", "give either pipeline_id or endpoint_id")
    as_choice("if_exists", if_exists, IF_EXISTS)
    find = find_target(pipeline_id=pipeline_id, endpoint_id=endpoint_id)
    target = yield from prepare(wanted, find, {}, warn=warn)
    upkeep = Upkeep(
        wanted=wanted,
        target=target,
        keeper=Nobody(deployment="", dag_id="", task_id="", run_id=""),
        if_exists=if_exists,
        intents=_Once(),
        grace=grace,
        say=say,
        warn=warn,
    )
    schedule = yield from upkeep.settle()
    if deadline is None:
        return schedule
    schedule = yield from wait_for_provisioning(schedule.id, deadline=deadline)
    check_provisioned(schedule)
    return schedule
