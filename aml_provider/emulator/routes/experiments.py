"""Experiments of run history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from aml_provider.emulator.routes.http import base_url, read_body, reply, scope_of
from aml_provider.emulator.routes.paging import page, query_of
from aml_provider.emulator.wire.history import EXPERIMENT_FIELDS, experiment_dto, run_counts
from aml_provider.emulator.workspace.errors import bad_request, not_found

if TYPE_CHECKING:
    from starlette.requests import Request

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.body import Body
    from aml_provider.emulator.workspace.models import Experiment, Run
    from aml_provider.emulator.workspace.workspace import Workspace

_NAMED, _BY_ID = "/experiments/{experiment}", "/experimentids/{experiment_id}"
OF_EXPERIMENT = (_NAMED, _BY_ID)
"""The prefixes of paths below an experiment."""
_VIEW_TYPES = ("Default", "All", "ActiveOnly", "ArchivedOnly")
_RETRY_AFTER = 1


def experiment_of(workspace: Workspace, request: Request) -> Experiment:
    """The experiment that the request's path names."""
    names = request.path_params
    if "experiment" in names:
        return workspace.experiments.named(names["experiment"])
    return workspace.experiments.get(names["experiment_id"])


def run_of(workspace: Workspace, request: Request) -> tuple[Run, int | None]:
    """The run that the request's path names; for a step, its run and its position.

    Raises:
        ServiceError: It does not exist, is in another experiment, or is a step that is not queued yet.
    """
    names = request.path_params
    run, index = workspace.stored(names["run_id"])
    # Runs of an archived experiment are found by its name too, even if an active one has the same name.
    wanted = (names.get("experiment", run.experiment), names.get("experiment_id", run.experiment_id))
    begun = index is None or workspace.view(run).steps[index].queued is not None
    if wanted != (run.experiment, run.experiment_id) or not begun:
        raise not_found(f"Run {names['run_id']}")
    return run, index


class ExperimentRoutes:
    """``/experiments`` and ``/experimentids``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under the run history service."""
        return [
            Route("/experiments", self.list),
            Route("/experiments:query", self.query, methods=["POST"]),
            Route(_NAMED, self.create, methods=["POST"]),
            *(Route(prefix, self.get) for prefix in OF_EXPERIMENT),
            *(Route(f"{prefix}/runcounts", self.run_counts) for prefix in OF_EXPERIMENT),
            Route(_BY_ID, self.patch, methods=["PATCH"]),
            Route(_BY_ID, self.delete, methods=["DELETE"]),
            Route(f"{_BY_ID}/deletion", self.deletion),
            Route(f"{_BY_ID}/tags:delete", self.delete_tags, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """The experiments that the query of the address selects."""
        return self._page(query_of(request))

    async def query(self, request: Request) -> Response:
        """The experiments that the filter in the body selects."""
        return self._page(await read_body(request))

    async def create(self, request: Request) -> Response:
        """Find the active experiment with a name, or create it."""
        return reply(experiment_dto(self._workspace.experiments.ensure(request.path_params["experiment"])))

    async def get(self, request: Request) -> Response:
        """One experiment."""
        return reply(experiment_dto(self._found(request)))

    async def patch(self, request: Request) -> Response:
        """Change the name, description or tags of an experiment, archive it or reactivate it."""
        experiment = self._found(request)
        given = await read_body(request)
        self._workspace.experiments.update(
            experiment,
            name=given.text("name"),
            description=given.text("description"),
            archive=given.flag("archive"),
            tags=given.tags(),
        )
        return reply(experiment_dto(experiment))

    async def delete_tags(self, request: Request) -> Response:
        """Remove the tags that the body names."""
        experiment = self._found(request)
        given = await read_body(request)
        if "tags" not in given:
            raise bad_request("tags is required.")
        self._workspace.experiments.delete_tags(experiment, given.names("tags"))
        return reply({"errors": {}})

    async def delete(self, request: Request) -> Response:
        """Delete an experiment without runs: immediately, or later with a ``Location`` to poll."""
        experiment = self._found(request)
        self._workspace.experiments.delete(experiment)
        return self._progress(request, experiment.id)

    async def deletion(self, request: Request) -> Response:
        """The progress of a deletion."""
        return self._progress(request, request.path_params["experiment_id"])

    async def run_counts(self, request: Request) -> Response:
        """The number of runs of an experiment in each status, without steps."""
        runs = [run for run in self._workspace.experiments.runs_of(self._found(request)) if self._workspace.listed(run)]
        return reply(run_counts(self._workspace.view(run).history_status for run in runs))

    def _found(self, request: Request) -> Experiment:
        return experiment_of(self._workspace, request)

    def _page(self, given: Body) -> Response:
        view_type = given.choice("viewType", _VIEW_TYPES) or "Default"
        found = [
            experiment_dto(item)
            for item in self._workspace.experiments.all()
            if view_type == "All" or (item.archived is not None) == (view_type == "ArchivedOnly")
        ]
        return page(found, given, EXPERIMENT_FIELDS, self._workspace.quirks.page_size)

    def _progress(self, request: Request, experiment_id: str) -> Response:
        if self._workspace.experiments.is_deleted(experiment_id):
            return reply()
        location = f"{base_url(request)}/history/v1.0{scope_of(request).path}/experimentids/{experiment_id}/deletion"
        return Response(status_code=202, headers={"Location": location, "Retry-After": str(_RETRY_AFTER)})
