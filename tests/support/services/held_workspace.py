"""A local workspace whose runs end when a test decides."""

from __future__ import annotations

from dataclasses import replace

from support.services.recorded_workspace import RecordedWorkspace


class HeldWorkspace(RecordedWorkspace):
    """Serves pipelines ``p0``, ``p1``, …, whose runs continue until :meth:`finish`; time is real.

    Args:
        pipelines: The number of pipelines.
        components: The names of components; a batch endpoint of the same name leads to each.
    """

    def __init__(self, pipelines, components=(), **options):
        work = {"start_seconds": 0, "steps": [{"name": "work", "run_seconds": 10**6}]}
        deployments = {name: [{"name": "blue", "component": f"{name}:1"}] for name in components}
        seed = {
            "pipelines": [{"name": f"p{i}", "id": f"p{i}", **work} for i in range(pipelines)],
            "components": [{"name": name, **work} for name in components],
            "batch_endpoints": [
                {"name": name, "default_deployment": "blue", "deployments": own} for name, own in deployments.items()
            ],
        }
        super().__init__(seed, **options)

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
