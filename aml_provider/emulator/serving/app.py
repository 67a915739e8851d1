"""The ASGI application: the routes of each service, behind the gateway."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from aml_provider.emulator.control_access import ControlAccess, bearer_token
from aml_provider.emulator.routes.arm import ArmRoutes, clouds, discovery
from aml_provider.emulator.routes.arm_datastores import ArmDatastoreRoutes
from aml_provider.emulator.routes.artifacts import ArtifactRoutes
from aml_provider.emulator.routes.batch_endpoints import BatchEndpointRoutes
from aml_provider.emulator.routes.components import ComponentRoutes
from aml_provider.emulator.routes.computes import ComputeRoutes
from aml_provider.emulator.routes.control import ControlRoutes
from aml_provider.emulator.routes.datastores import DatastoreRoutes
from aml_provider.emulator.routes.endpoints import EndpointRoutes
from aml_provider.emulator.routes.experiments import ExperimentRoutes
from aml_provider.emulator.routes.history import HistoryRoutes
from aml_provider.emulator.routes.job_schedules import JobScheduleRoutes
from aml_provider.emulator.routes.jobs import JobRoutes
from aml_provider.emulator.routes.metrics import MetricRoutes
from aml_provider.emulator.routes.operations import OperationRoutes
from aml_provider.emulator.routes.pipelines import PipelineRoutes
from aml_provider.emulator.routes.runs import RunRoutes
from aml_provider.emulator.routes.schedules import ScheduleRoutes
from aml_provider.emulator.serving.callers import Callers
from aml_provider.emulator.serving.middleware import Gateway
from aml_provider.emulator.serving.refusals import Refusals
from aml_provider.emulator.studio.actions import ActionRoutes
from aml_provider.emulator.studio.addresses import wants_page
from aml_provider.emulator.studio.documents import Documents
from aml_provider.emulator.studio.pages import StudioRoutes
from aml_provider.emulator.workspace.errors import Envelope, ServiceError, arm_envelope, camel_envelope, pascal_envelope

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Send
    from starlette.types import Scope as AsgiScope

    from aml_provider.emulator.emulation import Emulation

# Azure Resource Manager, and the services of the v2 API with the same errors.
_ARM = ("", "/inference/v1.0", "/mferp/managementfrontend")
_TOKEN = re.compile("[!-~]+")


def build_app(
    emulation: Emulation, *, token: str | None = None, control_token: str | None = None, hosts: Iterable[str] = ()
) -> ASGIApp:
    """Build one application of the emulated services, the pages and the control API.

    Args:
        emulation: The emulated workspace.
        token: The bearer token that API calls must send; without it any token is accepted.
        control_token: The token of the control API and of the pages' buttons; without it both answer only to this
            machine.
        hosts: The names under which it answers, besides ``localhost`` and addresses.

    Raises:
        ValueError: No request can send one of the tokens, or a name is invalid.
    """
    for name, text in (("token", token), ("control token", control_token)):
        # An empty token would match a call without one, and other characters have no single encoding in headers.
        if text is not None and not _TOKEN.fullmatch(text):
            raise ValueError(
                f"the {name} must be ASCII letters, digits and punctuation, without spaces; leave it out for no token"
            )
    documents, access = Documents(), ControlAccess(control_token)
    refusals = Refusals(emulation.clock, documents)
    casings: tuple[Envelope, Envelope] = (pascal_envelope, camel_envelope)
    pascal, camel = reversed(casings) if emulation.workspace.quirks.swapped_errors else casings
    envelopes = {"/pipelines/v1.0": pascal, **dict.fromkeys(_ARM, arm_envelope)}
    services = {
        prefix: _service(routes, envelopes.get(prefix, camel), token, refusals)
        for prefix, routes in service_routes(emulation).items()
    }
    listings, _ = _service(ArmRoutes(emulation).listings(), arm_envelope, token, refusals)
    outside = [
        Route("/discovery", discovery),
        Route("/metadata/endpoints", clouds),
        Route("/_content/{container}/{path:path}", ArtifactRoutes(emulation).content),
        *StudioRoutes(emulation, documents, access).routes(),
        *ActionRoutes(emulation, documents, access).routes(),
        *ControlRoutes(emulation, access).routes(),
    ]
    rest = _starlette(outside, camel_envelope, refusals)
    return Gateway(emulation, Callers(hosts), services, _outside(listings, rest), refusals)


def service_routes(emulation: Emulation) -> dict[str, list[Route]]:
    """The routes of each service below a workspace's path; the service without a prefix is Azure Resource Manager."""
    artifacts, batch_endpoints = ArtifactRoutes(emulation), BatchEndpointRoutes(emulation)
    return {
        "/pipelines/v1.0": [
            *PipelineRoutes(emulation).routes(),
            *EndpointRoutes(emulation).routes(),
            *RunRoutes(emulation).routes(),
            *ScheduleRoutes(emulation).routes(),
        ],
        "/history/v1.0": [
            *ExperimentRoutes(emulation).routes(),
            *HistoryRoutes(emulation).routes(),
            *artifacts.run_routes(),
        ],
        "/datastore/v1.0": DatastoreRoutes(emulation).routes(),
        "/artifact/v2.0": artifacts.routes(),
        "/metric/v2.0": MetricRoutes(emulation).routes(),
        "/inference/v1.0": batch_endpoints.scoring_routes(),
        "/mferp/managementfrontend": batch_endpoints.job_routes(),
        "": [
            *ArmRoutes(emulation).routes(),
            *ArmDatastoreRoutes(emulation).routes(),
            *ComponentRoutes(emulation).routes(),
            *ComputeRoutes(emulation).routes(),
            *batch_endpoints.routes(),
            *JobRoutes(emulation).routes(),
            *JobScheduleRoutes(emulation).routes(),
            *OperationRoutes(emulation).routes(),
        ],
    }


def _outside(listings: ASGIApp, app: ASGIApp) -> ASGIApp:
    """The application for all other paths: the lists above the workspaces, and the emulator's own routes."""

    async def route(scope: AsgiScope, receive: Receive, send: Send) -> None:
        path = scope["path"].lower()
        if path.startswith("/subscriptions"):
            await listings({**scope, "path": path, "raw_path": None, "azureml_path": scope["path"]}, receive, send)
        else:
            await app(scope, receive, send)

    return route


def _starlette(routes: Sequence[Route], envelope: Envelope, refusals: Refusals) -> Starlette:
    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        return refusals.reply(request, error, envelope)

    def unknown(request: Request, _error: Exception) -> Response:
        path = request.scope.get("azureml_path", request.scope["path"])
        if wants_page(request):
            return refused(request, ServiceError(404, f"There is nothing at {path}."))
        message = f"The emulator does not have {request.method} {path}"
        return refused(request, ServiceError(501, message, code="NotImplemented"))

    # Only the router raises HTTPException here: the path does not exist, or not with this method.
    app = Starlette(routes=list(routes), exception_handlers={ServiceError: refused, HTTPException: unknown})
    app.router.redirect_slashes = False
    return app


def _service(
    routes: Sequence[Route], envelope: Envelope, token: str | None, refusals: Refusals
) -> tuple[ASGIApp, Envelope]:
    app = _starlette(routes, envelope, refusals)

    async def guarded(scope: AsgiScope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        value = bearer_token(request)
        if value and (token is None or hmac.compare_digest(value.encode(), token.encode())):
            await app(scope, receive, send)
            return
        error = ServiceError(
            401,
            "The request has no valid bearer token.",
            code="AuthenticationFailed" if envelope is arm_envelope else "UserError",
            inner="AuthenticationFailed",
        )
        reply = refusals.reply(request, error, envelope)
        reply.headers["WWW-Authenticate"] = "Bearer"
        await reply(scope, receive, send)

    return guarded, envelope
