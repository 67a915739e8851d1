"""Run history: experiments, runs and steps as records with tags and properties, and queries over them."""

from __future__ import annotations

import base64
import binascii
import sys
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from aml_provider.emulator import filters
from aml_provider.emulator.errors import bad_request, not_found
from aml_provider.emulator.routes.artifacts import content_url
from aml_provider.emulator.routes.http import read_json, reply
from aml_provider.emulator.submission import lower_keys
from aml_provider.emulator.wire_history import (
    EXPERIMENT_FIELDS,
    RUN_FIELDS,
    RUN_LOG,
    STEP_LOG,
    experiment_dto,
    run_details,
    run_dto,
    step_dto,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.models import Experiment, Run

JsonObject = dict[str, Any]
_OF_EXPERIMENT = ("/experiments/{experiment}", "/experimentids/{experiment_id}")


class HistoryRoutes:
    """``/experiments`` and ``/runs``."""

    def __init__(self, emulation: Emulation) -> None:
        self._emulation = emulation
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under the run history service."""
        found = [Route("/experiments:query", self.query_experiments, methods=["POST"])]
        for prefix in _OF_EXPERIMENT:
            found += [
                Route(prefix, self.get_experiment),
                Route(f"{prefix}/runs:query", self.query_runs, methods=["POST"]),
            ]
        found += [
            Route(_OF_EXPERIMENT[0], self.create_experiment, methods=["POST"]),
            Route(_OF_EXPERIMENT[1], self.patch_experiment, methods=["PATCH"]),
        ]
        for prefix in (*_OF_EXPERIMENT, ""):
            run = f"{prefix}/runs/{{run_id}}"
            found += [
                Route(run, self.get_run),
                Route(f"{run}/details", self.details),
                Route(f"{run}/children", self.children),
                Route(run, self.patch_run, methods=["PATCH"]),
                Route(f"{run}/tags", self.delete_tags, methods=["DELETE"]),
            ]
        return found

    async def get_experiment(self, request: Request) -> Response:
        """One experiment."""
        return reply(experiment_dto(self._experiment(request)))

    async def create_experiment(self, request: Request) -> Response:
        """An experiment, new if there is none of that name."""
        return reply(experiment_dto(self._workspace.ensure_experiment(request.path_params["experiment"])))

    async def patch_experiment(self, request: Request) -> Response:
        """Change an experiment's description, tags or archiving."""
        experiment = self._experiment(request)
        given = lower_keys(await read_json(request))
        with self._workspace.lock:
            experiment.description = given.get("description", experiment.description)
            experiment.tags |= given.get("tags") or {}
            if given.get("archive") is not None:
                experiment.archived = self._workspace.clock.now() if given["archive"] else None
            self._workspace.changed()
        return reply(experiment_dto(experiment))

    async def query_experiments(self, request: Request) -> Response:
        """The experiments that a filter selects."""
        given = lower_keys(await read_json(request) or {})
        view_type = given.get("viewtype") or "Default"
        found = [
            experiment_dto(item)
            for item in self._workspace.experiments.values()
            if view_type == "All" or (item.archived is not None) == (view_type == "ArchivedOnly")
        ]
        return self._page(found, given, EXPERIMENT_FIELDS)

    async def query_runs(self, request: Request) -> Response:
        """The runs and steps of an experiment that a filter selects."""
        experiment = self._experiment(request)
        given = lower_keys(await read_json(request) or {})
        runs = [run for run in self._workspace.runs.values() if run.experiment == experiment.name]
        found = [dto for run in runs if self._workspace.listed(run) for dto in self._records(run)]
        return self._page(found, given, RUN_FIELDS)

    async def children(self, request: Request) -> Response:
        """The steps of a run that have begun to wait, and the runs submitted below it."""
        record = self._record(request)
        run = self._workspace.runs.get(record["runId"])
        found = []
        if run is not None:
            found = [
                *self._records(run)[1:],
                *(self._records(child)[0] for child in self._workspace.children(run) if self._workspace.listed(child)),
            ]
        given = {name.removeprefix("$").lower(): value for name, value in request.query_params.items()}
        return self._page(found, given, RUN_FIELDS)

    async def get_run(self, request: Request) -> Response:
        """One run or step."""
        return reply(self._record(request))

    async def details(self, request: Request) -> Response:
        """One run or step with its log files."""
        record = self._record(request)
        name = RUN_LOG if record["runType"] == "azureml.PipelineRun" else STEP_LOG
        url = content_url(request, self._emulation.content_secret, record["dataContainerId"], name)
        return reply(run_details(record, {name: url} if record["startTimeUtc"] else {}))

    async def patch_run(self, request: Request) -> Response:
        """Merge tags and new properties; rename or describe."""
        record = self._record(request)
        given = lower_keys(await read_json(request))
        run, index = self._stored(record["runId"])
        tags, properties = self._bags(run, index)
        new_properties = given.get("properties") or {}
        if changed := sorted(key for key, value in new_properties.items() if properties.get(key, value) != value):
            raise bad_request(f"Properties cannot be changed: {', '.join(changed)}", "PropertyImmutable")
        with self._workspace.lock:
            tags |= given.get("tags") or {}
            properties |= new_properties
            if index is None:
                run.display_name = given.get("displayname", run.display_name)
                run.description = given.get("description", run.description)
            self._workspace.changed()
        return reply(self._record(request))

    async def delete_tags(self, request: Request) -> Response:
        """Remove the tags that the body names."""
        record = self._record(request)
        names = await read_json(request)
        if not isinstance(names, list):
            raise bad_request("The body must be an array of tag names.")
        with self._workspace.lock:
            tags, _ = self._bags(*self._stored(record["runId"]))
            for name in names:
                tags.pop(name, None)
            self._workspace.changed()
        return reply(self._record(request))

    def _experiment(self, request: Request) -> Experiment:
        if "experiment" in request.path_params:
            return self._workspace.experiment(request.path_params["experiment"])
        return self._workspace.experiment_by_id(request.path_params["experiment_id"])

    def _stored(self, run_id: str) -> tuple[Run, int | None]:
        if run_id in self._workspace.runs:
            return self._workspace.runs[run_id], None
        found = self._workspace.step_run(run_id)
        if found is None:
            raise not_found(f"Run {run_id}")
        return found

    def _record(self, request: Request) -> JsonObject:
        run_id = request.path_params["run_id"]
        run, _ = self._stored(run_id)
        in_experiment = "experiment" in request.path_params or "experiment_id" in request.path_params
        if in_experiment and self._experiment(request).name != run.experiment:
            raise not_found(f"Run {run_id} in this experiment")
        for record in self._records(run):
            if record["runId"] == run_id:
                return record
        raise not_found(f"Run {run_id}")

    def _records(self, run: Run) -> list[JsonObject]:
        view = self._workspace.view(run)
        now = self._workspace.clock.now()
        experiment_id = self._workspace.experiment(run.experiment).id
        steps = [
            step_dto(run, index, view, experiment_id, now)
            for index, step in enumerate(view.steps)
            if step.queued is not None
        ]
        return [run_dto(run, view, experiment_id, now), *steps]

    def _bags(self, run: Run, index: int | None) -> tuple[dict[str, str | None], dict[str, str]]:
        if index is None:
            return run.history_tags, run.history_properties
        return run.steps[index].tags, run.steps[index].properties

    def _page(self, records: Sequence[JsonObject], given: JsonObject, fields: tuple[str, ...]) -> Response:
        found = _ordered(_selected(records, given.get("filter"), fields), given.get("orderby"), fields)
        start = _offset(given.get("continuationtoken"))
        end = start + min(_top(given.get("top")), self._workspace.quirks.page_size)
        return reply({"value": found[start:end], "continuationToken": _token(end) if end < len(found) else None})


def _selected(records: Iterable[JsonObject], text: str | None, fields: tuple[str, ...]) -> list[JsonObject]:
    if not text:
        return list(records)
    try:
        condition = filters.parse(text, fields)
    except filters.FilterError as error:
        raise bad_request(f"Invalid filter: {error}", "InvalidFilter") from error
    return [record for record in records if condition.matches(record)]


def _ordered(records: list[JsonObject], order: str | None, fields: tuple[str, ...]) -> list[JsonObject]:
    known = {field.lower(): field for field in fields}
    # Sorting is stable, so the first criterion has to be applied last.
    for part in reversed((order or "").split(",")):
        name, _, direction = part.strip().partition(" ")
        if not name:
            continue
        if name.lower() not in known or direction.strip().lower() not in ("", "asc", "desc"):
            raise bad_request(f"Invalid orderby: {order}", "InvalidOrderBy")
        field = known[name.lower()]
        # What has not happened yet comes before everything else going up.
        records.sort(key=lambda record: (record[field] is not None, record[field] or ""), reverse="desc" in direction)
    return records


def _top(value: Any) -> int:
    if value is None:
        return sys.maxsize
    if not str(value).isdecimal() or int(value) == 0:
        raise bad_request(f"Invalid top: {value}")
    return int(value)


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"offset:{offset}".encode()).decode()


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token).decode().removeprefix("offset:"))
    except (ValueError, binascii.Error) as error:
        raise bad_request("Invalid continuationToken.") from error
