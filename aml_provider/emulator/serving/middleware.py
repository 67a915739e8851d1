"""The layer in front of all services: it routes each request to its service, and applies quirks, faults and the log."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from aml_provider.emulator.request_log import LoggedRequest, mask_text
from aml_provider.emulator.routes.http import Scope
from aml_provider.emulator.serving.quirks_on_the_wire import Dialect, SentRequest
from aml_provider.emulator.studio.addresses import is_action, is_page, wants_page
from aml_provider.emulator.workspace.errors import Envelope, ServiceError, camel_envelope, not_json, pascal_envelope
from aml_provider.emulator.workspace.times import wire_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as AsgiScope

    from aml_provider.emulator.clock import Clock
    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.faults import Fault
    from aml_provider.emulator.serving.callers import Callers
    from aml_provider.emulator.serving.refusals import Refusals

CLOSE_CONNECTION = "aml_provider.close_connection"
"""The ASGI extension with which the server lets the application close a connection without a reply."""

_log = logging.getLogger(__name__)
# Names in ARM ids ignore case. The services' own paths do not here, to catch mistakes of a client.
_SCOPED = re.compile(
    r"(?P<service>/(?:pipelines|history|datastore|inference)/v1\.0|/(?:artifact|metric)/v2\.0|/mferp/managementfrontend|)"
    r"(?i:/subscriptions/(?P<subscription>[^/]+)/resourceGroups/(?P<group>[^/]+)"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<workspace>[^/]+))(?P<rest>(?:/.*)?)"
)
_ENVELOPES: Mapping[str | None, Envelope] = {"camel": camel_envelope, "pascal": pascal_envelope}
# Paths for programs. All others are for people, whether or not the page exists.
_PROGRAMS = re.compile(
    r"(?is)/(?:_emulator|_content|discovery|(?:[a-z]+/(?:v\d\.\d|managementfrontend)/)?subscriptions)(?:/.*)?"
)
# A browser may not cache a reply, guess its type, or show it within a page of another site. Pages have their own
# policies, which allow their style and script, and let their forms say where they come from.
_PROTECTION = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Replies with these statuses have no body.
_BODILESS = frozenset({204, 205, 304})
_PIECES = 50
_PAGE = (
    "<!DOCTYPE html>\n<html><head><title>{status}</title></head>"
    "<body><h1>{status}</h1><p>A gateway's page, put here by an injected fault.</p></body></html>\n"
)


class Gateway:
    """Routes a request to its service, applies quirks and faults, logs it. A reply is sent only when it is complete.

    ``services`` has the application and the error envelope for each prefix; ``outside`` handles all other paths.
    """

    def __init__(
        self,
        emulation: Emulation,
        callers: Callers,
        services: Mapping[str, tuple[ASGIApp, Envelope]],
        outside: ASGIApp,
        refusals: Refusals,
    ) -> None:
        self._emulation = emulation
        self._callers = callers
        self._services = services
        self._outside = outside
        self._refusals = refusals
        self._dialect = Dialect(emulation.workspace.quirks)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http"
        request, send = Request(scope, receive), _with_headers(send, self._emulation.clock)
        path = scope["path"]
        for_people = is_page(path) or is_action(path) or (wants_page(request) and not _PROGRAMS.fullmatch(path))
        if refusal := self._callers.refusal(request.headers, request.method, page=for_people):
            # Not a caller of the services: it is not in the request log, and no fault applies to it.
            _log.warning("%s %s %d: %s", request.method, _sent_path(scope), refusal.status, refusal)
            await self._refusal(request, refusal)(scope, receive, send)
            return
        try:
            body = await request.body()
        except ClientDisconnect:
            # The client went away in the middle of its request; perhaps it was killed.
            return
        # An open page refreshes every second; that must not use up the faults for clients.
        if for_people or path.startswith("/_emulator/"):
            await (await self._answer(scope, body))(scope, receive, send)
            return
        query, text = scope["query_string"].decode("latin-1"), body.decode(errors="replace")
        fault = self._emulation.faults.take(scope["method"], scope["path"], query, text)
        reply = await self._answer(scope, body) if fault is None else await self._faulty_answer(scope, body, fault)
        self._record(scope, body, fault, reply.status_code if reply else None)
        if reply is None:
            await _close(scope, receive)
        elif fault is not None and fault.kind == "cut":
            await _send_half(reply, send)
            await _close(scope, receive)
        elif fault is not None and fault.kind == "slow":
            await _send_slowly(reply, send, fault.seconds)
        else:
            await reply(scope, receive, send)

    async def _faulty_answer(self, scope: AsgiScope, body: bytes, fault: Fault) -> Response | None:
        match fault.kind:
            case "refuse":
                return None
            case "redirect":
                location = fault.location or str(Request(scope).url)
                return Response(None, fault.status or 307, {"Location": location})
            case "status" | "html":
                if fault.after_commit:
                    await self._answer(scope, body)
                return self._injected(scope, fault)
            case "delay":
                await asyncio.sleep(fault.seconds)
        reply = await self._answer(scope, body)
        return None if fault.kind == "drop" else _corrupted(reply, fault)

    def _injected(self, scope: AsgiScope, fault: Fault) -> Response:
        assert fault.status is not None
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        if fault.status in _BODILESS:
            return Response(None, fault.status, headers)
        if fault.kind == "html":
            return Response(_PAGE.format(status=fault.status), fault.status, media_type="text/html")
        error = ServiceError(fault.status, "An injected fault.", code="ServiceError", inner="InjectedFault")
        return self._refusals.json(error, _ENVELOPES.get(fault.envelope) or self._envelope(scope["path"]), headers)

    def _envelope(self, path: str) -> Envelope:
        match = _SCOPED.fullmatch(path)
        return self._services[match["service"]][1] if match else camel_envelope

    def _refusal(self, request: Request, error: ServiceError) -> Response:
        return self._refusals.reply(request, error, self._envelope(request.scope["path"]))

    async def _answer(self, scope: AsgiScope, body: bytes) -> Response:
        request = Request(scope)
        declared = request.headers.get("Content-Type")
        # The buttons of our own pages send forms; their routes check that no other page sends one.
        if not is_action(scope["path"]) and (problem := not_json(request.method, declared, body)):
            return self._refusal(request, problem)
        match = _SCOPED.fullmatch(scope["path"])
        if match is None:
            return await _run(self._outside, scope, body)
        service, envelope = self._services[match["service"]]
        sent = SentRequest(match["service"], scope["method"], match["rest"] or "/", scope["query_string"], body)
        inner = {
            **scope,
            "path": sent.path,
            "raw_path": None,
            "azureml": Scope(match["subscription"], match["group"], match["workspace"]),
            "azureml_path": scope["path"],
        }
        try:
            read = self._dialect.read(sent)
            reply = await _run(service, {**inner, "query_string": read.query}, read.body)
            return self._dialect.write(sent, reply)
        except ServiceError as error:
            return self._refusals.json(error, envelope)

    def _record(self, scope: AsgiScope, body: bytes, fault: Fault | None, status: int | None) -> None:
        query = scope["query_string"].decode("latin-1")
        request = LoggedRequest(
            time=wire_time(self._emulation.clock.now()),
            method=scope["method"],
            path=scope["path"],
            query=parse_qsl(query, keep_blank_values=True),
            headers=dict(Request(scope).headers.items()),
            body=_readable(body),
            status=status,
            fault=fault.kind if fault else None,
        )
        self._emulation.requests.add(request)
        shown = f"?{mask_text(query)}" if query else ""
        _log.info("%s %s%s %s", request.method, _sent_path(scope), shown, status or "no reply")


def _sent_path(scope: AsgiScope) -> str:
    """The path as sent, still encoded: decoded, it could contain control characters for a terminal."""
    path: bytes = scope["raw_path"]
    return path.decode("latin-1")


def _with_headers(send: Send, clock: Clock) -> Send:
    """Adds headers to each reply: the workspace's time, and what restricts browsers."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in _PROTECTION.items():
                headers.setdefault(name, value)
            headers["date"] = formatdate(clock.now(), usegmt=True)
            message = {**message, "headers": headers.raw}
        await send(message)

    return sending


async def _run(app: ASGIApp, scope: AsgiScope, body: bytes) -> Response:
    """The reply of an application, collected before it is sent."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *parts = sent
    reply = Response(b"".join(part.get("body", b"") for part in parts), start["status"])
    reply.raw_headers = list(start.get("headers", ()))
    return reply


def _corrupted(reply: Response, fault: Fault) -> Response:
    """The reply with the body or type that the fault gives it; a reply without a body stays unchanged."""
    content, kind = bytes(reply.body), reply.headers.get("Content-Type")
    if reply.status_code in _BODILESS:
        return reply
    match fault.kind:
        case "broken_json":
            content = content[: max(1, len(content) // 2)]
        case "malformed_json":
            content += b"]"
        case "empty":
            content = b""
        case "content_type":
            kind = fault.content_type
        case _:
            return reply
    return Response(content, reply.status_code, {"Content-Type": kind} if kind else None)


async def _send_half(reply: Response, send: Send) -> None:
    content = bytes(reply.body)
    await send({"type": "http.response.start", "status": reply.status_code, "headers": reply.raw_headers})
    await send({"type": "http.response.body", "body": content[: len(content) // 2], "more_body": True})


async def _send_slowly(reply: Response, send: Send, seconds: float) -> None:
    content = bytes(reply.body)
    size = max(1, -(-len(content) // _PIECES))
    starts = range(0, len(content), size)
    await send({"type": "http.response.start", "status": reply.status_code, "headers": reply.raw_headers})
    for start in starts:
        await asyncio.sleep(seconds / len(starts))
        await send({"type": "http.response.body", "body": content[start : start + size], "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _close(scope: AsgiScope, receive: Receive) -> None:
    close: Callable[[], None] = scope["extensions"][CLOSE_CONNECTION]["close"]
    close()
    # The server sends a 500 if an application returns without a reply while the client is still connected.
    while (await receive())["type"] != "http.disconnect":
        pass


def _readable(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")
