"""The workspace's schedules, their rules, and the runs that they start."""

from __future__ import annotations

import itertools
import math
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.core import Core, find
from aml_provider.emulator.workspace.errors import ServiceError, bad_request
from aml_provider.emulator.workspace.models import DataPath, Pipeline
from aml_provider.emulator.workspace.recurrence import fire_times
from aml_provider.emulator.workspace.submission import Submission, check_name
from aml_provider.emulator.workspace.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aml_provider.emulator.workspace.models import Run
    from aml_provider.emulator.workspace.schedule_models import Schedule


class Schedules:
    """All schedules. The schedule runner calls ``fire_due``, ``take_polls`` and ``polled`` as time passes.

    Args:
        core: The workspace's pipelines, endpoints and datastores, its clock and quirks.
        submit: Submits a run for a schedule that was due at the given instant; raises ``ServiceError`` on a refusal.
    """

    def __init__(self, core: Core, submit: Callable[[Schedule, Submission, float], Run]) -> None:
        self._core = core
        self._submit = submit
        self.clear()

    def clear(self) -> None:
        """Remove all schedules. A poll that is still in progress then starts no run."""
        # New ones, as other threads may still be reading the old ones.
        self._schedules: dict[str, Schedule] = {}
        self._recurrences = Timetable()
        self._polls = Timetable()

    def all(self) -> list[Schedule]:
        """All schedules, oldest first."""
        return list(self._schedules.values())

    def get(self, schedule_id: str) -> Schedule:
        """A schedule by id."""
        return find(self._schedules, schedule_id, "Schedule")

    def of_pipeline(self, pipeline_id: str) -> list[Schedule]:
        """The schedules of a published pipeline, including disabled ones."""
        self._core.pipeline(pipeline_id)
        return [item for item in self.all() if item.pipeline_id == pipeline_id]

    def of_endpoint(self, endpoint_id: str) -> list[Schedule]:
        """The schedules of a pipeline endpoint, including disabled ones."""
        self._core.endpoint(endpoint_id)
        return [item for item in self.all() if item.endpoint_id == endpoint_id]

    def refuse_active(self, pipeline: Pipeline) -> None:
        """Refuse to disable a pipeline that has active schedules."""
        if active := [item.name for item in self.of_pipeline(pipeline.id) if item.status == "Active"]:
            raise bad_request(
                f"Pipeline {pipeline.name} ({pipeline.id}) has active schedules: {', '.join(active)}. "
                "Disable them first.",
                "PipelineHasActiveSchedules",
            )

    def provisioning(self, schedule: Schedule) -> str:
        """The current provisioning status."""
        if self._core.clock.now() < schedule.provisioned:
            return "Provisioning"
        return "Completed" if schedule.provisioning_error is None else "Failed"

    def upcoming(self, schedule: Schedule, count: int) -> list[float]:
        """The next instants at which a schedule fires or polls."""
        return list(itertools.islice(self._times(schedule, self._core.clock.now()), count))

    def load(self, schedule: Schedule) -> None:
        """Add a schedule from a file. Runs that it missed are lost."""
        self._schedules[schedule.id] = schedule
        self._plan(schedule, self._core.clock.now())

    def check(self, wanted: Schedule, current: Schedule | None = None) -> None:
        """Refuse an invalid schedule, and changes of the type, the pipeline or the endpoint of an existing one."""
        if current is not None:
            if (wanted.recurrence is None) != (current.recurrence is None):
                raise bad_request("The ScheduleType of a schedule cannot be changed.")
            if (wanted.pipeline_id, wanted.endpoint_id) != (current.pipeline_id, current.endpoint_id):
                raise bad_request("The pipeline or endpoint of a schedule cannot be changed.")
        if wanted.status not in ("Active", "Disabled"):
            raise bad_request(f"{wanted.status} is not a status of a schedule; use Active or Disabled.")
        pipeline = self._pipeline_of(wanted)
        check_name("experiment", wanted.submission.experiment)
        submission, trigger = wanted.submission, wanted.trigger
        if trigger is not None:
            store = self._core.datastores.get(trigger.datastore)
            if store is None:
                raise bad_request(f"Datastore {trigger.datastore} was not found.", "DatastoreNotFound")
            if store.type != "AzureBlob":
                raise bad_request(f"Datastore {store.name} is of type {store.type}; only AzureBlob can trigger.")
            submission = _for_path(submission, trigger.data_path_parameter, DataPath(store.name))
        # To disable a schedule must work even if the interface behind its endpoint has changed.
        if current is None or wanted.status == "Active":
            submission.check(pipeline, self._core.datastores)

    def create(self, wanted: Schedule, seen: dict[str, str] | None, error: str | None) -> Schedule:
        """Add a new schedule, and give it an id and its times.

        ``seen`` are the blobs that its folder already contains, with their ETags. If they could not be listed,
        ``error`` is the reason.
        """
        self.check(wanted)
        with self._core.lock:
            wanted.id, wanted.created = str(uuid.uuid4()), self._core.instant()
            if wanted.trigger is not None:
                self.first_polled(wanted, seen, error)
            self._schedules[wanted.id] = wanted
            self._begin(wanted, wanted.created, fires=True)
        return wanted

    def update(self, schedule_id: str, wanted: Schedule, seen: dict[str, str] | None, error: str | None) -> Schedule:
        """Replace a schedule; if its trigger changes, ``seen`` and ``error`` are used as for a new one."""
        with self._core.lock:
            schedule = self.get(schedule_id)
            self.check(wanted, schedule)
            self.fire_due()
            changed = self.changes(wanted, schedule)
            if changed and wanted.trigger is not None:
                self.first_polled(schedule, seen, error)
            schedule.name, schedule.submission, schedule.status = wanted.name, wanted.submission, wanted.status
            schedule.recurrence, schedule.trigger = wanted.recurrence, wanted.trigger
            fires = {"changed": changed, "always": True, "never": False}[self._core.quirks.update_fires]
            self._begin(schedule, self._core.instant(), fires=fires, counts=changed or fires)
        return schedule

    def set_status(self, schedule_id: str, status: str) -> None:
        """Enable or disable a schedule, and change nothing else in it."""
        with self._core.lock:
            self.update(schedule_id, replace(self.get(schedule_id), status=status), None, None)

    def run_now(self, schedule_id: str) -> Run:
        """Start a run of a recurrence now, even if the schedule is disabled. When it is due next does not change.

        Raises:
            ServiceError: The schedule has a trigger, or its run is refused.
        """
        schedule = self.get(schedule_id)
        if schedule.recurrence is None:
            raise bad_request(f"Schedule {schedule.name} starts a run for each changed blob, and none without one.")
        with self._core.lock:
            submission = replace(schedule.submission, run_type="Schedule")
            return self._submit(schedule, submission, self._core.instant())

    def changes(self, wanted: Schedule, schedule: Schedule) -> bool:
        """Whether a request changes the recurrence or the trigger of a schedule."""
        return (wanted.recurrence, wanted.trigger) != (schedule.recurrence, schedule.trigger)

    def next_due(self) -> float:
        """When the next schedule fires or polls; infinity if none does."""
        with self._core.lock:
            return min(self._recurrences.next_due(), self._polls.next_due())

    def fire_due(self) -> None:
        """Start the runs of all recurrences that are due, each at its due instant."""
        with self._core.lock:
            for due, schedule_id in self._recurrences.take(self._core.clock.now()):
                schedule = self._schedules[schedule_id]
                self._start(schedule, due, schedule.submission)

    def take_polls(self) -> list[tuple[Schedule, float]]:
        """The schedules that have to poll now, each with its last due instant."""
        with self._core.lock:
            taken = {schedule_id: due for due, schedule_id in self._polls.take(self._core.clock.now())}
            return [(self._schedules[schedule_id], due) for schedule_id, due in taken.items()]

    def polled(self, schedule: Schedule, trigger: object, due: float, found: dict[str, str]) -> None:
        """Start the runs for blobs that were added or modified since the previous poll.

        Args:
            schedule: The schedule that polled.
            trigger: Its trigger when the poll began. If the trigger has changed since, the poll is discarded.
            due: When the poll was due.
            found: The blobs with their ETags.
        """
        with self._core.lock:
            if self._schedules.get(schedule.id) is not schedule or schedule.trigger is not trigger:
                return
            trigger = schedule.trigger
            if trigger is None or schedule.status != "Active":
                return
            seen, schedule.seen, schedule.last_error = schedule.seen, found, None
            schedule.last_polled = due
            # The first poll only notes the existing blobs.
            changed = [] if seen is None else [name for name, etag in found.items() if seen.get(name) != etag]
            if changed:
                schedule.last_change, schedule.changed_blobs = due, changed
            if changed and self._core.quirks.one_run_per_poll:
                changed = [trigger.path or ""]
            for path in changed:
                place = DataPath(trigger.datastore, path)
                self._start(schedule, due, _for_path(schedule.submission, trigger.data_path_parameter, place))
            if seen != schedule.seen:
                self._core.changed()

    def first_polled(self, schedule: Schedule, found: dict[str, str] | None, error: str | None) -> None:
        """Note the existing blobs of a new trigger, which start no runs; without them, ``error`` is the reason."""
        schedule.seen, schedule.last_error = found, error
        schedule.last_polled = self._core.instant()

    def failed(self, schedule: Schedule, due: float, message: str) -> None:
        """Store the error of a poll that failed."""
        with self._core.changing():
            schedule.last_polled, schedule.last_error = due, message

    def _begin(self, schedule: Schedule, now: float, *, fires: bool, counts: bool = True) -> None:
        quirks = self._core.quirks
        schedule.modified = now
        schedule.provisioned = self._core.provisioned(now)
        schedule.provisioning_error = quirks.provisioning_fails or None
        if counts:
            schedule.anchored = schedule.provisioned
        self._plan(schedule, None if fires else schedule.provisioned)
        self.fire_due()
        self._core.changed()

    def _plan(self, schedule: Schedule, after: float | None) -> None:
        table = self._polls if schedule.recurrence is None else self._recurrences
        table.put(schedule.id, self._times(schedule, after))

    def _times(self, schedule: Schedule, after: float | None) -> Iterator[float]:
        """When a schedule fires or polls, starting at the end of its provisioning."""
        return itertools.dropwhile(lambda due: due < schedule.provisioned, self._all_times(schedule, after))

    def _all_times(self, schedule: Schedule, after: float | None) -> Iterator[float]:
        if schedule.status != "Active" or schedule.provisioning_error is not None:
            return iter(())
        if schedule.recurrence is not None:
            fires = fire_times(
                schedule.recurrence,
                _moment(schedule.anchored),
                None if after is None else _moment(after),
                minute_zero=self._core.quirks.minute_zero,
            )
            return (fire.timestamp() for fire in fires)
        assert schedule.trigger is not None
        step = schedule.trigger.polling_interval * 60
        passed = 0 if after is None else max(0, math.floor((after - schedule.anchored) / step))
        return (schedule.anchored + number * step for number in itertools.count(passed + 1))

    def _start(self, schedule: Schedule, due: float, submission: Submission) -> None:
        schedule.last_fired, schedule.last_error = due, None
        try:
            self._submit(schedule, replace(submission, run_type="Schedule"), due)
        except ServiceError as error:
            schedule.last_error = error.message
            self._core.changed()

    def _pipeline_of(self, wanted: Schedule) -> Pipeline:
        pipeline_id, must_run = wanted.pipeline_id, wanted.status == "Active"
        if wanted.endpoint_id is not None:
            endpoint = self._core.endpoints.get(wanted.endpoint_id)
            if endpoint is None:
                raise bad_request(f"PipelineEndpoint {wanted.endpoint_id} was not found.", "PipelineEndpointNotFound")
            if must_run and endpoint.status != "Active":
                raise bad_request(f"PipelineEndpoint {endpoint.name} is {endpoint.status}.", "PipelineEndpointDisabled")
            pipeline_id = endpoint.versions[endpoint.default_version]
        pipeline = self._core.pipelines.get(pipeline_id or "")
        if pipeline is None:
            raise bad_request(f"Pipeline {pipeline_id} was not found.", "PipelineNotFound")
        if must_run and pipeline.status != "Active":
            raise bad_request(f"Pipeline {pipeline.name} ({pipeline.id}) is {pipeline.status}.", "PipelineDisabled")
        return pipeline


def _for_path(submission: Submission, parameter: str | None, place: DataPath) -> Submission:
    if parameter is None:
        return submission
    return replace(submission, data_paths={**submission.data_paths, parameter: place})


def _moment(instant: float) -> datetime:
    return datetime.fromtimestamp(instant, UTC)
