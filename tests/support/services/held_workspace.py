"""A local workspace whose runs end when a test decides."""

from __future__ import annotations

from dataclasses import replace

from support.services.recorded_workspace import RecordedWorkspace


class HeldWorkspace(RecordedWorkspace):
    """Serves pipelines ``p0``, ``p1``, …, whose runs continue until :meth:`finish`; time is real.

    Args:
        pipelines: The number of pipelines.
    """

    def __init__(self, pipelines, **options):
        seed = [
            {"name": f"p{i}", "id": f"p{i}", "start_seconds": 0, "steps": [{"name": "work", "run_seconds": 10**6}]}
            for i in range(pipelines)
        ]
        super().__init__({"pipelines": seed}, **options)

    def finish(self, run_id, fails=None):
        """End a run now; with a text, it fails with that message."""
        with self.state.changing():
            run = self.state.runs[run_id]
            (step_run,) = run.steps
            seconds = self.clock.now() - run.created - step_run.step.queue_seconds
            step_run.step = replace(step_run.step, run_seconds=max(0.0, seconds), fails=fails)

    def awaits(self, fault):
        """Whether a fault is still pending."""
        return any(pending["id"] == fault.id for pending in self.faults.pending())
