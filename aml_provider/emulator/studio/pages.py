"""The pages of the workspace, at the addresses of Azure ML studio. Only their buttons change something."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aml_provider.emulator.engine.blobs import BlobsUnreachableError
from aml_provider.emulator.studio.addresses import SECTIONS
from aml_provider.emulator.studio.chart import chart
from aml_provider.emulator.studio.commands import connection_command, submit_command
from aml_provider.emulator.studio.graph import graph
from aml_provider.emulator.studio.listing import STATUSES, RunFilter, Slice
from aml_provider.emulator.studio.operator_calls import call_of_component, call_of_pipeline
from aml_provider.emulator.studio.records import FirstBlobs, Records, RunRecord
from aml_provider.emulator.studio.words import ahead
from aml_provider.emulator.workspace.core import find
from aml_provider.emulator.workspace.dependencies import component_edges, pipeline_edges
from aml_provider.emulator.workspace.errors import ServiceError
from aml_provider.emulator.workspace.files import run_log, step_log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request

    from aml_provider.emulator.control_access import ControlAccess
    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.studio.documents import Documents
    from aml_provider.emulator.workspace.component_models import Component
    from aml_provider.emulator.workspace.models import Endpoint, Experiment, Pipeline, Run

_LATEST = 10
_UPCOMING = 5
_FIRST_BLOBS = 20
# A name that is the same in code, also in a template of Airflow.
_PLAIN = re.compile(r"[\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class View:
    """A template with its values, to be rendered for a request."""

    template: str
    section: str
    status: int
    values: Mapping[str, Any]


class StudioRoutes:
    """The overview, a list for each kind of item, and a page for each item."""

    def __init__(self, emulation: Emulation, documents: Documents, access: ControlAccess) -> None:
        self._workspace = emulation.workspace
        self._blobs = emulation.blobs
        self._records = Records(emulation.workspace)
        self._documents = documents
        self._access = access

    def routes(self) -> list[Route]:
        """At the root. The links of Microsoft's SDK contain the same addresses of experiments and runs."""
        pages: Mapping[str, Callable[[Request], Response | View]] = {
            "/": self.overview,
            "/runs": self.runs,
            "/runs/{id}": self.run,
            "/runs/{id}/log": self.log,
            "/pipelines": self.pipelines,
            "/pipelines/{id}": self.pipeline,
            "/endpoints": self.endpoints,
            "/endpoints/{id}": self.endpoint,
            "/endpoints/pipeline/{id}": self.endpoint,
            "/components": self.components,
            "/components/{id}": self.component,
            "/schedules": self.schedules,
            "/schedules/{id}": self.schedule,
            "/datastores": self.datastores,
            "/experiments": self.experiments,
            "/experiments/{name}": self.experiment,
            "/experiments/id/{id}": self.experiment_by_id,
        }
        return [
            *(Route(path, self._answering(page)) for path, page in pages.items()),
            Route("/datastores/{name:path}", self._answering(self.datastore, self._first_blobs)),
        ]

    def _answering(
        self, page: Callable[..., Response | View], read: Callable[[Request], Any] | None = None
    ) -> Callable[[Request], Awaitable[Response]]:
        def answer(request: Request) -> Response:
            # Other services may be slow, so the lock is not held meanwhile.
            found = () if read is None else (read(request),)
            # A consistent state, while schedules start runs and steps write their logs.
            with self._workspace.lock:
                try:
                    shown = page(request, *found)
                except ServiceError as error:
                    shown = self._show("missing.html", "", error.status, message=error.message)
                return self._render(request, shown) if isinstance(shown, View) else shown

        async def endpoint(request: Request) -> Response:
            # In a thread, so that clients of the services do not wait for a page.
            return await asyncio.to_thread(answer, request)

        return endpoint

    def _render(self, request: Request, view: View) -> Response:
        clock = self._workspace.clock
        common = {
            "section": view.section,
            "sections": SECTIONS,
            "clock": clock,
            "now": clock.now(),
            "apart": ahead(clock.ahead()),
            "controls": self._access.offered(request),
            "connection": connection_command(str(request.base_url).rstrip("/")),
        }
        return self._documents.page(view.template, common | dict(view.values), view.status)

    def overview(self, _request: Request) -> View:
        """The overview: numbers of items, the latest runs, and the schedules that are due next."""
        workspace = self._workspace
        newest = itertools.islice(reversed(workspace.runs.values()), _LATEST)
        waiting = [item for item in self._records.schedules(workspace.schedules.all()) if item.due]
        counts = {
            "runs": len(workspace.runs),
            "pipelines": len(workspace.pipelines),
            "endpoints": len(workspace.endpoints),
            "components": len(workspace.components.all()),
            "schedules": len(workspace.schedules.all()) + len(workspace.job_schedules.all()),
            "datastores": len(workspace.datastores),
            "experiments": len(workspace.experiments.all()),
        }
        return self._show(
            "overview.html",
            "",
            counts=counts,
            runs=self._records.runs(newest),
            command=self._command(),
            schedules=sorted(waiting, key=lambda item: item.due[0].instant)[:_LATEST],
        )

    def runs(self, request: Request) -> View:
        """The runs that the query selects."""
        wanted = RunFilter.of(request.query_params)
        found = Slice.cut(wanted.of_workspace(self._workspace), request.query_params)
        return self._show(
            "runs.html",
            "runs",
            filter=wanted,
            statuses=STATUSES,
            names=self._names(wanted),
            slice=found,
            runs=self._records.runs(found.items),
            command=self._command(),
        )

    def run(self, request: Request) -> Response | View:
        """A run. The id of a step redirects to the step's run."""
        run_id = request.path_params["id"]
        if found := self._workspace.step_run(run_id):
            return RedirectResponse(f"/runs/{quote(found[0].id)}#step-{quote(run_id)}")
        run = self._run(run_id)
        record = self._records.run(run)
        children = list(self._workspace.children(run))[::-1]
        return self._show(
            "run.html",
            "runs",
            record=record,
            chart=chart(run, record.view, self._workspace.clock.now()),
            steps=self._records.steps(record),
            log=run_log(run, record.view),
            metrics={name: metric.values for name, metric in run.metrics.items()},
            graph=self._records.graph(run),
            values=self._records.values(run),
            parent=self._workspace.runs.get(run.parent_run_id or ""),
            children=self._records.runs(children[:_LATEST]),
            more_children=len(children) > _LATEST,
        )

    def log(self, request: Request) -> Response:
        """The whole log of a run or step, as text."""
        run_id = request.path_params["id"]
        if found := self._workspace.step_run(run_id):
            run, index = found
            return self._documents.text(step_log(run, index, self._workspace.view(run)))
        run = self._run(run_id)
        return self._documents.text(run_log(run, self._workspace.view(run)))

    def pipelines(self, request: Request) -> View:
        """The published pipelines."""
        found = Slice.cut(list(self._workspace.pipelines.values()), request.query_params)
        latest = self._latest("pipeline_id", found.items)
        return self._show("pipelines.html", "pipelines", slice=found, latest=latest)

    def pipeline(self, request: Request) -> View:
        """A published pipeline: its parameters, endpoints, schedules and latest runs."""
        pipeline = self._workspace.pipeline(request.path_params["id"])
        unique = sum(item.name == pipeline.name for item in self._workspace.pipelines.values()) == 1
        target = {"pipeline_name": pipeline.name} if unique else {"pipeline_id": pipeline.id}
        return self._show(
            "pipeline.html",
            "pipelines",
            pipeline=pipeline,
            unique=unique,
            graph=graph([step.name for step in pipeline.steps], pipeline_edges(pipeline)),
            command=self._command(pipeline),
            call=call_of_pipeline(pipeline, pipeline.name, target),
            endpoints=[item for item in self._workspace.endpoints.values() if pipeline.id in item.versions.values()],
            schedules=self._records.schedules(self._workspace.schedules.of_pipeline(pipeline.id)),
            **self._last_runs(RunFilter(pipeline=pipeline.id)),
        )

    def endpoints(self, request: Request) -> View:
        """The pipeline endpoints."""
        found = Slice.cut(list(self._workspace.endpoints.values()), request.query_params)
        latest = self._latest("endpoint_id", found.items)
        pipelines = self._workspace.pipelines
        batch_endpoints = self._workspace.batch_endpoints
        default = {item.name: batch_endpoints.default_component(item) for item in batch_endpoints.all()}
        return self._show(
            "endpoints.html",
            "endpoints",
            slice=found,
            pipelines=pipelines,
            latest=latest,
            batch_endpoints=batch_endpoints.all(),
            default=default,
            provisioning=self._workspace.provisioning,
        )

    def endpoint(self, request: Request) -> View:
        """A pipeline endpoint and its versions."""
        endpoint = self._workspace.endpoint(request.path_params["id"])
        return self._show(
            "endpoint.html",
            "endpoints",
            endpoint=endpoint,
            call=call_of_pipeline(
                self._workspace.pipelines[endpoint.versions[endpoint.default_version]],
                endpoint.name,
                {"endpoint_name": endpoint.name},
            ),
            pipelines=self._workspace.pipelines,
            schedules=self._records.schedules(self._workspace.schedules.of_endpoint(endpoint.id)),
            **self._last_runs(RunFilter(endpoint=endpoint.id)),
        )

    def components(self, request: Request) -> View:
        """All versions of the registered components, the newest first."""
        found = Slice.cut(self._workspace.components.all()[::-1], request.query_params)
        return self._show(
            "components.html", "components", slice=found, latest=self._latest("component_id", found.items)
        )

    def component(self, request: Request) -> View:
        """A version of a component: its inputs, the other versions, batch endpoints and latest jobs."""
        component = self._workspace.components.get(request.path_params["id"])
        endpoints = [
            endpoint
            for endpoint in self._workspace.batch_endpoints.all()
            if any(self._workspace.batch_endpoints.component(item) is component for item in endpoint.deployments)
        ]
        return self._show(
            "component.html",
            "components",
            component=component,
            graph=graph([step.name for step in component.steps], component_edges(component)),
            call=call_of_component(component),
            versions=self._workspace.components.versions(component.name),
            endpoints=endpoints,
            **self._last_runs(RunFilter(component=component.id)),
        )

    def schedules(self, request: Request) -> View:
        """The schedules of both APIs, each with its next instant."""
        found = Slice.cut(self._workspace.schedules.all(), request.query_params)
        job_schedules = self._workspace.job_schedules
        names = (item.name for item in self._workspace.pipelines.values() if item.status == "Active")
        return self._show(
            "schedules.html",
            "schedules",
            slice=found,
            pipeline_name=next(filter(_PLAIN.fullmatch, names), "my-pipeline"),
            schedules=self._records.schedules(found.items),
            job_schedules=[(item, next(iter(job_schedules.upcoming(item, 1)), None)) for item in job_schedules.all()],
        )

    def schedule(self, request: Request) -> View:
        """A schedule: when it fires, what it submits, and its runs."""
        schedule = self._workspace.schedules.get(request.path_params["id"])
        record = self._records.schedule(schedule, _UPCOMING)
        return self._show(
            "schedule.html", "schedules", record=record, **self._last_runs(RunFilter(schedule=schedule.id))
        )

    def datastores(self, request: Request) -> View:
        """The datastores."""
        workspace = self._workspace
        found = Slice.cut(list(workspace.datastores.values()), request.query_params)
        triggers = Counter(item.trigger.datastore for item in workspace.schedules.all() if item.trigger is not None)
        default = workspace.default_datastore() if workspace.datastores else None
        return self._show("datastores.html", "datastores", slice=found, default=default, triggers=triggers)

    def datastore(self, request: Request, first: FirstBlobs) -> View:
        """A datastore: where it is, its first blobs, and the schedules that poll it."""
        workspace = self._workspace
        store = workspace.datastore(request.path_params["name"])
        schedules = [
            item for item in workspace.schedules.all() if item.trigger and item.trigger.datastore == store.name
        ]
        return self._show(
            "datastore.html",
            "datastores",
            store=store,
            is_default=store is workspace.default_datastore(),
            url=self._blobs.container_url(store),
            reached=self._blobs.endpoint is not None,
            first=first,
            schedules=self._records.schedules(schedules),
        )

    def _first_blobs(self, request: Request) -> FirstBlobs:
        try:
            return FirstBlobs(*self._blobs.first(self._workspace.datastore(request.path_params["name"]), _FIRST_BLOBS))
        except (BlobsUnreachableError, ServiceError) as error:
            return FirstBlobs(error=str(error))

    def experiments(self, request: Request) -> View:
        """The experiments, each with its number of runs."""
        found = Slice.cut(self._workspace.experiments.all()[::-1], request.query_params)
        numbers = Counter(run.experiment_id for run in self._workspace.runs.values())
        latest = self._latest("experiment_id", found.items)
        return self._show("experiments.html", "experiments", slice=found, numbers=numbers, latest=latest)

    def experiment(self, request: Request) -> View:
        """An experiment by its name."""
        return self._experiment(self._workspace.experiments.named(request.path_params["name"]))

    def experiment_by_id(self, request: Request) -> View:
        """An experiment by its id; several may have the same name."""
        return self._experiment(self._workspace.experiments.get(request.path_params["id"]))

    def _experiment(self, experiment: Experiment) -> View:
        last_runs = self._last_runs(RunFilter(experiment=experiment.id))
        return self._show("experiment.html", "experiments", experiment=experiment, **last_runs)

    def _show(self, template: str, section: str, status: int = 200, **values: Any) -> View:
        return View(template, section, status, values)

    def _command(self, pipeline: Pipeline | None = None) -> str | None:
        """The command that runs a pipeline, by default the first active one; None if none is active."""
        pipelines = self._workspace.pipelines.values()
        shown = pipeline or next((item for item in pipelines if item.status == "Active"), None)
        if shown is None:
            return None
        name = shown.name if [item.name for item in pipelines].count(shown.name) == 1 else shown.id
        stores = [item.name for item in self._workspace.datastores.values() if item.type == "AzureBlob"]
        return submit_command(shown, name, stores)

    def _last_runs(self, wanted: RunFilter) -> dict[str, Any]:
        found = wanted.of_workspace(self._workspace)
        return {"runs": self._records.runs(found[:_LATEST]), "runs_total": len(found), "runs_url": wanted.url()}

    def _run(self, run_id: str) -> Run:
        """A run or a job, by its id."""
        return find(self._workspace.runs, run_id, "Run")

    def _latest(
        self, field: str, things: Sequence[Pipeline | Endpoint | Experiment | Component]
    ) -> Mapping[str, RunRecord]:
        """The latest run of each pipeline, endpoint, experiment or component that has one."""
        missing = {thing.id for thing in things}
        found: dict[str, Run] = {}
        for run in reversed(self._workspace.runs.values()):
            if not missing:
                break
            if (key := getattr(run, field)) in missing:
                missing.remove(key)
                found[key] = run
        return {key: self._records.run(run) for key, run in found.items()}

    def _names(self, wanted: RunFilter) -> Mapping[str, str]:
        """The names of the items by which runs can be filtered."""
        names = wanted.given()
        experiments = {item.id: item for item in self._workspace.experiments.all()}
        schedules = {item.id: item for item in self._workspace.schedules.all()}
        things = {
            "experiment": experiments.get(wanted.experiment),
            "pipeline": self._workspace.pipelines.get(wanted.pipeline),
            "endpoint": self._workspace.endpoints.get(wanted.endpoint),
            "schedule": schedules.get(wanted.schedule),
        }
        return names | {kind: thing.name for kind, thing in things.items() if thing is not None}
