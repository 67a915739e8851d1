"""The workspace's contents and rules, without HTTP."""

from __future__ import annotations

import json
import threading
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from aml_provider.emulator.errors import ServiceError, bad_request, not_found
from aml_provider.emulator.models import (
    DataPath,
    Datastore,
    Endpoint,
    Experiment,
    Pipeline,
    Run,
    StepRun,
    stable_id,
)
from aml_provider.emulator.schedules import Schedules
from aml_provider.emulator.submission import check_experiment_name
from aml_provider.emulator.timeline import RunView, view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from aml_provider.emulator.clock import Clock
    from aml_provider.emulator.quirks import Quirks
    from aml_provider.emulator.submission import Submission

T = TypeVar("T")
Scheduled = tuple[str, float]
"""A schedule's id, and when it was due."""

DATA_TYPES = (
    "AnyFile",
    "AnyDirectory",
    "AzureBlobReference",
    "AzureDataLakeReference",
    "AzureFilesReference",
    "AzureSqlDatabaseReference",
    "AzurePostgresDatabaseReference",
    "AzureDataLakeGen2Reference",
    "AzureMLDataset",
    "AzureMySqlDatabaseReference",
    "DBFSReference",
)


class Workspace:
    """Everything that the services keep, and what they allow to be done to it.

    Args:
        clock: The time that statuses depend on.
        quirks: Deviations from the default behaviour.

    Attributes:
        lock: Held while anything changes; step functions return on other threads.
        listeners: Called after every change.
        schedules: The schedules, and when they fire.
    """

    def __init__(self, clock: Clock, quirks: Quirks) -> None:
        self.clock = clock
        self.quirks = quirks
        self.lock = threading.RLock()
        self.listeners: list[Callable[[], None]] = []
        self.schedules = Schedules(self)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.location = "eastus"
        self.pipelines: dict[str, Pipeline] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.datastores: dict[str, Datastore] = {}
        self.data_types: dict[str, bool] = {}
        self.experiments: dict[str, Experiment] = {}
        self.runs: dict[str, Run] = {}
        self.schedules.clear()
        self._step_runs: dict[str, tuple[Run, int]] = {}
        self._last_number = 0

    def changed(self) -> None:
        """Tell whoever saves the workspace or waits for it."""
        for listener in self.listeners:
            listener()

    def pipeline(self, pipeline_id: str) -> Pipeline:
        """A published pipeline by id."""
        return _get(self.pipelines, pipeline_id, "Pipeline")

    def endpoint(self, endpoint_id: str) -> Endpoint:
        """A pipeline endpoint by id."""
        return _get(self.endpoints, endpoint_id, "PipelineEndpoint")

    def endpoint_named(self, name: str) -> Endpoint:
        """A pipeline endpoint by name."""
        found = next((endpoint for endpoint in self.endpoints.values() if endpoint.name == name), None)
        if found is None:
            raise not_found(f"PipelineEndpoint with name {name}")
        return found

    def datastore(self, name: str) -> Datastore:
        """A datastore by name."""
        return _get(self.datastores, name, "Datastore")

    def run(self, run_id: str) -> Run:
        """A pipeline run by id."""
        return _get(self.runs, run_id, "PipelineRun")

    def view(self, run: Run) -> RunView:
        """The run as it is now."""
        return view(run, self.clock.now())

    def set_pipeline_status(self, pipeline_id: str, status: object) -> None:
        """Enable or disable a published pipeline."""
        if status not in ("Active", "Disabled"):
            raise bad_request(f"{json.dumps(status)} is no status of a pipeline; use Active or Disabled.")
        pipeline = self.pipeline(pipeline_id)
        with self.lock:
            if status == "Disabled" and not self.quirks.disable_with_schedules:
                self.schedules.refuse_active(pipeline)
            pipeline.status = str(status)
            pipeline.modified = self.clock.now()
            self.changed()

    def add_data_type(self, name: str, *, is_directory: bool) -> None:
        """Register a data type, as Microsoft's SDK does for those it misses."""
        if name in self.data_types:
            raise ServiceError(409, f"DataType {name} already exists.", inner="Conflict")
        with self.lock:
            self.data_types[name] = is_directory
            self.changed()

    def create_endpoint(self, name: str, description: str | None, pipeline_id: str, properties: Any) -> Endpoint:
        """A new endpoint whose version 0 is a published pipeline."""
        self.pipeline(pipeline_id)
        now = self.clock.now()
        endpoint = Endpoint(
            name=name,
            id=str(uuid.uuid4()),
            description=description,
            versions={"0": pipeline_id},
            properties=dict(properties or {}),
            created=now,
            modified=now,
        )
        self.put_endpoint(endpoint)
        return endpoint

    def put_endpoint(self, endpoint: Endpoint) -> None:
        """Store a whole endpoint in place of the one with its id."""
        if not endpoint.name:
            raise bad_request("Name is required.")
        if any(other.name == endpoint.name and other.id != endpoint.id for other in self.endpoints.values()):
            raise bad_request(f"A PipelineEndpoint with name {endpoint.name} already exists.", "Conflict")
        if endpoint.default_version not in endpoint.versions:
            raise bad_request(f"DefaultVersion {endpoint.default_version} is not in PipelineVersionList.")
        for pipeline_id in endpoint.versions.values():
            self.pipeline(pipeline_id)
        with self.lock:
            endpoint.modified = self.clock.now()
            self.endpoints[endpoint.id] = endpoint
            self.changed()

    def experiment(self, name: str) -> Experiment:
        """An experiment by name."""
        return _get(self.experiments, name, "Experiment")

    def experiment_by_id(self, experiment_id: str) -> Experiment:
        """An experiment by id."""
        found = next((item for item in self.experiments.values() if item.id == experiment_id), None)
        if found is None:
            raise not_found(f"Experiment {experiment_id}")
        return found

    def ensure_experiment(self, name: str) -> Experiment:
        """The experiment of that name, created if it is new."""
        check_experiment_name(name)
        with self.lock:
            if name not in self.experiments:
                self.experiments[name] = Experiment(name, stable_id(f"experiment/{name}"), self.clock.now())
                self.changed()
        return self.experiments[name]

    def submit(
        self,
        pipeline_id: str,
        submission: Submission,
        parent_run_id: str | None = None,
        endpoint_id: str | None = None,
        scheduled: Scheduled | None = None,
    ) -> Run:
        """A new run of a published pipeline; run history knows it when this returns."""
        pipeline = self.pipeline(pipeline_id)
        if pipeline.status != "Active":
            raise bad_request(f"Pipeline {pipeline.name} ({pipeline.id}) is {pipeline.status}.", "PipelineDisabled")
        submission.check(pipeline, self.datastores)
        parent = self._parent(parent_run_id, submission.experiment)
        with self.lock:
            self.ensure_experiment(submission.experiment)
            run = self._new_run(pipeline, submission, parent)
            run.endpoint_id = endpoint_id
            if scheduled is not None:
                run.schedule_id, run.created = scheduled
            self.add_run(run)
            self.changed()
        return run

    def submit_endpoint(
        self,
        endpoint_id: str,
        version: str | None,
        submission: Submission,
        parent_run_id: str | None = None,
        scheduled: Scheduled | None = None,
    ) -> Run:
        """A new run of one version of an endpoint, the default one if none is named."""
        endpoint = self.endpoint(endpoint_id)
        if endpoint.status != "Active":
            raise bad_request(f"PipelineEndpoint {endpoint.name} is {endpoint.status}.", "PipelineEndpointDisabled")
        wanted = endpoint.default_version if version is None else version
        if wanted not in endpoint.versions:
            raise not_found(f"Version {wanted} of PipelineEndpoint {endpoint.name}")
        return self.submit(endpoint.versions[wanted], submission, parent_run_id, endpoint.id, scheduled)

    def add_run(self, run: Run) -> None:
        """Store a run and make it and its steps findable by id."""
        self.runs[run.id] = run
        self._last_number = max(self._last_number, run.number, *(step.number for step in run.steps))
        for index, step_run in enumerate(run.steps):
            self._step_runs[step_run.id] = (run, index)

    def cancel(self, run_id: str) -> None:
        """Ask for the end of a run. Asking again, or after its end, changes nothing."""
        run = self.run(run_id)
        with self.lock:
            if run.canceled is None and self.view(run).ended is None:
                run.canceled = self.clock.now()
                run.cancel_effective = run.canceled + self.quirks.slow_cancel
                self.changed()

    def step_run(self, step_run_id: str) -> tuple[Run, int] | None:
        """The run that a step's history id belongs to, and the step's position."""
        return self._step_runs.get(step_run_id)

    def node(self, run_id: str, node_id: str) -> tuple[Run, int]:
        """A run and the position of the step with that node id."""
        run = self.run(run_id)
        for index, step_run in enumerate(run.steps):
            if step_run.step.node_id == node_id:
                return run, index
        raise not_found(f"Node {node_id} of PipelineRun {run_id}")

    def listed(self, run: Run) -> bool:
        """Whether lists and queries already find the run; a GET by its id always does."""
        return run.created + self.quirks.history_lag <= self.clock.now()

    def children(self, run: Run) -> Iterable[Run]:
        """Runs that were submitted with this one as their parent."""
        return (other for other in self.runs.values() if other.parent_run_id == run.id)

    def _parent(self, parent_run_id: str | None, experiment: str) -> Run | None:
        if not parent_run_id:
            return None
        parent = self.runs.get(parent_run_id)
        if parent is None or parent.experiment != experiment:
            raise bad_request(f"The parent run {parent_run_id} does not exist in experiment {experiment}.")
        return parent

    def _new_run(self, pipeline: Pipeline, submission: Submission, parent: Run | None) -> Run:
        tags = {} if self.quirks.drop_tags else dict(submission.tags)
        properties = {} if self.quirks.drop_properties else dict(submission.properties)
        run_id = str(uuid.uuid4())
        numbers = range(self._last_number + 1, self._last_number + 2 + len(pipeline.steps))
        steps = [
            StepRun(
                id=str(uuid.uuid4()),
                number=number,
                step=step,
                log=[step.log.rstrip()] if step.log else [],
                tags={"azureml.nodeid": step.node_id, "azureml.pipeline": run_id},
                properties={
                    "azureml.runsource": "azureml.StepRun",
                    "azureml.nodeid": step.node_id,
                    "StepType": "PythonScriptStep",
                    "azureml.moduleid": stable_id(f"module/{step.node_id}"),
                    "azureml.pipelinerunid": run_id,
                    "azureml.pipelineComponent": "masterescloud",
                },
            )
            for number, step in zip(numbers[1:], pipeline.steps, strict=True)
        ]
        continues = submission.continue_on_step_failure
        run_source, run_type = submission.run_source or "Unavailable", submission.run_type or "HTTP"
        return Run(
            id=run_id,
            number=numbers[0],
            pipeline_id=pipeline.id,
            graph_id=pipeline.graph_id,
            experiment=submission.experiment,
            created=self.clock.now(),
            start_seconds=pipeline.start_seconds,
            steps=steps,
            description=submission.description,
            display_name=submission.description or submission.experiment,
            run_source=run_source,
            run_type=run_type,
            parameters=dict(submission.parameters),
            data_paths=dict(submission.data_paths),
            datasets=dict(submission.datasets),
            continue_on_step_failure=pipeline.continue_on_step_failure if continues is None else continues,
            parent_run_id=parent.id if parent else None,
            root_run_id=parent.root_run_id if parent else run_id,
            tags=tags,
            properties=properties,
            history_tags={
                "azureml.pipelineid": pipeline.id,
                "azureml.pipelineComponent": "pipelinerun",
                **tags,
            },
            history_properties={
                "azureml.runsource": "azureml.PipelineRun",
                "runSource": run_source,
                "runType": run_type,
                "azureml.parameters": json.dumps(submission.parameters),
                "azureml.pipelineid": pipeline.id,
                **properties,
            },
        )

    def effective_parameters(self, run: Run) -> dict[str, str]:
        """The run's parameters with the pipeline's defaults below them."""
        return published_defaults(self.pipeline(run.pipeline_id)) | run.parameters

    def effective_data_paths(self, run: Run) -> dict[str, DataPath]:
        """The run's data paths with the pipeline's defaults below them."""
        declared = self.pipeline(run.pipeline_id).data_paths
        defaults = {item.name: item.default for item in declared if isinstance(item.default, DataPath)}
        return defaults | run.data_paths


def published_defaults(pipeline: Pipeline) -> dict[str, str]:
    """The default of every parameter that has one."""
    return {item.name: item.default for item in pipeline.parameters if item.default is not None}


def _get(things: Mapping[str, T], key: str, kind: str) -> T:
    if key not in things:
        raise not_found(f"{kind} {key}")
    return things[key]
