"""A local workspace whose runs take as long as a test wants them to."""

from __future__ import annotations

from dataclasses import replace

from support.services.recorded_workspace import RecordedWorkspace


class HeldWorkspace(RecordedWorkspace):
    """Serves pipelines ``p0``, ``p1``, …, whose runs go on until :meth:`finish`; time is real.

    Args:
        pipelines: How many.
    """

    def __init__(self, pipelines, **options):
        seed = [
            {"name": f"p{i}", "id": f"p{i}", "start_seconds": 0, "steps": [{"name": "work", "run_seconds": 10**6}]}
            for i in range(pipelines)
        ]
        super().__init__({"pipelines": seed}, **options)

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
