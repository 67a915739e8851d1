"""A caller of the emulator's services, over HTTP."""

from __future__ import annotations

from contextlib import contextmanager

import httpx

from aml_provider.emulator.server import EmulatorServer

SCOPE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
PIPELINES, HISTORY = f"/pipelines/v1.0{SCOPE}", f"/history/v1.0{SCOPE}"
ARTIFACTS, DATASTORES, METRICS = f"/artifact/v2.0{SCOPE}", f"/datastore/v1.0{SCOPE}", f"/metric/v2.0{SCOPE}"
SEED = {
    "datastores": [
        {"name": "store", "account_name": "a", "account_key": "a2V5", "container": "c"},
        {"name": "files", "type": "AzureFile", "account_name": "a", "sas_token": "sig=x", "container": "c"},
    ],
    "pipelines": [
        {
            "name": "train",
            "id": "train",
            "parameters": [{"name": "rate", "type": "Double", "default": "0.5"}, {"name": "label", "optional": True}],
            "data_paths": [{"name": "input", "default": {"datastore": "store", "path": "in"}}],
            "datasets": [{"name": "table", "optional": True}],
            "steps": [{"name": "prepare", "log": "preparing"}, {"name": "fit", "log": "fitting"}],
        },
        {"name": "score", "id": "score", "steps": [{"name": "work"}]},
        {"name": "retired", "id": "retired", "status": "Disabled", "steps": [{"name": "work"}]},
    ],
    "endpoints": [{"name": "door", "id": "door", "default_version": "1", "versions": {"0": "score", "1": "train"}}],
    "components": [
        {
            "name": "fit_files",
            "version": version,
            "inputs": [
                {"name": "rate", "type": "number", "default": "0.5"},
                {"name": "label", "optional": True},
                {"name": "input", "type": "uri_folder"},
                {"name": "table", "type": "mltable", "optional": True},
            ],
            "outputs": {"scores": "uri_folder"},
            "steps": [{"name": "prepare", "log": "preparing"}, {"name": "fit", "log": "fitting"}],
        }
        for version in ("1", "2")
    ]
    + [{"name": "cook", "type": "command"}],
    "batch_endpoints": [
        {
            "name": "gate",
            "default_deployment": "blue",
            "deployments": [
                {"name": "blue", "component": "fit_files:2", "settings": {"continue_on_step_failure": "True"}},
                {"name": "green", "component": "fit_files:1"},
            ],
        },
        {"name": "empty"},
    ],
}
DATA = "azureml://datastores/store/paths/in/"


class Api(httpx.Client):
    """A caller with a token. A reply with an error fails the test, unless ``ask`` expects that status."""

    def __init__(self, emulator):
        super().__init__(base_url=emulator.url, headers={"Authorization": "Bearer t"})
        self.emulator = emulator

    def ask(self, method, path, status=200, **options):
        """The JSON of a reply, or the message of a refusal."""
        reply = self.request(method, path, **options)
        assert reply.status_code == status, f"{reply.status_code} {reply.text}"
        if status < 400:
            return reply.json() if reply.content else None
        body = reply.json()
        if path.startswith("/pipelines/"):
            return body["Error"]["Message"]
        assert body["error"].get("details", []) == []
        return body["error"]["message"]

    def submit(self, pipeline="train", experiment="exp", **body):
        """The id of a new run."""
        path = f"{PIPELINES}/PipelineRuns/PipelineSubmit/{pipeline}"
        return self.ask("POST", path, json={"ExperimentName": experiment, **body})["Id"]

    def finished(self, **options):
        """The id of a run that has ended."""
        run_id = self.submit(**options)
        self.emulator.clock.advance(60)
        return run_id

    def put_job(self, job_id="job-1", status=201, component="fit_files:1", **properties):
        """A new job, or another reply with that status."""
        return self.ask("PUT", f"{SCOPE}/jobs/{job_id}", status, json=job_body(component, **properties))

    def put_schedule(self, name="daily", status=201, **properties):
        """A new schedule of jobs, or another reply with that status."""
        given = {
            "trigger": {"triggerType": "Recurrence", "frequency": "Day", "interval": 1},
            "action": {"actionType": "CreateJob", "jobDefinition": job_body()["properties"]},
            **properties,
        }
        return self.ask("PUT", f"{SCOPE}/schedules/{name}", status, json={"properties": given})

    def job(self, job_id="job-1"):
        """The properties of a job."""
        return self.ask("GET", f"{SCOPE}/jobs/{job_id}")["properties"]

    def listed(self, path):
        """The names of the items on all pages of a list of Azure Resource Manager."""
        names = []
        link = f"{SCOPE}{path}"
        while link:
            page = self.ask("GET", link)
            names += [item["name"] for item in page["value"]]
            link = page.get("nextLink")
        return names

    def run(self, run_id):
        """A run in run history."""
        return self.ask("GET", f"{HISTORY}/runs/{run_id}")

    def steps(self, run_id):
        """The steps of a run in run history, in the order of their start."""
        found = self.ask("GET", f"{HISTORY}/runs/{run_id}/children?$orderby=StartTimeUtc asc")
        return [record for record in found["value"] if record["runType"] == "azureml.StepRun"]


def job_body(component="fit_files:1", **properties):
    """The body of a job with the input that it needs."""
    reference = (
        component
        if component is None or "/" in component
        else f"{SCOPE}/components/{component}".replace(":", "/versions/")
    )
    given = {
        "jobType": "Pipeline",
        "componentId": reference,
        "experimentName": "exp",
        "inputs": {"input": {"jobInputType": "uri_folder", "uri": DATA}},
        **properties,
    }
    return {"properties": given}


@contextmanager
def serving(seed=SEED, **options):
    """Serve a workspace with a held clock; returns its caller."""
    with EmulatorServer(seed, **options) as emulator, Api(emulator) as api:
        emulator.clock.hold()
        yield api
