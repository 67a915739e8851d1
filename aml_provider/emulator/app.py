"""The ASGI application: which service a path belongs to, and what stands in front of all of them."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aml_provider.emulator.errors import (
    Envelope,
    ServiceError,
    arm_envelope,
    camel_envelope,
    pascal_envelope,
)
from aml_provider.emulator.requests_log import mask_text
from aml_provider.emulator.routes.arm import ArmRoutes, discovery
from aml_provider.emulator.routes.artifacts import ArtifactRoutes
from aml_provider.emulator.routes.control import ControlRoutes
from aml_provider.emulator.routes.datastores import DatastoreRoutes
from aml_provider.emulator.routes.endpoints import EndpointRoutes
from aml_provider.emulator.routes.history import HistoryRoutes
from aml_provider.emulator.routes.http import Scope
from aml_provider.emulator.routes.pipelines import PipelineRoutes
from aml_provider.emulator.routes.runs import RunRoutes
from aml_provider.emulator.routes.schedules import ScheduleRoutes
from aml_provider.emulator.studio.pages import StudioRoutes
from aml_provider.emulator.times import wire_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as AsgiScope

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.faults import Fault

CLOSE_CONNECTION = "aml_provider.close_connection"
"""The ASGI extension with which the server lets the application close a connection without a reply."""

_log = logging.getLogger(__name__)
_JSON = "application/json; charset=utf-8"
# Names in ARM ids do not depend on case; the services' own paths do here, to catch a client's slips.
_SCOPED = re.compile(
    r"(?P<service>/pipelines/v1\.0|/history/v1\.0|/datastore/v1\.0|/artifact/v2\.0|)"
    r"(?i:/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<workspace>[^/]+))(?P<rest>(?:/.*)?)"
)


def build_app(emulation: Emulation, *, token: str | None = None, control_token: str | None = None) -> ASGIApp:
    """The emulated services, the run page and the control API as one application.

    Args:
        emulation: The workspace and what belongs to it.
        token: The bearer token that API calls must bring; without it any will do.
        control_token: The bearer token of the control API; without it the API answers to this machine only.
    """
    artifacts = ArtifactRoutes(emulation)
    pipelines = [
        *PipelineRoutes(emulation).routes(),
        *EndpointRoutes(emulation).routes(),
        *RunRoutes(emulation).routes(),
        *ScheduleRoutes(emulation).routes(),
    ]
    services = {
        "/pipelines/v1.0": _service(emulation, pipelines, pascal_envelope, token),
        "/history/v1.0": _service(emulation, HistoryRoutes(emulation).routes(), camel_envelope, token),
        "/datastore/v1.0": _service(emulation, DatastoreRoutes(emulation).routes(), camel_envelope, token),
        "/artifact/v2.0": _service(emulation, artifacts.routes(), camel_envelope, token),
        "": _service(emulation, ArmRoutes(emulation).routes(), arm_envelope, token),
    }
    outside = [
        Route("/discovery", discovery),
        Route("/_content/{container}/{path:path}", artifacts.content),
        *StudioRoutes(emulation).routes(),
        *ControlRoutes(emulation, control_token).routes(),
    ]
    return _Gateway(emulation, services, _starlette(emulation, outside, camel_envelope))


def _starlette(emulation: Emulation, routes: Sequence[Route], envelope: Envelope) -> Starlette:
    def refuse(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        content = json.dumps(envelope(error, emulation.clock.now()))
        return Response(content, error.status, media_type=_JSON)

    def unknown(request: Request, _error: Exception) -> Response:
        route = f"{request.method} {request.scope.get('azureml_path', request.scope['path'])}"
        return refuse(request, ServiceError(501, f"The emulator does not have {route}", code="NotImplemented"))

    # Only the router raises HTTPException here: no such path, or not with this method.
    return Starlette(routes=list(routes), exception_handlers={ServiceError: refuse, HTTPException: unknown})


def _service(emulation: Emulation, routes: Sequence[Route], envelope: Envelope, token: str | None) -> ASGIApp:
    app = _starlette(emulation, routes, envelope)

    async def guarded(scope: AsgiScope, receive: Receive, send: Send) -> None:
        given = Request(scope).headers.get("Authorization", "")
        scheme, _, value = given.partition(" ")
        if (
            scheme.lower() == "bearer"
            and value
            and (token is None or hmac.compare_digest(value.encode(), token.encode()))
        ):
            await app(scope, receive, send)
            return
        error = ServiceError(
            401,
            "The request has no valid bearer token.",
            code="AuthenticationFailed" if envelope is arm_envelope else "UserError",
            inner="AuthenticationFailed",
        )
        content = json.dumps(envelope(error, emulation.clock.now()))
        await Response(content, 401, {"WWW-Authenticate": "Bearer"}, _JSON)(scope, receive, send)

    return guarded


class _Gateway:
    """Finds the service, applies faults, logs. A reply is complete before its first byte is sent."""

    def __init__(self, emulation: Emulation, services: Mapping[str, ASGIApp], outside: ASGIApp) -> None:
        self._emulation = emulation
        self._services = services
        self._outside = outside

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        body = await Request(scope, receive).body()
        if scope["path"].startswith("/_emulator/"):
            await (await self._answer(scope, body))(scope, receive, send)
            return
        fault = self._emulation.faults.take(scope["method"], scope["path"])
        reply = await self._faulty_answer(scope, body, fault)
        self._record(scope, body, fault, reply.status_code if reply else None)
        if reply is None:
            await _close(scope, receive)
        else:
            await reply(scope, receive, send)

    async def _faulty_answer(self, scope: AsgiScope, body: bytes, fault: Fault | None) -> Response | None:
        if fault is None:
            return await self._answer(scope, body)
        if fault.kind == "refuse":
            return None
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "status" and not fault.after_commit:
            return self._status(scope, fault)
        reply = await self._answer(scope, body)
        if fault.kind == "drop":
            return None
        if fault.kind == "status":
            return self._status(scope, fault)
        if fault.kind == "broken_json":
            content = bytes(reply.body)
            return Response(content[: max(1, len(content) // 2)], reply.status_code, media_type=_JSON)
        return reply

    async def _answer(self, scope: AsgiScope, body: bytes) -> Response:
        app, inner = self._find(scope)
        reply = _Collected()

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await app(inner, receive, reply.send)
        return reply.response()

    def _find(self, scope: AsgiScope) -> tuple[ASGIApp, AsgiScope]:
        match = _SCOPED.fullmatch(scope["path"])
        if match is None:
            return self._outside, scope
        workspace = Scope(match["subscription"], match["group"], match["workspace"])
        inner = {
            **scope,
            "path": match["rest"] or "/",
            "raw_path": None,
            "azureml": workspace,
            "azureml_path": scope["path"],
        }
        return self._services[match["service"]], inner

    def _status(self, scope: AsgiScope, fault: Fault) -> Response:
        error = ServiceError(fault.status, "An injected fault.", code="ServiceError", inner="InjectedFault")
        envelope = pascal_envelope if scope["path"].startswith("/pipelines/") else camel_envelope
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        content = json.dumps(envelope(error, self._emulation.clock.now()))
        return Response(content, fault.status, headers, _JSON)

    def _record(self, scope: AsgiScope, body: bytes, fault: Fault | None, status: int | None) -> None:
        query = scope["query_string"].decode("latin-1")
        entry = self._emulation.requests.add(
            time=wire_time(self._emulation.clock.now()),
            method=scope["method"],
            path=scope["path"],
            query=parse_qsl(query, keep_blank_values=True),
            headers=Request(scope).headers.items(),
            body=_readable(body),
            status=status,
            fault=fault.kind if fault else None,
        )
        shown = f"?{mask_text(query)}" if query else ""
        _log.info("%s %s%s %s", entry.method, entry.path, shown, entry.status or "no reply")


class _Collected:
    """A reply that an application sends, kept until it is decided what becomes of it."""

    def __init__(self) -> None:
        self._status = 500
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = list(message.get("headers", ()))
        else:
            self._body += message.get("body", b"")

    def response(self) -> Response:
        response = Response(self._body, self._status)
        response.raw_headers = self._headers
        return response


async def _close(scope: AsgiScope, receive: Receive) -> None:
    close: Callable[[], None] = scope["extensions"][CLOSE_CONNECTION]["close"]
    close()
    # The server would send a 500 for an application that returns without a reply while the client is still there.
    while (await receive())["type"] != "http.disconnect":
        pass


def _readable(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


__all__ = ["CLOSE_CONNECTION", "build_app"]
