"""Jobs of the v2 API: creating, reading, listing, cancelling, deleting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Route

from aml_provider.emulator.routes.arm_paging import link_page, viewed
from aml_provider.emulator.routes.http import base_url, flag, read_body, reply, scope_of
from aml_provider.emulator.routes.operations import deleting, finishing
from aml_provider.emulator.wire.jobs import job_dto, step_job_dto
from aml_provider.emulator.workspace.errors import ServiceError, bad_request, not_found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.models import Run


class JobRoutes:
    """``/jobs``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace

    def routes(self) -> list[Route]:
        """Under Azure Resource Manager."""
        job = "/jobs/{job_id}"
        return [
            Route("/jobs", self.list),
            Route(job, self.get),
            Route(job, self.put, methods=["PUT"]),
            Route(job, self.delete, methods=["DELETE"]),
            Route(f"{job}/cancel", self.cancel, methods=["POST"]),
        ]

    async def list(self, request: Request) -> Response:
        """The jobs that the query selects, newest first."""
        query = request.query_params
        runs: Iterable[Run] = self._workspace.jobs.listed()
        if (kind := query.get("jobType")) is not None:
            runs = (run for run in runs if kind == "Pipeline")
        for wanted in query.getlist("tag"):
            runs = _selected(runs, wanted, "history_tags")
        for wanted in query.getlist("properties"):
            runs = self._with_properties(runs, wanted)
        if flag(query.get("scheduled")) or "scheduleId" in query:
            runs = self._of_schedule(runs, query.get("scheduleId"))
        found = viewed(request, ((run.hidden, self._dto(request, run)) for run in runs))
        return link_page(request, found, self._workspace.quirks.page_size)

    async def get(self, request: Request) -> Response:
        """One job, or a step of one."""
        job_id = request.path_params["job_id"]
        if (found := self._workspace.step_run(job_id)) is not None and found[0].job is not None:
            run, index = found
            if self._workspace.view(run).steps[index].queued is None:
                raise not_found(f"Job {job_id}")
            return reply(step_job_dto(run, index, scope_of(request).path))
        return reply(self._dto(request, self._workspace.jobs.get(job_id)))

    async def put(self, request: Request) -> Response:
        """Create a job, or change an existing one."""
        if self._workspace.quirks.job_token_required and not request.headers.get("x-azureml-token"):
            raise ServiceError(400, "The header x-azureml-token is required.", inner="TokenRequired")
        given = await read_body(request)
        run, created = self._workspace.jobs.put(request.path_params["job_id"], given.get("properties"))
        return reply(self._dto(request, run), 201 if created else 200)

    async def cancel(self, request: Request) -> Response:
        """Request the cancellation of a job: 200, or 202 while it takes time."""
        run = self._workspace.jobs.get(request.path_params["job_id"])
        self._workspace.cancel(run.id)
        return finishing(request, self._workspace.clock, run.cancel_effective)

    async def delete(self, request: Request) -> Response:
        """Delete a job that has ended."""
        self._workspace.jobs.delete(request.path_params["job_id"])
        return deleting(request, self._workspace)

    def _with_properties(self, runs: Iterable[Run], wanted: str) -> Iterable[Run]:
        choice = self._workspace.quirks.properties_filter
        if choice == "refused":
            raise bad_request("Invalid filter: properties cannot be used.", "InvalidFilter")
        if choice == "ignored":
            return runs
        if choice == "names":
            wanted = ",".join(part.partition("=")[0] for part in wanted.split(","))
        return _selected(runs, wanted, "history_properties")

    def _of_schedule(self, runs: Iterable[Run], reference: str | None) -> Iterable[Run]:
        """The jobs of one schedule, named by its name or ARM id, or of all schedules."""
        choice = self._workspace.quirks.schedule_filter
        if choice == "refused":
            raise bad_request("Invalid filter: scheduled and scheduleId cannot be used.", "InvalidFilter")
        if choice == "ignored":
            return runs
        name = (reference or "").rpartition("/")[2]
        return [run for run in runs if run.job is not None and run.job.schedule and name in ("", run.job.schedule)]

    def _dto(self, request: Request, run: Run) -> JsonObject:
        workspace = self._workspace
        return job_dto(run, workspace.view(run), scope_of(request).path, base_url(request), workspace.quirks)


def _selected(runs: Iterable[Run], wanted: str, bag: str) -> list[Run]:
    """The runs that have all names of ``name1,name2=value2``, each with its value if one is given."""
    pairs = [part.partition("=") for part in wanted.split(",")]
    return [
        run
        for run in runs
        if all(
            name in getattr(run, bag) and (not sign or getattr(run, bag)[name] == value) for name, sign, value in pairs
        )
    ]
