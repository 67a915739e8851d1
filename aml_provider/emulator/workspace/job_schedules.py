"""The schedules of the v2 API, their rules, and the jobs that they start."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.workspace.body import Body
from aml_provider.emulator.workspace.core import Core, find
from aml_provider.emulator.workspace.errors import ServiceError, bad_request
from aml_provider.emulator.workspace.job_request import without_copied_steps
from aml_provider.emulator.workspace.job_schedule_models import JobSchedule
from aml_provider.emulator.workspace.job_triggers import JobTrigger, job_fire_times
from aml_provider.emulator.workspace.models import Job
from aml_provider.emulator.workspace.submission import check_name
from aml_provider.emulator.workspace.times import wire_time
from aml_provider.emulator.workspace.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aml_provider.emulator.workspace.jobs import Jobs
    from aml_provider.emulator.workspace.models import Run

_TRIGGER_TIME = "${{creation_context.trigger_time}}"
_JOB_NAME = "${{name}}"


class JobSchedules:
    """All schedules of the v2 API. The schedule runner calls ``fire_due`` as time passes."""

    def __init__(self, core: Core, jobs: Jobs) -> None:
        self._core = core
        self._jobs = jobs
        self._schedules: dict[str, JobSchedule] = {}
        self._times = Timetable()

    def all(self) -> list[JobSchedule]:
        """All schedules, oldest first."""
        return list(self._schedules.values())

    def get(self, name: str) -> JobSchedule:
        """A schedule by name."""
        return find(self._schedules, name, "Schedule")

    def load(self, schedule: JobSchedule) -> None:
        """Add a schedule from a file. Jobs that it missed are lost.

        The job that it refers to may have been deleted since; that is noticed when the schedule fires.
        """
        self._trigger(schedule.properties.get("trigger"))
        _definition(schedule.properties)
        self._schedules[schedule.name] = schedule
        self._plan(schedule, self._core.clock.now())

    def put(self, name: str, properties: object) -> tuple[JobSchedule, bool]:
        """Create a schedule, or replace everything in an existing one; returns it, and whether it is new.

        Raises:
            ServiceError: The schedule is not valid.
        """
        check_name("schedule", name)
        self._check(properties)
        assert isinstance(properties, dict)
        quirks = self._core.quirks
        enabled = Body(properties).flag("isEnabled")
        with self._core.lock:
            self.fire_due()
            current = self._schedules.get(name)
            if enabled is None or (current is None and quirks.disabled_creation == "ignored"):
                enabled = True
            stored = {key: value for key, value in properties.items() if key != "provisioningState"}
            stored["isEnabled"] = enabled
            stored = {key: _without_copied_steps(value) if key == "action" else value for key, value in stored.items()}
            now = self._core.instant()
            schedule = current or JobSchedule(name, stored, created=now)
            changed = current is None or stored["trigger"] != schedule.properties.get("trigger")
            fires = {"changed": changed, "always": True, "never": current is None}[quirks.update_fires]
            schedule.properties = stored
            self._core.provision(schedule, now)
            if changed or fires:
                schedule.anchored = schedule.provisioned
            self._schedules[name] = schedule
            self._plan(schedule, None if fires else schedule.provisioned)
            self.fire_due()
            self._core.changed()
        return schedule, current is None

    def set_enabled(self, name: str, *, enabled: bool) -> None:
        """Enable or disable a schedule, and change nothing else in it."""
        with self._core.lock:
            self.put(name, {**self.get(name).properties, "isEnabled": enabled})

    def delete(self, name: str) -> bool:
        """Delete a disabled schedule; False if there is none with this name."""
        with self._core.changing():
            schedule = self._schedules.get(name)
            if schedule is not None and schedule.enabled:
                raise bad_request("Cannot delete an active schedule. Please disable it first.", "ScheduleActive")
            self._times.remove(name)
            return self._schedules.pop(name, None) is not None

    def upcoming(self, schedule: JobSchedule, count: int) -> list[float]:
        """The next instants at which a schedule fires."""
        return list(itertools.islice(self._fire_times(schedule, self._core.clock.now()), count))

    def next_due(self) -> float:
        """When the next schedule fires; infinity if none does."""
        with self._core.lock:
            return self._times.next_due()

    def fire_due(self) -> None:
        """Start the jobs that are due, each at its due instant. A job that cannot be started is lost."""
        with self._core.lock:
            for due, name in self._times.take(self._core.clock.now()):
                schedule = self._schedules[name]
                schedule.last_fired, schedule.last_error = due, None
                try:
                    self.start(schedule, due, created=due)
                except ServiceError as error:
                    schedule.last_error = error.message
                    self._core.changed()

    def start(self, schedule: JobSchedule, instant: float, *, created: float | None = None) -> Run:
        """Start a job of a schedule. The job's name contains ``instant``; it begins at ``created``, by default now."""
        job_id = str(uuid.uuid4())
        definition = _definition(schedule.properties)
        definition["inputs"] = _replaced(definition.get("inputs"), _TRIGGER_TIME, wire_time(instant))
        definition["outputs"] = _replaced(definition.get("outputs"), _JOB_NAME, job_id)
        # The only trace of the schedule that the documentation names (azureml-v2-rest 6.3).
        definition["displayName"] = f"{schedule.name}-{datetime.fromtimestamp(instant, UTC):%Y%m%dT%H%M%SZ}"
        request = self._jobs.read(definition)
        return self._jobs.start(job_id, request, Job(request.definition, schedule=schedule.name), created=created)

    def _check(self, properties: object) -> None:
        """Refuse an invalid schedule. One that starts nothing need not have a job that could be started."""
        given = Body(properties, "properties")
        self._trigger(given.get("trigger"))
        definition = _definition(given)
        if given.flag("isEnabled") is not False:
            self._jobs.read(definition)

    def _trigger(self, value: object) -> JobTrigger:
        return JobTrigger.from_wire(value, iana_zones=not self._core.quirks.iana_zones_refused)

    def _plan(self, schedule: JobSchedule, after: float | None) -> None:
        self._times.put(schedule.name, self._fire_times(schedule, after))

    def _fire_times(self, schedule: JobSchedule, after: float | None) -> Iterator[float]:
        """When a schedule fires, starting at the end of its provisioning."""
        if not schedule.enabled or schedule.provisioning_error is not None:
            return iter(())
        quirks = self._core.quirks
        found = job_fire_times(
            self._trigger(schedule.properties["trigger"]),
            datetime.fromtimestamp(schedule.anchored, UTC),
            None if after is None else datetime.fromtimestamp(after, UTC),
            at_once=quirks.first_job_at_once,
            minute_zero=quirks.minute_zero,
        )
        return itertools.dropwhile(lambda due: due < schedule.provisioned, (fire.timestamp() for fire in found))


def _definition(properties: Body | dict[str, Any]) -> dict[str, Any]:
    """The job that a schedule starts.

    Raises:
        ServiceError: There is none, or the schedule does something else.
    """
    given = properties if isinstance(properties, Body) else Body(properties)
    action = given.object("action")
    kind = action.text("actionType") if action is not None else None
    if action is None or kind != "CreateJob":
        raise bad_request(f"actionType {kind!r} is not supported; only CreateJob is.", "ActionType")
    definition = action.mapping("jobDefinition")
    if not definition:
        raise bad_request("jobDefinition is required.")
    return definition


def _without_copied_steps(action: Any) -> Any:
    if not isinstance(action, dict) or not isinstance(definition := action.get("jobDefinition"), dict):
        return action
    return {**action, "jobDefinition": without_copied_steps(definition)}


def _replaced(values: Any, macro: str, text: str) -> Any:
    """The inputs or outputs of a job with a macro of the service replaced in their texts."""
    if not isinstance(values, dict):
        return values
    return {
        name: {key: item.replace(macro, text) if isinstance(item, str) else item for key, item in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in values.items()
    }
