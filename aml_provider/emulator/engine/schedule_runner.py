"""Fires schedules when they are due by the workspace's clock, and lists the blobs that datastore triggers watch."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from aml_provider.emulator.engine.blobs import Blobs, BlobsUnreachableError
from aml_provider.emulator.engine.timer import Timer
from aml_provider.emulator.workspace.errors import ServiceError, bad_request
from aml_provider.emulator.workspace.schedule_request import schedule_from_wire

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.schedule_models import DatastoreTrigger, Schedule
    from aml_provider.emulator.workspace.workspace import Workspace


class ScheduleRunner:
    """An agenda of the workspace's clock. Methods that list blobs block the calling thread."""

    def __init__(self, workspace: Workspace, blobs: Blobs) -> None:
        self._workspace = workspace
        self._blobs = blobs
        # One poll at a time: a move of the clock waits for the poll in progress.
        self._turn = threading.Lock()
        self._timer = Timer(workspace.clock, self._work, "emulator-schedules")

    def start(self) -> None:
        """Begin to follow the clock."""
        self.note_existing_blobs()
        self._workspace.listeners.append(self.wake)
        self._timer.start()

    def stop(self) -> None:
        """Fire nothing more, and wait for a poll in progress."""
        self._timer.stop()

    def wake(self) -> None:
        """Check again what is due, because something changed."""
        self._timer.wake()

    def next_due(self) -> float:
        """The instant at which the next schedule fires or polls; infinity if none does."""
        return min(self._workspace.schedules.next_due(), self._workspace.job_schedules.next_due())

    def catch_up(self) -> None:
        """Start every run and job that is due."""
        with self._turn:
            schedules = self._workspace.schedules
            schedules.fire_due()
            self._workspace.job_schedules.fire_due()
            for schedule, due in schedules.take_polls():
                self._poll(schedule, due)

    def poll(self, schedule_id: str) -> None:
        """Poll for an active schedule with a trigger now. When it polls next does not change.

        Raises:
            ServiceError: The schedule has no trigger, or is disabled.
        """
        schedule = self._workspace.schedules.get(schedule_id)
        if schedule.trigger is None:
            raise bad_request(f"Schedule {schedule.name} has a recurrence, and does not poll.")
        if schedule.status != "Active":
            raise bad_request(f"Schedule {schedule.name} is {schedule.status}. Enable it first.")
        with self._turn:
            self._poll(schedule, self._workspace.instant())

    def note_existing_blobs(self) -> None:
        """Note the existing blobs for the schedules of a seed, so that only blobs that are added later start runs."""
        for schedule in self._workspace.schedules.all():
            if schedule.trigger is not None and schedule.seen is None:
                self._workspace.schedules.first_polled(schedule, *self._list(schedule.trigger))

    def create(self, body: object) -> Schedule:
        """Create the schedule that the request's body describes. Blobs that already exist start no runs."""
        wanted = schedule_from_wire(body, creates=True)
        self._workspace.schedules.check(wanted)
        return self._workspace.schedules.create(wanted, *self._list(wanted.trigger))

    def update(self, schedule_id: str, body: object) -> Schedule:
        """Replace a schedule by the one that the request's body describes."""
        schedules = self._workspace.schedules
        schedule, wanted = schedules.get(schedule_id), schedule_from_wire(body)
        schedules.check(wanted, schedule)
        listing = self._list(wanted.trigger) if schedules.changes(wanted, schedule) else (None, None)
        return schedules.update(schedule_id, wanted, *listing)

    def _poll(self, schedule: Schedule, due: float) -> None:
        trigger = schedule.trigger
        found, error = self._list(trigger)
        if found is None:
            self._workspace.schedules.failed(schedule, due, error or "")
        else:
            self._workspace.schedules.polled(schedule, trigger, due, found)

    def _work(self) -> float:
        self.catch_up()
        return self.next_due()

    def _list(self, trigger: DatastoreTrigger | None) -> tuple[dict[str, str] | None, str | None]:
        """The blobs with their ETags, or the reason why they cannot be listed."""
        if trigger is None:
            return None, None
        try:
            return self._blobs.versions(self._workspace.datastore(trigger.datastore), trigger.path or ""), None
        except (BlobsUnreachableError, ServiceError) as error:
            return None, str(error)
