"""A local workspace whose runs take data and report outputs, without blobs behind them."""

from __future__ import annotations

from support.services.local_workspace import SEED, SPEED
from support.services.recorded_workspace import RecordedWorkspace

#: The key of its datastore's account.
KEY = "cGw0bnRlZC1rZXk="
_STEPS = [{"name": "work", "run_seconds": 1}]
_PIPELINE = {
    "name": "traced",
    "id": "traced",
    "version": "7",
    "data_paths": [{"name": "input", "default": {"datastore": "store", "path": "in"}}],
    "datasets": [{"name": "prices"}],
    "steps": _STEPS,
}
_COMPONENT = {
    "name": "traced",
    "version": "4",
    "inputs": [{"name": "input", "type": "uri_file"}, {"name": "prices", "type": "mltable"}],
    "steps": _STEPS,
}


class TracedWorkspace(RecordedWorkspace):
    """Serves the pipelines of the local workspace, and one more, of v1 and v2, with data; its runs take a moment.

    The service's replies about outputs hold addresses that are signed.
    """

    def __init__(self, **options):
        seed = {
            **SEED,
            "datastores": [{**SEED["datastores"][0], "account_key": KEY}],
            "pipelines": [*SEED["pipelines"], _PIPELINE],
            "components": [*SEED["components"], _COMPONENT],
        }
        super().__init__(seed, speed=SPEED, **options)
        self.state.listeners.append(self._write)

    def _write(self):
        """Let every run have written its outputs; called whenever something changes."""
        for run in self.state.runs.values():
            run.steps[-1].blobs[:] = [("store", "out/scores.csv", 7)]
            if run.job is not None:
                run.job.definition["outputs"] = {
                    "scores": _output("azureml://datastores/store/paths/azureml/${{name}}/${{output_name}}/"),
                    "report": _output("https://other.blob.core.windows.net/reports/a%20b.html?sv=1&sig=pl4nted%3D"),
                    "unset": _output(None),
                }


def _output(uri):
    return {"jobOutputType": "uri_folder", "mode": "ReadWriteMount", "uri": uri}
