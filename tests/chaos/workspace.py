"""The workspace in a storm: each pipeline run takes as long, and ends as, its parameters ask for."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from support.services.recorded_workspace import RecordedWorkspace

_PARAMETERS = [
    {"name": "name", "default": ""},
    {"name": "lengths", "default": "1"},
    {"name": "note", "optional": True},
]
_PIPELINES = [
    {
        "name": f"work-{number}",
        "id": f"work-{number}",
        "start_seconds": 0,
        "parameters": _PARAMETERS,
        "steps": [{"name": "work", "queue_seconds": 0, "run_seconds": 1}],
    }
    for number in range(3)
]
_ENDPOINTS = [{"name": "door", "default_version": "1", "versions": {"0": "work-0", "1": "work-2"}}]
_COMPONENTS = [
    {
        "name": pipeline["name"],
        "start_seconds": 0,
        "inputs": [{"name": parameter["name"], "optional": True} for parameter in _PARAMETERS],
        "steps": pipeline["steps"],
    }
    for pipeline in _PIPELINES
]
_BATCH_ENDPOINTS = [
    {"name": "door", "default_deployment": "blue", "deployments": [{"name": "blue", "component": "work-2:1"}]}
]


class StormWorkspace(RecordedWorkspace):
    """Serves the pipelines ``work-0`` to ``work-2`` and the endpoint ``door``; also as components and a batch endpoint.

    The parameter ``lengths`` says what becomes of the runs with one ``name``, one after another: seconds, with ``!`` if
    the run fails then. The last one holds for all further runs.

    Args:
        pipelines: More of its pipelines.
        components: More of its components.
        datastores: Its datastores.
    """

    def __init__(self, pipelines, components, datastores, **options):
        seed = {
            "pipelines": [*_PIPELINES, *pipelines],
            "endpoints": _ENDPOINTS,
            "components": [*_COMPONENTS, *components],
            "batch_endpoints": _BATCH_ENDPOINTS,
            "datastores": datastores,
        }
        super().__init__(seed, **options)
        self._seen = 0
        self._runs_of = Counter()
        self.state.listeners.append(self._set_length)

    def cancel(self, run_id):
        """Cancel a run as a person in the studio does."""
        self.state.cancel(run_id)

    def active(self, name):
        """The ids of the active runs with a ``name``."""
        with self.state.lock:
            return [
                run.id
                for run in self.state.runs.values()
                if run.parameters.get("name") == name and self.state.view(run).ended is None
            ]

    def rests(self):
        """Whether no run of a task goes on."""
        with self.state.lock:
            return all(
                self.state.view(run).ended is not None for run in self.state.runs.values() if "name" in run.parameters
            )

    def _set_length(self):
        # Called with the lock, before anybody can see a new run.
        runs = self.state.runs
        if len(runs) == self._seen:
            return
        for run in list(runs.values())[self._seen :]:
            lengths = run.parameters.get("lengths")
            if lengths:
                name = run.parameters["name"]
                one = lengths.split(",")[: self._runs_of[name] + 1][-1]
                self._runs_of[name] += 1
                (step_run,) = run.steps
                fails = "the storm wants it" if one.endswith("!") else None
                step_run.step = replace(step_run.step, run_seconds=float(one.rstrip("!")), fails=fails)
        self._seen = len(runs)
