"""One emulated workspace with everything around it: clock, faults, request log, step functions, state file."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from aml_provider.emulator.clock import Clock
from aml_provider.emulator.engine.blobs import Blobs
from aml_provider.emulator.engine.schedule_runner import ScheduleRunner
from aml_provider.emulator.faults import Faults
from aml_provider.emulator.quirks import Quirks
from aml_provider.emulator.request_log import RequestLog
from aml_provider.emulator.seeds import reader as seeds
from aml_provider.emulator.steps import StepRunner
from aml_provider.emulator.workspace.workspace import Workspace

if TYPE_CHECKING:
    from pathlib import Path


class Emulation:
    """Everything that the routes work on. The arguments are those of ``EmulatorServer``.

    Raises:
        OSError: A file cannot be read, or the state file cannot be written.
        ValueError: An argument is invalid.
    """

    def __init__(
        self,
        seed: seeds.Seed,
        *,
        speed: float = 1.0,
        quirks: Quirks | None = None,
        blob_endpoint: str | None = None,
        state_file: Path | None = None,
    ) -> None:
        self._seed = seeds.read(seed)
        self._state_file = state_file
        if state_file is not None:
            seeds.check_place(state_file)
        saved = seeds.read(state_file) if state_file and state_file.exists() else None
        self.clock = Clock(speed)
        if saved is not None:
            self.clock.not_before(saved.get("clock") or 0.0)
        self.workspace = Workspace(self.clock, quirks or Quirks())
        seeds.fill(self.workspace, self._seed if saved is None else saved)
        self.faults = Faults()
        self.requests = RequestLog()
        self.content_secret = secrets.token_bytes(32)
        self.blobs = Blobs(blob_endpoint)
        self.schedule_runner = ScheduleRunner(self.workspace, self.blobs)
        self._step_runner = StepRunner(self.workspace, self.blobs)

    def start(self) -> None:
        """Start schedules, step functions and the saving of changes."""
        self.workspace.listeners.append(self._save)
        # Schedules first: a step of a run that they start may be due immediately.
        self.clock.agendas = (self.schedule_runner, self._step_runner)
        self.schedule_runner.start()
        self._step_runner.start()

    def stop(self) -> None:
        """Wait for polls and step functions in progress, and write the file."""
        self.schedule_runner.stop()
        self._step_runner.stop()
        self._save()

    def reset(self) -> None:
        """Return to the seed and to real time, without faults and logged requests."""
        with self.workspace.changing():
            self.clock.reset()
            self.workspace.clear()
            seeds.fill(self.workspace, self._seed)
            self.faults.clear()
            self.requests.clear()
        self.schedule_runner.note_existing_blobs()

    def _save(self) -> None:
        if self._state_file is not None:
            seeds.save(self.workspace, self._state_file)
