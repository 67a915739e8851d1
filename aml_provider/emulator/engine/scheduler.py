"""Fires schedules when they are due on the clock, and polls blobs for their triggers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from aml_provider.emulator.engine.blobs import Blobs, BlobsUnreachableError
from aml_provider.emulator.engine.timer import Timer
from aml_provider.emulator.workspace.errors import ServiceError
from aml_provider.emulator.workspace.schedule_request import ScheduleRequest

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.schedule_models import DatastoreTrigger, Schedule
    from aml_provider.emulator.workspace.workspace import Workspace

_Listing = tuple[dict[str, str] | None, str | None]
"""The blobs with their ETags, or the reason why they could not be listed."""


class Scheduler:
    """Part of the agenda of the workspace's clock. Methods that list blobs block."""

    def __init__(self, workspace: Workspace, blobs: Blobs) -> None:
        self._workspace = workspace
        self._schedules = workspace.schedules
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

    def next_due(self, until: float) -> float | None:
        """When the next schedule fires or polls, if that is not after ``until``."""
        due = self._schedules.next_due()
        return due if due is not None and due <= until else None

    def catch_up(self) -> None:
        """Start every run that is due."""
        with self._turn:
            self._schedules.fire_due()
            for schedule, due in self._schedules.take_polls():
                trigger = schedule.trigger
                found, error = self._list(trigger)
                if found is None:
                    self._schedules.failed(schedule, error or "")
                else:
                    self._schedules.polled(schedule, trigger, due, found)

    def note_existing_blobs(self) -> None:
        """Note the existing blobs for the schedules of a seed, so that only later ones start runs."""
        for schedule in self._schedules.all():
            if schedule.trigger is not None and schedule.seen is None:
                schedule.seen, schedule.last_error = self._list(schedule.trigger)

    def create(self, body: object) -> Schedule:
        """A new schedule, as the request's body describes it. Blobs that already exist start no runs."""
        request = ScheduleRequest.from_wire(body, creates=True)
        self._schedules.check(request)
        return self._schedules.create(request, *self._list(request.trigger))

    def update(self, schedule_id: str, body: object) -> Schedule:
        """Replace a schedule by what the request's body describes."""
        schedule = self._schedules.get(schedule_id)
        request = ScheduleRequest.from_wire(body)
        self._schedules.check(request, schedule)
        listing = self._list(request.trigger) if self._schedules.changes(request, schedule) else (None, None)
        return self._schedules.update(schedule_id, request, *listing)

    def _work(self) -> float | None:
        self.catch_up()
        return self._schedules.next_due()

    def _list(self, trigger: DatastoreTrigger | None) -> _Listing:
        if trigger is None:
            return None, None
        try:
            return self._blobs.versions(self._workspace.datastore(trigger.datastore), trigger.path or ""), None
        except (BlobsUnreachableError, ServiceError) as error:
            return None, str(error)
