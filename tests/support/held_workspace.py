"""A local workspace whose runs take as long as a test wants them to."""

from __future__ import annotations

from dataclasses import replace

from support.local_workspace import TOKEN

from aml_provider.emulator.routes.control import describe
from aml_provider.emulator.server import EmulatorServer

SUBSCRIPTION = {
    "subscription_id": "00000000-0000-0000-0000-000000000000",
    "resource_group": "local",
    "workspace_name": "local",
}


class HeldWorkspace(EmulatorServer):
    """Serves pipelines ``p0``, ``p1``, …, whose runs go on until :meth:`finish`; time is real.

    Args:
        pipelines: How many.
    """

    def __init__(self, pipelines, **options):
        seed = [
            {"name": f"p{i}", "id": f"p{i}", "start_seconds": 0, "steps": [{"name": "work", "run_seconds": 10**6}]}
            for i in range(pipelines)
        ]
        super().__init__({"pipelines": seed}, token=TOKEN, **options)

    def connection(self):
        """An Airflow connection that leads here."""
        extra = {**SUBSCRIPTION, "auth_method": "static_token", "endpoint": self.url}
        return {"conn_type": "azureml", "password": TOKEN, "extra": extra}

    def record(self, experiment=None):
        """All runs, oldest first, as ``/_emulator/runs`` tells them."""
        with self.state.lock:
            runs = [run for run in self.state.runs.values() if experiment in (None, run.experiment)]
            return [describe(self.state, run) for run in runs]

    def finish(self, run_id, fails=None):
        """Let a run end now; with a text, let it fail with that message."""
        with self.state.lock:
            run = self.state.runs[run_id]
            (step_run,) = run.steps
            seconds = self.clock.now() - run.created - step_run.step.queue_seconds
            step_run.step = replace(step_run.step, run_seconds=max(0.0, seconds), fails=fails)
            self.state.changed()

    def awaits(self, fault):
        """Whether a fault still waits for its request."""
        return any(pending["id"] == fault.id for pending in self.faults.pending())
