"""A local workspace with small pipelines that need no blobs, and the connection to it."""

from __future__ import annotations

import json
from contextlib import contextmanager

from support.services.recorded_workspace import RecordedWorkspace

# Ten workspace seconds are a tenth of a real one.
SPEED = 100.0
# Seconds of a step that ends only if a test moves the clock, however slow the machine is: a real hour.
LONG = 360_000
SEED = {
    "datastores": [{"name": "store", "account_name": "a", "account_key": "a2V5", "container": "c"}],
    "pipelines": [
        {
            "name": "quick",
            "id": "quick",
            "parameters": [{"name": "count", "type": "Int", "default": "1"}],
            "data_paths": [{"name": "input", "default": {"datastore": "store", "path": "in"}}],
            "steps": [{"name": "work", "run_seconds": 10}],
        },
        {"name": "long", "id": "long", "steps": [{"name": "work", "run_seconds": LONG}]},
        {
            "name": "fails",
            "id": "fails",
            "steps": [
                {"name": "read", "run_seconds": 1},
                {"name": "score", "run_seconds": 1, "fails": "row 2 is empty", "log": "loading\nrow 2: oh no"},
            ],
        },
        {"name": "retired", "id": "retired", "status": "Disabled", "steps": [{"name": "work"}]},
        {"name": "twins", "id": "twin-1", "steps": [{"name": "work"}]},
        {"name": "twins", "id": "twin-2", "steps": [{"name": "work"}]},
    ],
    "components": [
        {
            "name": "quick",
            "version": version,
            "inputs": [
                {"name": "count", "type": "integer", "default": "1"},
                {"name": "input", "type": "uri_folder", "optional": True},
            ],
            "steps": [{"name": "work", "run_seconds": 10}],
        }
        for version in ("1", "2")
    ]
    + [
        {"name": "long", "steps": [{"name": "work", "run_seconds": LONG}]},
        {
            "name": "fails",
            "steps": [
                {"name": "read", "run_seconds": 1},
                {"name": "score", "run_seconds": 1, "fails": "row 2 is empty", "log": "loading\nrow 2: oh no"},
            ],
        },
    ],
    "batch_endpoints": [
        {
            "name": "gate",
            "default_deployment": "blue",
            "deployments": [
                {"name": "blue", "component": "quick:2", "settings": {"default_compute": "cpu"}},
                {"name": "green", "component": "long:1", "settings": {"default_compute": "cpu"}},
            ],
        },
        {"name": "closed", "deployments": [{"name": "blue", "component": "quick:1", "settings": {}}]},
    ],
    "endpoints": [{"name": "door", "id": "door", "default_version": "1", "versions": {"0": "long", "1": "quick"}}],
}


class Workspace(RecordedWorkspace):
    """The local workspace, with short ways to inspect it."""

    def __init__(self, **options):
        super().__init__(SEED, speed=SPEED, **options)

    def connect(self, monkeypatch):
        """Make this workspace the default connection."""
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(self.connection()))

    def runs(self):
        return list(self.state.runs.values())

    def only_run(self):
        (run,) = self.runs()
        return run

    def status(self, run_id=None):
        run = self.state.runs[run_id] if run_id else self.only_run()
        return self.state.view(run).status

    def posts(self):
        return self.requests("POST", "Submit")

    def sent(self):
        """The logged requests that change something."""
        return [entry for entry in self.requests() if entry["method"] != "GET" and "query" not in entry["path"]]


@contextmanager
def serving(monkeypatch, **options):
    """Serve a workspace and connect to it."""
    with Workspace(**options) as workspace:
        workspace.connect(monkeypatch)
        yield workspace


@contextmanager
def standing(monkeypatch, **options):
    """The same, where time passes only if the test says so: half a minute is an hour there, in which schedules fire."""
    with serving(monkeypatch, **options) as workspace:
        workspace.clock.hold()
        yield workspace
