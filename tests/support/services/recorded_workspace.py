"""A local workspace that Airflow's processes use, and its list of their runs."""

from __future__ import annotations

from aml_provider.emulator.routes.control import describe
from aml_provider.emulator.server import EmulatorServer

TOKEN = "very-secret-token"
SUBSCRIPTION = {
    "subscription_id": "00000000-0000-0000-0000-000000000000",
    "resource_group": "local",
    "workspace_name": "local",
}


class RecordedWorkspace(EmulatorServer):
    """Serves the things of a seed; time is real.

    Args:
        seed: As a mapping.
    """

    def __init__(self, seed, **options):
        super().__init__(seed, token=TOKEN, **options)

    def connection(self, name=SUBSCRIPTION["workspace_name"]):
        """An Airflow connection to this workspace, which answers to every name."""
        extra = {**SUBSCRIPTION, "workspace_name": name, "auth_method": "static_token", "endpoint": self.url}
        return {"conn_type": "azureml", "password": TOKEN, "extra": extra}

    def record(self, experiment=None):
        """All runs, oldest first, as ``/_emulator/runs`` returns them."""
        with self.state.lock:
            runs = [run for run in self.state.runs.values() if experiment in (None, run.experiment)]
            return [describe(self.state, run) for run in runs]
