"""Run history: runs and steps with tags and properties, and queries for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.routes.artifacts import content_url
from aml_provider.emulator.routes.experiments import OF_EXPERIMENT, experiment_of, run_of
from aml_provider.emulator.routes.http import read_body, read_json, reply
from aml_provider.emulator.routes.paging import condition_of, page, query_of
from aml_provider.emulator.wire.history import RUN_FIELDS, run_details, run_dto, step_dto
from aml_provider.emulator.wire.odata_filters import values_of
from aml_provider.emulator.workspace.body import Body, JsonObject, text_list
from aml_provider.emulator.workspace.errors import ServiceError, bad_request, camel_envelope, not_found
from aml_provider.emulator.workspace.files import files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.models import Run

_EVENT = "Microsoft.MachineLearning.Run."
_CANCELS = (f"{_EVENT}Canceled", f"{_EVENT}CancelRequested")


class HistoryRoutes:
    """``/runs``, with an experiment in the path and without."""

    def __init__(self, emulation: Emulation) -> None:
        self._emulation = emulation
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under the run history service."""
        found = []
        for prefix in OF_EXPERIMENT:
            found += [
                Route(f"{prefix}/runs:query", self.query, methods=["POST"]),
                Route(f"{prefix}/batch/runs", self.patch_many, methods=["PATCH"]),
            ]
        for prefix in (*OF_EXPERIMENT, ""):
            run = f"{prefix}/runs/{{run_id}}"
            found += [
                Route(run, self.get),
                Route(run, self.patch, methods=["PATCH"]),
                Route(f"{run}/details", self.details),
                Route(f"{run}/children", self.children),
                Route(f"{run}/tags", self.delete_tags, methods=["DELETE"]),
                Route(f"{run}/events", self.event, methods=["POST"]),
                Route(f"{run}/metricsingest/wait", self.wait_for_metrics),
                Route(f"{run}/serviceinstances/{{node}}", self.services),
            ]
        return found

    async def query(self, request: Request) -> Response:
        """The runs and steps of an experiment that a filter selects."""
        experiment = experiment_of(self._workspace, request)
        given = Body(await read_json(request) or {})
        runs = _named(self._workspace.experiments.runs_of(experiment), given.text("filter"))
        found = [dto for run in runs if self._workspace.listed(run) for dto in self._records(run)]
        return page(found, given, RUN_FIELDS, self._workspace.quirks.page_size)

    async def children(self, request: Request) -> Response:
        """The steps of a run, without those that are not queued yet, and its child runs."""
        run, index = self._stored(request)
        found = []
        if index is None:
            found = [
                *self._records(run)[1:],
                *(self._records(child)[0] for child in self._workspace.children(run) if self._workspace.listed(child)),
            ]
        return page(found, query_of(request), RUN_FIELDS, self._workspace.quirks.page_size)

    async def get(self, request: Request) -> Response:
        """One run or step."""
        return reply(self._record(*self._stored(request)))

    async def details(self, request: Request) -> Response:
        """One run or step with its log files."""
        record = self._record(*self._stored(request))
        container = record["dataContainerId"]
        secret = self._emulation.content_secret
        links = {path: content_url(request, secret, container, path) for path in files(self._workspace, container)}
        return reply(run_details(record, links))

    async def patch(self, request: Request) -> Response:
        """Merge tags and new properties, change display name and description, or archive the run."""
        run, index = self._stored(request)
        given = await read_body(request)
        if given.text("runId") not in (None, request.path_params["run_id"]):
            raise bad_request(f"runId {given.text('runId')} is not that of the path.")
        self._patch(run, index, given)
        return reply(self._record(run, index))

    async def patch_many(self, request: Request) -> Response:
        """Change several runs of an experiment; the reply has an error for each run that cannot be changed."""
        experiment = experiment_of(self._workspace, request)
        changed, errors = {}, {}
        for given in (await read_body(request)).objects("runs"):
            run_id = given.required("runId")
            try:
                run, index = self._workspace.stored(run_id)
                if run.experiment_id != experiment.id:
                    raise not_found(f"Run {run_id} in this experiment")
                self._patch(run, index, given)
                changed[run_id] = self._record(run, index)
            except ServiceError as error:
                errors[run_id] = camel_envelope(error, self._workspace.clock.now())
        return reply({"runs": changed, "errors": errors})

    async def delete_tags(self, request: Request) -> Response:
        """Remove the tags that the body names."""
        run, index = self._stored(request)
        names = text_list(await read_json(request))
        with self._workspace.changing():
            for name in names:
                self._bags(run, index)[0].pop(name, None)
        return reply(self._record(run, index))

    async def event(self, request: Request) -> Response:
        """An event of a run. For a pipeline run, the only accepted events request its cancellation."""
        run, index = self._stored(request)
        name = (await read_body(request)).required("name")
        if name not in _CANCELS:
            raise bad_request(f"{name} is not accepted for a pipeline run, whose status the pipelines service manages.")
        if index is not None:
            raise bad_request(f"A step cannot be canceled alone; cancel its pipeline run {run.id}.")
        self._workspace.cancel(run.id)
        return reply()

    async def wait_for_metrics(self, request: Request) -> Response:
        """Wait for metrics; here they are available as soon as they are sent."""
        self._stored(request)
        return reply({})

    async def services(self, request: Request) -> Response:
        """The interactive services on a node of a run; there are none here."""
        self._stored(request)
        return reply({"instances": {}})

    def _stored(self, request: Request) -> tuple[Run, int | None]:
        return run_of(self._workspace, request)

    def _patch(self, run: Run, index: int | None, given: Body) -> None:
        tags, properties = self._bags(run, index)
        new = given.texts("properties")
        changed = sorted(key for key, value in new.items() if properties.get(key, value) != value)
        if changed and not self._workspace.quirks.mutable_properties:
            raise bad_request(f"Properties cannot be changed: {', '.join(changed)}", "PropertyImmutable")
        target = run if index is None else run.steps[index]
        name, description, new_tags = given.text("displayName"), given.text("description"), given.tags()
        hidden = given.flag("hidden")
        with self._workspace.changing():
            tags |= new_tags
            properties |= new
            target.display_name = target.display_name if name is None else name
            target.description = target.description if description is None else description
            if index is None and hidden is not None:
                run.hidden = hidden

    def _record(self, run: Run, index: int | None) -> JsonObject:
        view, now = self._workspace.view(run), self._workspace.clock.now()
        return run_dto(run, view, now) if index is None else step_dto(run, index, view, now)

    def _records(self, run: Run) -> list[JsonObject]:
        view, now = self._workspace.view(run), self._workspace.clock.now()
        begun = [index for index, step in enumerate(view.steps) if step.queued is not None]
        return [run_dto(run, view, now), *(step_dto(run, index, view, now) for index in begun)]

    def _bags(self, run: Run, index: int | None) -> tuple[dict[str, str | None], dict[str, str]]:
        if index is None:
            return run.history_tags, run.history_properties
        return run.steps[index].tags, run.steps[index].properties


def _named(runs: Iterable[Run], text: str | None) -> Iterable[Run]:
    """The runs without those that a filter excludes, as far as it names ids: to make records of all runs takes long.

    Raises:
        ServiceError: The text is not a filter.
    """
    condition = condition_of(text, RUN_FIELDS)
    if condition is None:
        return runs
    ids, parents = values_of(condition, "runId"), values_of(condition, "parentRunId")
    if ids is not None:
        runs = (run for run in runs if run.id in ids or any(step.id in ids for step in run.steps))
    if parents is not None:
        runs = (run for run in runs if run.id in parents or run.parent_run_id in parents)
    return runs
