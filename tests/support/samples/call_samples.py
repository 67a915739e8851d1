"""Every operation of the client, found by inspection, with arguments that a prepared local workspace knows."""

from __future__ import annotations

import copy
import importlib
import inspect
import pkgutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
from support.drivers.driving import DATASTORES, HISTORY, PIPELINES, SCOPE

from aml_provider import client
from aml_provider.client.entities import Datastore
from aml_provider.emulator.seeds import reader as seeds
from aml_provider.emulator.server import EmulatorServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.calls.call import Call

EXPERIMENT = "scoring"
_JOB_SCHEDULE = {
    # A disabled one starts nothing by itself, and can be deleted.
    "isEnabled": False,
    "action": {
        "actionType": "CreateJob",
        "jobDefinition": {
            "jobType": "Pipeline",
            "componentId": f"{SCOPE}/components/score/versions/1",
            "experimentName": EXPERIMENT,
            "inputs": {},
        },
    },
    "trigger": {"triggerType": "Cron", "expression": "0 7 * * *", "timeZone": "UTC"},
}
_SEED = {
    "datastores": [
        {"name": "store", "account_name": "a", "account_key": "a2V5", "container": "c"},
        {"name": "other", "account_name": "a", "account_key": "a2V5", "container": "d"},
    ],
    "pipelines": [
        {
            "name": "score",
            "id": "pipe-1",
            "graph_id": "graph-1",
            "parameters": [{"name": "label", "default": "x"}],
            "data_paths": [{"name": "input", "default": {"datastore": "store", "path": "in"}}],
            "steps": [{"name": "work", "node_id": "node-1", "run_seconds": 1, "log": "hello"}],
        },
        {"name": "other", "id": "pipe-2", "steps": [{"name": "work", "run_seconds": 1e9}]},
    ],
    "components": [
        {
            "name": "score",
            "version": version,
            "inputs": [{"name": "label", "type": "string", "optional": True}],
            "steps": [{"name": "work", "run_seconds": 1e9}],
        }
        for version in ("1", "2")
    ],
    "batch_endpoints": [
        {
            "name": "batch-door",
            "default_deployment": "blue",
            "deployments": [{"name": "blue", "component": "score:1", "settings": {"default_compute": "cpu"}}],
        }
    ],
    "endpoints": [
        {"name": "door", "id": "door-1", "versions": {"0": "pipe-1", "1": "pipe-2"}},
        {"name": "gate", "id": "gate-1", "versions": {"0": "pipe-1"}},
    ],
    "job_schedules": [{"name": name, "properties": _JOB_SCHEDULE} for name in ("jobs-nightly", "jobs-old")],
    "schedules": [
        {
            "name": "nightly",
            "id": "schedule-1",
            "pipeline_id": "pipe-1",
            "submission": {"experiment": EXPERIMENT},
            "recurrence": {"frequency": "Minute", "interval": 1},
        },
        {
            "name": "of the endpoint",
            "id": "schedule-2",
            "endpoint_id": "door-1",
            "status": "Disabled",
            "submission": {"experiment": EXPERIMENT},
            "recurrence": {"frequency": "Day", "interval": 1},
        },
    ],
}


def every_call() -> dict[str, Callable[..., Call[Any]]]:
    """All public functions of ``aml_provider.client`` that return a ``Call``, by name."""
    found = {}
    for info in pkgutil.walk_packages(client.__path__, f"{client.__name__}."):
        module = importlib.import_module(info.name)
        for name, function in vars(module).items():
            if name.startswith("_") or not inspect.isfunction(function) or function.__module__ != info.name:
                continue
            if str(inspect.signature(function).return_annotation).partition("[")[0] == "Call":
                found[name] = function
    return found


def any_calls() -> list[Call[Any]]:
    """Every call once, with arguments that no workspace has to know."""
    mapping: dict[str, Any] = {"properties": {}}
    samples: dict[str, Any] = {
        **dict.fromkeys(("body", "wire", "changes", "properties"), mapping),
        "at": datetime(2026, 11, 29, 12, tzinfo=UTC),
        "names": ["k"],
        "store": Datastore.from_wire({"name": "s"}),
        "tags": {"k": "v"},
        "top": 5,
    }
    made = []
    for function in every_call().values():
        names = [item.name for item in inspect.signature(function).parameters.values() if item.default is item.empty]
        made.append(function(**{name: samples.get(name, name) for name in names}))
    return made


class World:
    """A workspace with a bit of everything, and how to come back to it.

    Attributes:
        seed: What a server starts from; its ids stay the same, and it starts nothing by itself.
        now: An instant after all that has happened there.
        samples: Arguments by parameter, or by ``function.parameter`` where one value does not do for all.
    """

    def __init__(self) -> None:
        with EmulatorServer(_SEED) as emulator, _client_of(emulator) as api:
            emulator.clock.hold()
            body = {"ExperimentName": EXPERIMENT, "ParameterAssignments": {"label": "y"}, "tags": {"team": "ml"}}
            submit = f"{PIPELINES}/PipelineRuns/PipelineSubmit"
            run_id = api.post(f"{submit}/pipe-1", json=body).json()["Id"]
            active_id = api.post(f"{submit}/pipe-2", json={"ExperimentName": EXPERIMENT}).json()["Id"]
            component = f"{SCOPE}/components/score/versions/1"
            job = {"properties": {"jobType": "Pipeline", "componentId": component, "experimentName": EXPERIMENT}}
            api.put(f"{SCOPE}/jobs/job-1?api-version=2024-04-01", json=job).raise_for_status()
            # The schedule starts a run meanwhile.
            emulator.clock.advance(90)
            emulator.state.runs[run_id].steps[0].blobs.append(("store", "out/result.csv", 3))
            experiment_id = api.get(f"{HISTORY}/runs/{run_id}").json()["experimentId"]
            api.patch(f"{HISTORY}/experimentids/{experiment_id}", json={"tags": {"team": "ml"}})
            empty_id = api.post(f"{HISTORY}/experiments/empty").json()["experimentId"]
            step_id = api.get(f"{HISTORY}/runs/{run_id}/children").json()["value"][0]["runId"]
            loss = {"name": "loss", "columns": {"loss": "double"}, "value": [{"data": {"loss": 0.5}}]}
            api.post(f"{HISTORY}/runs/{run_id}/batch".replace("/history/v1.0", "/metric/v2.0"), json={"values": [loss]})
            schedule = api.get(f"{PIPELINES}/Schedules/schedule-1").json()
            api.put(f"{PIPELINES}/Schedules/schedule-1", json={**schedule, "EntityStatus": "Disabled"})
            self.seed = seeds.dump(emulator.state)
            endpoint = api.get(f"{PIPELINES}/PipelineEndpoints/Id/door-1").json()
            store = api.get(f"{DATASTORES}/datastores/store").json()
            self.now = emulator.clock.now() + 86_400
        submission = {"ExperimentName": EXPERIMENT, "ParameterAssignments": {"label": "z"}}
        new_schedule = {
            "Name": "weekly",
            "PipelineId": "pipe-1",
            "PipelineSubmissionInfo": submission,
            "Recurrence": {"Frequency": "Week", "Interval": 1, "StartTime": "2099-01-01T00:00:00", "TimeZone": "UTC"},
            "ScheduleType": "0",
        }
        self.samples = {
            "body": submission,
            "changes": {"description": "of the year", "tags": {"a": "b"}},
            "container": f"dcid.{step_id}",
            "create_endpoint.name": "new door",
            "create_experiment.name": "new-experiment",
            "create_schedule.body": new_schedule,
            "at": datetime(2026, 11, 29, 12, tzinfo=UTC),
            "delete_datastore.name": "other",
            "delete_job_schedule.name": "jobs-old",
            "delete_experiment.experiment_id": empty_id,
            "description": "what it is for",
            "display_name": "another name",
            "endpoint_id": "door-1",
            "experiment": EXPERIMENT,
            "experiment_id": experiment_id,
            "filter_text": '(Tags/team eq "ml")',
            "endpoint_name": "batch-door",
            "get_batch_endpoint.name": "batch-door",
            "get_component.name": "score",
            "get_component.version": "2",
            "get_datastore.name": "store",
            "get_endpoint_by_name.name": "door",
            "get_experiment.name": EXPERIMENT,
            "get_job_schedule.name": "jobs-nightly",
            "get_metric.name": "loss",
            "get_pipeline_output.name": "result.csv",
            "graph_id": "graph-1",
            "list_jobs_of_schedule.name": "jobs-nightly",
            "job_id": "job-1",
            "list_component_versions.name": "score",
            "batch_endpoint_name": "batch-door",
            "cancel_run.run_id": active_id,
            "component_name": "score",
            "deployment_name": "blue",
            "names": ["team"],
            "node_id": "node-1",
            "path": "user_logs/std_log.txt",
            "pipeline_id": "pipe-1",
            "prefix": "user_logs",
            "properties": {"commit": "abc"},
            "publish_pipeline.body": {"Name": "published", "GraphId": "graph-1"},
            "put_job_schedule.name": "jobs-weekly",
            "put_job_schedule.wire": {"properties": {**_JOB_SCHEDULE, "description": "each night"}},
            "register_datastore.wire": {**store, "name": "third"},
            "run_id": run_id,
            "run_ids": [run_id, active_id],
            "schedule_id": "schedule-1",
            "get_arm_datastore.name": "store",
            "store": Datastore.from_wire({"name": "store"}),
            "set_default_datastore.name": "other",
            "status": "Disabled",
            "submit_job.body": job,
            "submit_job.job_id": "job-2",
            "set_pipeline_status.pipeline_id": "pipe-2",
            "stream": "STDOUT",
            "tags": {"k": "v", "flag": None},
            "trigger_job_schedule.name": "jobs-nightly",
            "update_datastore.name": "store",
            "update_datastore.wire": {**store, "tags": {"k": "v"}},
            "update_endpoint.wire": {**endpoint, "DefaultVersion": "1"},
            "update_schedule.wire": {**schedule, "Name": "every minute", "EntityStatus": "Disabled"},
        }

    def call(self, function: Callable[..., Call[Any]]) -> Call[Any]:
        """The call with a sample for each argument that it needs.

        Raises:
            LookupError: There is no sample for one.
        """
        arguments = {}
        for parameter in inspect.signature(function).parameters.values():
            if parameter.default is not inspect.Parameter.empty:
                continue
            keys = (f"{function.__name__}.{parameter.name}", parameter.name)
            found = [self.samples[key] for key in keys if key in self.samples]
            if not found:
                raise LookupError(
                    f"no sample for {parameter.name!r} of the call {function.__name__}: "
                    f"add {' or '.join(map(repr, keys))} to World.samples in tests/support/samples/call_samples.py"
                )
            arguments[parameter.name] = copy.deepcopy(found[0])
        return function(**arguments)


def _client_of(emulator: EmulatorServer) -> httpx.Client:
    return httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer t"})
