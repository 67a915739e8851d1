"""The actions behind the buttons of the pages: each changes one item, and then shows the page with the result."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

from starlette.responses import RedirectResponse
from starlette.routing import Route

from aml_provider.emulator.workspace.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.control_access import ControlAccess
    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.studio.documents import Documents

    # It changes the item with a key, and returns the address of the result if this is not the item's page. Then the
    # beginning of the address of the item's page.
    Action = tuple[Callable[[str], str | None], str]

TOKEN_FIELD = "control_token"  # noqa: S105 (the name of a field)
_FORM = "application/x-www-form-urlencoded"


class ActionRoutes:
    """POST requests of the pages' own forms, from callers who may control the workspace.

    The gateway has already refused requests of other sites' pages. A button moreover needs proof that one of our pages
    sent it: a program should use the API.
    """

    def __init__(self, emulation: Emulation, documents: Documents, access: ControlAccess) -> None:
        self._workspace = emulation.workspace
        self._runner = emulation.schedule_runner
        self._documents = documents
        self._access = access

    def routes(self) -> list[Route]:
        """At the root, below the addresses of the pages."""
        workspace = self._workspace
        schedules, job_schedules = workspace.schedules, "/schedules#job-schedule-"
        actions: Mapping[str, Action] = {
            "/runs/{id}/cancel": (workspace.cancel, "/runs/"),
            "/pipelines/{id}/disable": (lambda key: workspace.set_pipeline_status(key, "Disabled"), "/pipelines/"),
            "/pipelines/{id}/enable": (lambda key: workspace.set_pipeline_status(key, "Active"), "/pipelines/"),
            "/endpoints/{id}/disable": (lambda key: workspace.set_endpoint_status(key, "Disabled"), "/endpoints/"),
            "/endpoints/{id}/enable": (lambda key: workspace.set_endpoint_status(key, "Active"), "/endpoints/"),
            "/schedules/{id}/disable": (lambda key: schedules.set_status(key, "Disabled"), "/schedules/"),
            "/schedules/{id}/enable": (lambda key: schedules.set_status(key, "Active"), "/schedules/"),
            "/schedules/{id}/run": (self._run_schedule, "/schedules/"),
            "/schedules/{id}/poll": (self._runner.poll, "/schedules/"),
            # A reset replaces the job schedules, so they are read from the workspace at each call.
            "/schedules/job/{id}/disable": (
                lambda key: workspace.job_schedules.set_enabled(key, enabled=False),
                job_schedules,
            ),
            "/schedules/job/{id}/enable": (
                lambda key: workspace.job_schedules.set_enabled(key, enabled=True),
                job_schedules,
            ),
            "/schedules/job/{id}/run": (self._run_job_schedule, job_schedules),
        }
        return [Route(path, self._pressed(action), methods=["POST"]) for path, action in actions.items()]

    def _pressed(self, action: Action) -> Callable[[Request], Awaitable[Response]]:
        act, page = action

        async def press(request: Request) -> Response:
            key = request.path_params["id"]
            place = f"{page}{quote(key, safe='')}"
            if not _is_from_own_page(request):
                error = "The buttons of this workspace's pages work only on these pages. A program should use the API."
                return self._documents.refusal(ServiceError(403, error), back=place)
            token = await _token(request)
            try:
                self._access.check(request, token)
            except ServiceError as error:
                if error.status == 401:
                    return self._documents.token_form(wrong=bool(token), back=place)
                return self._documents.refusal(error, back=place)
            try:
                # It can list blobs, which blocks.
                result = await asyncio.to_thread(act, key)
            except ServiceError as error:
                return self._documents.refusal(error, back=place)
            return RedirectResponse(result or place, 303)

        return press

    def _run_schedule(self, key: str) -> str:
        return f"/runs/{quote(self._workspace.schedules.run_now(key).id, safe='')}"

    def _run_job_schedule(self, key: str) -> str:
        job_schedules = self._workspace.job_schedules
        run = job_schedules.start(job_schedules.get(key), self._workspace.instant())
        return f"/runs/{quote(run.id, safe='')}"


def _is_from_own_page(request: Request) -> bool:
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    # Without Sec-Fetch-Site, as over plain http, the gateway has compared the Origin with our address.
    return site == "same-origin" or (site is None and origin is not None)


async def _token(request: Request) -> str:
    """The control token in the form; empty if there is none."""
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _FORM:
        return ""
    fields = parse_qs((await request.body()).decode("utf-8", errors="replace"))
    return fields.get(TOKEN_FIELD, [""])[0]
