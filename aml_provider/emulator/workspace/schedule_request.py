"""The body of a request that creates or updates a schedule."""

from __future__ import annotations

from typing import Any

from aml_provider.emulator.workspace.body import Body, named
from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.recurrence import FREQUENCIES, WEEK_DAYS, Recurrence
from aml_provider.emulator.workspace.schedule_models import DatastoreTrigger, Schedule
from aml_provider.emulator.workspace.submission import Submission, entity_status

KINDS = ("Recurrence", "DataStore")
# The same limit as for a recurrence in minutes.
_LONGEST_POLLING = 72_000


def schedule_from_wire(body: object, *, creates: bool = False) -> Schedule:
    """The schedule that a request asks for, without id and times.

    Args:
        body: A ``ScheduleCreationInfo``, or the keys of a ``PipelineScheduleEntity`` that can be set. The case of
            keys does not matter, as in the service; null means the same as absence.
        creates: Whether the schedule is new; a new one is active by default.

    Raises:
        ServiceError: Something in the body is missing or wrong.
    """
    given = Body(body)
    name = given.required("Name")
    pipeline_id, endpoint_id = given.text("PipelineId") or None, given.text("PipelineEndpointId") or None
    if (pipeline_id is None) == (endpoint_id is None):
        raise bad_request("Exactly one of PipelineId and PipelineEndpointId is required.")
    recurrence, trigger = given.object("Recurrence"), given.object("DataStoreTriggerInfo")
    if (recurrence is None) == (trigger is None):
        raise bad_request("Exactly one of Recurrence and DataStoreTriggerInfo is required.")
    # Microsoft's SDK creates with the text of a number, and updates with the value of the service's reply.
    kind, wanted = KINDS[0 if trigger is None else 1], given.choice("ScheduleType", KINDS)
    if wanted not in (None, kind):
        raise bad_request(f"ScheduleType {wanted} does not fit a {kind} schedule.")
    status = given.get("EntityStatus")
    return Schedule(
        name=name,
        pipeline_id=pipeline_id,
        endpoint_id=endpoint_id,
        submission=Submission.from_wire(given.get("PipelineSubmissionInfo")),
        recurrence=None if recurrence is None else _recurrence(recurrence),
        trigger=None if trigger is None else _trigger(trigger),
        status="Active" if status is None and creates else entity_status(status),
    )


def _recurrence(given: Body) -> Recurrence:
    lists = given.object("Schedule") or Body({})
    try:
        return Recurrence(
            frequency=named(given.get("Frequency"), FREQUENCIES),
            interval=given.get("Interval"),
            start_time=given.text("StartTime"),
            time_zone=given.text("TimeZone"),
            hours=tuple(lists.array("Hours")),
            minutes=tuple(lists.array("Minutes")),
            week_days=tuple(named(day, WEEK_DAYS) for day in lists.array("WeekDays")),
        )
    except ValueError as error:
        raise bad_request(f"The recurrence is not valid: {error}.", "InvalidRecurrence") from error


def _trigger(given: Body) -> DatastoreTrigger:
    store = given.text("DataStoreName")
    if not store:
        raise bad_request("Either a recurrence or a datastore is required: DataStoreName is missing.")
    interval: Any = given.get("PollingInterval")
    if interval is not None and (type(interval) is not int or not 1 <= interval <= _LONGEST_POLLING):
        raise bad_request(
            f"PollingInterval must be a whole number of minutes from 1 to {_LONGEST_POLLING}, not {interval!r}."
        )
    return DatastoreTrigger(
        datastore=store,
        path=given.text("PathOnDataStore") or None,
        polling_interval=5 if interval is None else interval,
        data_path_parameter=given.text("DataPathParameterName") or None,
    )
