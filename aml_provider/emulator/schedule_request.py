"""What a caller wants of a schedule: the body of its creation and of its update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.errors import bad_request
from aml_provider.emulator.models import DatastoreTrigger
from aml_provider.emulator.recurrence import FREQUENCIES, WEEK_DAYS, Recurrence
from aml_provider.emulator.submission import Submission, entity_status, lower_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("Recurrence", "DataStore")


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """A ``ScheduleCreationInfo``, or those keys of a ``PipelineScheduleEntity`` that can be set."""

    name: str
    pipeline_id: str | None
    endpoint_id: str | None
    submission: Submission
    recurrence: Recurrence | None
    trigger: DatastoreTrigger | None
    status: str

    @classmethod
    def from_wire(cls, body: object, *, creates: bool = False) -> ScheduleRequest:
        """Read a request's body; its keys in any case, as the service does, and null like absent.

        Args:
            body: The JSON object.
            creates: A new schedule is active unless the body says something else.
        """
        given = lower_keys(body)
        name = given.get("name")
        if not isinstance(name, str) or not name:
            raise bad_request("Name is required.")
        pipeline_id, endpoint_id = given.get("pipelineid") or None, given.get("pipelineendpointid") or None
        if (pipeline_id is None) == (endpoint_id is None):
            raise bad_request("Exactly one of PipelineId and PipelineEndpointId is required.")
        recurrence, trigger = given.get("recurrence"), given.get("datastoretriggerinfo")
        if (recurrence is None) == (trigger is None):
            raise bad_request("Exactly one of Recurrence and DataStoreTriggerInfo is required.")
        kind = KINDS[0 if trigger is None else 1]
        if given.get("scheduletype") is not None and _kind(given["scheduletype"]) != kind:
            raise bad_request(f"ScheduleType {given['scheduletype']} does not go with a {kind} schedule.")
        status = given.get("entitystatus")
        return cls(
            name=name,
            pipeline_id=pipeline_id,
            endpoint_id=endpoint_id,
            submission=Submission.from_wire(given.get("pipelinesubmissioninfo")),
            recurrence=None if recurrence is None else _recurrence(recurrence),
            trigger=None if trigger is None else _trigger(trigger),
            status="Active" if status is None and creates else entity_status(status),
        )


def _kind(value: object) -> str:
    # Microsoft's SDK sends a number as text when it creates, and later what the service answered.
    kind = _named(value, KINDS)
    if kind not in KINDS:
        raise bad_request(f"{value!r} is no ScheduleType.")
    return str(kind)


def _recurrence(value: object) -> Recurrence:
    given = lower_keys(value)
    lists = lower_keys(given.get("schedule") or {})
    interval: Any = given.get("interval")
    try:
        return Recurrence(
            frequency=_named(given.get("frequency"), FREQUENCIES),
            interval=interval,
            start_time=given.get("starttime"),
            time_zone=given.get("timezone"),
            hours=_list(lists, "hours"),
            minutes=_list(lists, "minutes"),
            week_days=tuple(_named(day, WEEK_DAYS) for day in _list(lists, "weekdays")),
        )
    except ValueError as error:
        raise bad_request(f"The recurrence is not valid: {error}.", "InvalidRecurrence") from error


def _named(value: Any, names: tuple[str, ...]) -> Any:
    # Older servers answered with numbers, which Microsoft's SDK sends back as texts.
    numbers = {str(number): name for number, name in enumerate(names)}
    return numbers.get(str(value), value)


def _list(given: Mapping[str, Any], key: str) -> tuple[Any, ...]:
    values = given.get(key) or ()
    if not isinstance(values, list | tuple):
        raise ValueError(f"{key} must be an array")  # noqa: TRY004 (a refusal like the others)
    return tuple(values)


def _trigger(value: object) -> DatastoreTrigger:
    given = lower_keys(value)
    store = given.get("datastorename")
    if not isinstance(store, str) or not store:
        raise bad_request("Either a recurrence or a datastore is required: DataStoreName is missing.")
    interval = given.get("pollinginterval")
    if interval is not None and (type(interval) is not int or interval < 1):
        raise bad_request(f"PollingInterval must be a whole number of minutes, at least 1, not {interval!r}.")
    return DatastoreTrigger(
        datastore=store,
        path=given.get("pathondatastore") or None,
        polling_interval=5 if interval is None else interval,
        data_path_parameter=given.get("datapathparametername") or None,
    )
