"""The workspace's contents and rules, without HTTP."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.batch_endpoints import BatchEndpoints
from aml_provider.emulator.workspace.components import Components
from aml_provider.emulator.workspace.core import Core, find
from aml_provider.emulator.workspace.errors import ServiceError, bad_request, conflict, not_found
from aml_provider.emulator.workspace.experiments import Experiments
from aml_provider.emulator.workspace.job_schedules import JobSchedules
from aml_provider.emulator.workspace.jobs import Jobs
from aml_provider.emulator.workspace.models import DataPath, Datastore, DataType, Endpoint, Permission, Pipeline, Run
from aml_provider.emulator.workspace.new_run import new_run
from aml_provider.emulator.workspace.schedules import Schedules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.emulator.clock import Clock
    from aml_provider.emulator.quirks import Quirks
    from aml_provider.emulator.workspace.schedule_models import Schedule
    from aml_provider.emulator.workspace.submission import Submission

Scheduled = tuple[str, float]
"""The id of a schedule, and the instant at which it was due."""

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


class Workspace(Core):
    """All items that the services hold, and the rules for changing them.

    Attributes:
        experiments: The experiments.
        schedules: The schedules, and when they fire.
        components: The registered components of the v2 API.
        jobs: The jobs of the v2 API, which are runs too.
        batch_endpoints: The batch endpoints of the v2 API, which name components.
        job_schedules: The schedules of the v2 API, and when they fire.
        permissions: What callers may do according to Azure Resource Manager; requests are not checked against it.
    """

    def __init__(self, clock: Clock, quirks: Quirks) -> None:
        super().__init__(clock, quirks)
        self.schedules = Schedules(self, self._submit_scheduled)
        self.clear()

    def clear(self) -> None:
        """Remove everything."""
        self.created = self.clock.now()
        self.location = "eastus"
        # New ones, as other threads may still be reading the old ones.
        self.pipelines = {}
        self.endpoints = {}
        self.datastores = {}
        self.clear_runs()
        self.default_datastore_name: str | None = None
        self.permissions = [Permission(["*"])]
        self.data_types: dict[str, DataType] = {}
        self.experiments = Experiments(self)
        self.schedules.clear()
        self.components = Components()
        self.jobs = Jobs(self, self.experiments, self.components)
        self.batch_endpoints = BatchEndpoints(self, self.components, self.jobs)
        self.job_schedules = JobSchedules(self, self.jobs)

    def endpoint_named(self, name: str) -> Endpoint:
        """A pipeline endpoint by name."""
        found = next((endpoint for endpoint in self.endpoints.values() if endpoint.name == name), None)
        if found is None:
            raise not_found(f"PipelineEndpoint with name {name}")
        return found

    def datastore(self, name: str) -> Datastore:
        """A datastore by name."""
        # The service stores names in lower case.
        return find(self.datastores, name if name in self.datastores else name.lower(), "Datastore")

    def default_datastore(self) -> Datastore:
        """The default datastore: the one that was set, else the first."""
        if self.default_datastore_name in self.datastores:
            return self.datastores[self.default_datastore_name]
        for store in self.datastores.values():
            return store
        raise not_found("Default datastore")

    def set_default_datastore(self, name: str) -> None:
        """Set the default datastore."""
        with self.changing():
            self.default_datastore_name = self.datastore(name).name

    def add_datastore(self, store: Datastore) -> None:
        """Register a datastore; its name must not be taken."""
        with self.changing():
            if store.name in self.datastores:
                # At this status and message Microsoft's SDK overwrites the datastore, if its caller allows that.
                raise bad_request(f"Another datastore with the same name already exists: {store.name}.", "Conflict")
            self.datastores[store.name] = replace(store, created=self.clock.now())

    def replace_datastore(self, store: Datastore) -> None:
        """Replace the datastore with the same name. Its type cannot change."""
        with self.changing():
            current = self.datastore(store.name)
            if store.type != current.type:
                raise bad_request(f"Datastore {store.name} is of type {current.type}; it cannot become {store.type}.")
            self.datastores[store.name] = replace(store, created=current.created)

    def put_datastore(self, store: Datastore) -> bool:
        """Register a datastore, or replace the one with its name and type; returns whether it is new."""
        with self.lock:
            if created := store.name not in self.datastores:
                self.add_datastore(store)
            else:
                self.replace_datastore(store)
        return created

    def delete_datastore(self, name: str) -> None:
        """Remove a datastore, unless it is the default; its data stays where it is."""
        with self.changing():
            store = self.datastore(name)
            if store is self.default_datastore():
                raise bad_request(f"Datastore {name} is the default. Set another default first.", "IsDefault")
            del self.datastores[store.name]

    def run(self, run_id: str) -> Run:
        """A run of a published pipeline by id; the pipelines service does not know jobs of the v2 API."""
        run = find(self.runs, run_id, "PipelineRun")
        if run.job is not None:
            raise not_found(f"PipelineRun {run_id}")
        return run

    def set_pipeline_status(self, pipeline_id: str, status: object) -> None:
        """Enable or disable a published pipeline."""
        if status not in ("Active", "Disabled"):
            raise bad_request(f"{json.dumps(status)} is not a status of a pipeline; use Active or Disabled.")
        pipeline = self.pipeline(pipeline_id)
        with self.changing():
            if status == "Disabled" and not self.quirks.disable_with_schedules:
                self.schedules.refuse_active(pipeline)
            pipeline.status = str(status)
            pipeline.modified = self.clock.now()

    def set_endpoint_status(self, endpoint_id: str, status: str) -> None:
        """Enable or disable a pipeline endpoint."""
        with self.lock:
            self.put_endpoint(replace(self.endpoint(endpoint_id), status=status))

    def publish(self, pipeline: Pipeline) -> None:
        """Add a published pipeline. Two pipelines can have the same name."""
        with self.changing():
            self.pipelines[pipeline.id] = pipeline

    def pipeline_of_graph(self, graph_id: str) -> Pipeline:
        """The published pipeline behind a graph."""
        found = next((pipeline for pipeline in self.pipelines.values() if pipeline.graph_id == graph_id), None)
        if found is None:
            raise not_found(f"Graph {graph_id}")
        return found

    def add_data_type(self, data_type: DataType) -> None:
        """Register a data type, as Microsoft's SDK does for missing ones."""
        with self.changing():
            if data_type.id in self.data_types:
                raise conflict(f"DataType {data_type.id} already exists.")
            self.data_types[data_type.id] = data_type

    def put_endpoint(self, endpoint: Endpoint) -> None:
        """Store an endpoint: a new one, or one that replaces the endpoint with the same id."""
        if any(other.name == endpoint.name and other.id != endpoint.id for other in self.endpoints.values()):
            raise conflict(f"A PipelineEndpoint with name {endpoint.name} already exists.")
        if endpoint.default_version not in endpoint.versions:
            raise bad_request(f"DefaultVersion {endpoint.default_version} is not in PipelineVersionList.")
        for pipeline_id in endpoint.versions.values():
            self.pipeline(pipeline_id)
        with self.changing():
            endpoint.modified = self.clock.now()
            self.endpoints[endpoint.id] = endpoint

    def submit(
        self,
        pipeline_id: str,
        submission: Submission,
        parent_run_id: str | None = None,
        endpoint_id: str | None = None,
        scheduled: Scheduled | None = None,
    ) -> Run:
        """Submit a run of a published pipeline."""
        pipeline = self.pipeline(pipeline_id)
        if pipeline.status != "Active":
            raise self._disabled(f"Pipeline {pipeline.name} ({pipeline.id}) is {pipeline.status}.", "PipelineDisabled")
        submission.check(pipeline, self.datastores)
        parent = self._parent(parent_run_id, submission.experiment)
        with self.changing():
            run = new_run(
                pipeline,
                submission,
                self.experiments.ensure(submission.experiment),
                first_number=self.next_number,
                created=self.clock.now(),
                parent=parent,
                quirks=self.quirks,
            )
            run.endpoint_id = endpoint_id
            if scheduled is not None:
                run.schedule_id, run.created = scheduled
            self.add_run(run)
        return run

    def submit_endpoint(
        self,
        endpoint_id: str,
        version: str | None,
        submission: Submission,
        parent_run_id: str | None = None,
        scheduled: Scheduled | None = None,
    ) -> Run:
        """Submit a run of a version of an endpoint, by default of its default version."""
        endpoint = self.endpoint(endpoint_id)
        if endpoint.status != "Active":
            raise self._disabled(f"PipelineEndpoint {endpoint.name} is {endpoint.status}.", "PipelineEndpointDisabled")
        wanted = endpoint.default_version if version is None else version
        if wanted not in endpoint.versions:
            raise not_found(f"Version {wanted} of PipelineEndpoint {endpoint.name}")
        return self.submit(endpoint.versions[wanted], submission, parent_run_id, endpoint.id, scheduled)

    def _submit_scheduled(self, schedule: Schedule, submission: Submission, due: float) -> Run:
        scheduled = (schedule.id, due)
        if schedule.endpoint_id is not None:
            return self.submit_endpoint(schedule.endpoint_id, None, submission, scheduled=scheduled)
        return self.submit(schedule.pipeline_id or "", submission, scheduled=scheduled)

    def cancel(self, run_id: str) -> None:
        """Request the cancellation of a run or job. A second request, or a request after its end, changes nothing."""
        run = find(self.runs, run_id, "PipelineRun")
        with self.lock:
            now = self.view(run)
            if now.ended is not None and self.quirks.late_cancel_refused:
                raise bad_request(f"Run {run_id} is {now.status} and cannot be canceled.", "RunEnded")
            if run.canceled is None and now.ended is None:
                run.canceled = self.clock.now()
                run.cancel_effective = run.canceled + self.quirks.slow_cancel
                self.changed()

    def stored(self, run_id: str) -> tuple[Run, int | None]:
        """The run that an id of run history names, and None; for a step's id, its run and its position in the run."""
        run = self.runs.get(run_id)
        found = (run, None) if run is not None else self.step_run(run_id)
        # Run history can find a new run later than the pipelines service does.
        if found is None or found[0].created + self.quirks.history_late > self.clock.now():
            raise not_found(f"Run {run_id}")
        return found

    def node(self, run_id: str, node_id: str) -> tuple[Run, int]:
        """The run with this id, and the position of its step with this node id."""
        run = self.run(run_id)
        for index, step_run in enumerate(run.steps):
            if step_run.step.node_id == node_id:
                return run, index
        raise not_found(f"Node {node_id} of PipelineRun {run_id}")

    def listed(self, run: Run) -> bool:
        """Whether lists and queries already find the run."""
        lag = max(self.quirks.history_lag, self.quirks.history_late)
        return run.created + lag <= self.clock.now()

    def listed_runs(self) -> Iterable[Run]:
        """The runs that the API already shows in its lists, oldest first."""
        return (run for run in self.runs.values() if self.listed(run))

    def _disabled(self, message: str, inner: str) -> ServiceError:
        return ServiceError(self.quirks.disabled_status, message, inner=inner)

    def _parent(self, parent_run_id: str | None, experiment: str) -> Run | None:
        if not parent_run_id:
            return None
        parent = self.runs.get(parent_run_id)
        if parent is None or parent.experiment != experiment:
            raise bad_request(f"The parent run {parent_run_id} does not exist in experiment {experiment}.")
        return parent

    def effective_parameters(self, run: Run) -> dict[str, str]:
        """The run's parameters, with the pipeline's defaults for the missing ones."""
        if run.job is not None:
            return self.components.defaults(run.component_id) | run.parameters
        return published_defaults(self.pipeline(run.pipeline_id)) | run.parameters

    def effective_data_paths(self, run: Run) -> dict[str, DataPath]:
        """The run's data paths, with the pipeline's defaults for the missing ones."""
        if run.job is not None:
            # Inputs with data have no defaults.
            return run.data_paths
        declared = self.pipeline(run.pipeline_id).data_paths
        defaults = {item.name: item.default for item in declared if isinstance(item.default, DataPath)}
        return defaults | run.data_paths


def published_defaults(pipeline: Pipeline) -> dict[str, str]:
    """The default of every parameter that has one."""
    return {item.name: item.default for item in pipeline.parameters if item.default is not None}
