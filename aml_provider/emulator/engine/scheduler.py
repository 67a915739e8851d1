"""Lets schedules fire when the clock says so, and looks for blobs for them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from aml_provider.emulator.engine.blobs import BlobsUnreachableError
from aml_provider.emulator.engine.timer import Watch
from aml_provider.emulator.workspace.errors import ServiceError
from aml_provider.emulator.workspace.schedule_request import ScheduleRequest

if TYPE_CHECKING:
    from aml_provider.emulator.engine.blobs import Blobs
    from aml_provider.emulator.workspace.schedule_models import DatastoreTrigger, Schedule
    from aml_provider.emulator.workspace.workspace import Workspace

_Look = tuple[dict[str, str] | None, str | None]


class Scheduler:
    """Part of the agenda of the workspace's clock. What asks the blob service blocks."""

    def __init__(self, workspace: Workspace, blobs: Blobs) -> None:
        self._workspace = workspace
        self._schedules = workspace.schedules
        self._blobs = blobs
        # One poll at a time: who moves the clock waits for the one that is under way.
        self._turn = threading.Lock()
        self._watch = Watch(workspace.clock, self._work, "emulator-schedules")

    def start(self) -> None:
        """Begin to watch the clock."""
        self.learn()
        self._workspace.listeners.append(self.wake)
        self._watch.start()

    def stop(self) -> None:
        """Fire nothing more and wait for a poll that is under way."""
        self._watch.stop()

    def wake(self) -> None:
        """Look again, because something changed."""
        self._watch.wake()

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
                found, error = self._look(trigger)
                if found is None:
                    self._schedules.failed(schedule, error or "")
                else:
                    self._schedules.polled(schedule, trigger, due, found)

    def learn(self) -> None:
        """Let the schedules of a file, which have not looked yet, learn which blobs are there."""
        for schedule in self._schedules.all():
            if schedule.trigger is not None and schedule.seen is None:
                schedule.seen, schedule.last_error = self._look(schedule.trigger)

    def create(self, body: object) -> Schedule:
        """A new schedule, as the request's body describes it. The blobs that are there by now do not count."""
        request = ScheduleRequest.from_wire(body, creates=True)
        self._schedules.check(request)
        return self._schedules.create(request, *self._look(request.trigger))

    def update(self, schedule_id: str, body: object) -> Schedule:
        """Put what the body describes in the place of what a schedule was."""
        schedule = self._schedules.get(schedule_id)
        request = ScheduleRequest.from_wire(body)
        self._schedules.check(request, schedule)
        look = self._look(request.trigger) if self._schedules.changes(request, schedule) else (None, None)
        return self._schedules.update(schedule_id, request, *look)

    def _work(self) -> float | None:
        self.catch_up()
        return self._schedules.next_due()

    def _look(self, trigger: DatastoreTrigger | None) -> _Look:
        if trigger is None:
            return None, None
        try:
            return self._blobs.versions(self._workspace.datastore(trigger.datastore), trigger.path or ""), None
        except (BlobsUnreachableError, ServiceError) as error:
            return None, str(error)
