"""A server that keeps every request and answers what it was told to, or misbehaves as it was told to."""

from __future__ import annotations

import json
import socket
import struct
import threading
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl


class Seen(NamedTuple):
    """One request as it came; header names are lower case."""

    method: str
    path: str
    raw_query: str
    headers: dict[str, str]
    body: bytes

    @property
    def query(self) -> list[list[str]]:
        return [list(pair) for pair in parse_qsl(self.raw_query, keep_blank_values=True)]

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def asked(self) -> tuple[str, str, list[list[str]], Any]:
        """What tells two requests apart."""
        return self.method, self.path, self.query, self.json


class Answer(NamedTuple):
    """What is answered.

    ``fault`` is ``drop`` (the connection is reset after the request was read), ``truncate`` (half the body, then the
    end) or ``hang`` (nothing, until the server stops).
    """

    status: int = 200
    json: Any = None
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    fault: str = ""

    @property
    def content(self) -> bytes:
        return json.dumps(self.json).encode() if self.body is None else self.body


class Recorder:
    """A context manager that serves on a free loopback port.

    Attributes:
        url: Where it listens.
        seen: The requests, in the order of their arrival.
        tunnels: What a client asked for as if this were its proxy; all are refused.
    """

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.tunnels: list[str] = []
        self._answers: list[tuple[str, str, list[Answer]]] = []
        self.released = threading.Event()
        self._arrived = threading.Condition()
        handler = type("Handler", (_Handler,), {"recorder": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, count: int) -> list[Seen]:
        """Return the requests once there are as many; a client that gave up may be faster than the server."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.seen) >= count, timeout=240), self.seen
        return self.seen

    def answer(self, method: str, path: str, *answers: Answer) -> None:
        """Answer such requests in this order, the last one again and again; ``path`` is a glob."""
        self._answers.insert(0, (method, path, list(answers)))

    def take(self, seen: Seen) -> Answer:
        with self._arrived:
            self.seen.append(seen)
            self._arrived.notify_all()
        for method, path, answers in self._answers:
            if method == seen.method and fnmatchcase(seen.path, path):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return Answer(418, {"error": {"code": "NotTold", "message": f"no answer to {seen.method} {seen.path}"}})


class _Handler(BaseHTTPRequestHandler):
    recorder: Recorder
    protocol_version = "HTTP/1.1"

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.recorder.take(Seen(self.command, path, query, headers, self.rfile.read(length)))
        if answer.fault == "hang":
            self.recorder.released.wait(240)
        if answer.fault in {"hang", "drop"}:
            # Reset, not closed: the client learns nothing but that the connection is gone.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        content = answer.content
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if answer.fault == "truncate":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif answer.status != 204:
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the names in the standard library

    def do_CONNECT(self) -> None:
        self.recorder.tunnels.append(self.path)
        self.send_error(403)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
