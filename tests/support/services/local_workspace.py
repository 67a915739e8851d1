"""A local workspace with small pipelines that need no blobs, and the connection that leads to it."""

from __future__ import annotations

import json
from contextlib import contextmanager

from aml_provider.emulator.server import EmulatorServer

TOKEN = "very-secret-token"
# Ten workspace seconds are a tenth of a real one.
SPEED = 100.0
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
        {"name": "long", "id": "long", "steps": [{"name": "work", "run_seconds": 36000}]},
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
    "endpoints": [{"name": "door", "id": "door", "default_version": "1", "versions": {"0": "long", "1": "quick"}}],
}


class Workspace(EmulatorServer):
    """The local workspace, and questions about it."""

    def __init__(self, **options):
        super().__init__(SEED, speed=SPEED, token=TOKEN, **options)

    def connect(self, monkeypatch):
        """Make the default connection lead here."""
        extra = {
            "subscription_id": "00000000-0000-0000-0000-000000000000",
            "resource_group": "local",
            "workspace_name": "local",
            "auth_method": "static_token",
            "endpoint": self.url,
        }
        connection = {"conn_type": "azureml", "password": TOKEN, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))

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
        """What was asked to change."""
        return [entry for entry in self.requests() if entry["method"] != "GET" and "query" not in entry["path"]]


@contextmanager
def serving(monkeypatch, **options):
    """Serve a workspace of its own and connect to it."""
    with Workspace(**options) as workspace:
        workspace.connect(monkeypatch)
        yield workspace
