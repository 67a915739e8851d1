"""A fake blob service that a test controls: in memory, and as a server with its own clock."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

_HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"


class Blob(NamedTuple):
    etag: str
    modified: datetime
    size: int


class Asked(NamedTuple):
    """One listing request; header names are lower case."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


class FakeContainer:
    """The blobs of one container, listed as Azure lists them.

    Attributes:
        now: The time of the service.
        page_size: The most entries of a page.
        failures: The statuses of the next replies, one for each request; 200 is a normal reply, 0 a page that is cut
            off, -200 a success that holds an error.
        arrivals: Blobs that are written just before the listing request of this number gets its reply.
        retry_after: The ``Retry-After`` of those failures.
        asked: The listing requests.
        moments: When these came, by :func:`time.monotonic`.
    """

    def __init__(self, page_size: int = 5000) -> None:
        self.blobs: dict[str, Blob] = {}
        self.now = datetime(2026, 11, 1, 12, tzinfo=UTC)
        self.page_size = page_size
        self.failures: list[int] = []
        self.arrivals: dict[int, str] = {}
        self.retry_after: str | None = None
        self.asked: list[Asked] = []
        self.moments: list[float] = []
        self._writes = 0

    def write(self, name: str, size: int = 1, age: float = 0.0) -> str:
        """Write a blob, as if ``age`` seconds ago, and return its ETag."""
        self._writes += 1
        etag = f"0x{self._writes:X}"
        self.blobs[name] = Blob(etag, self.now - timedelta(seconds=age), size)
        return etag

    def rename(self, old: str, new: str) -> None:
        """Rename a blob as an account with a hierarchical namespace does: it keeps its dates."""
        self.blobs[new] = self.blobs.pop(old)

    def answer(self, asked: Asked) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(asked)
        self.moments.append(time.monotonic())
        if len(self.asked) in self.arrivals:
            self.write(self.arrivals[len(self.asked)])
        headers = {"date": self.now.strftime(_HTTP_DATE), "content-type": "application/xml"}
        status = self.failures.pop(0) if self.failures else 200
        if status not in {0, 200}:
            if self.retry_after is not None:
                headers["retry-after"] = self.retry_after
            body = f"<?xml version='1.0'?><Error><Code>Fault{status}</Code><Message>Told to.</Message></Error>"
            return abs(status), headers, body.encode()
        page = self._page(asked.query.get("prefix", ""), asked.query.get("marker", "")).encode()
        return 200, headers, page if status else page[: len(page) * 2 // 3]

    def _page(self, prefix: str, marker: str) -> str:
        # A name below a sub-folder is listed as the sub-folder only.
        levels = {prefix + head + slash for head, slash in _heads(self.blobs, prefix)}
        entries = sorted(level for level in levels if level >= marker)
        shown, rest = entries[: self.page_size], entries[self.page_size :]
        # A name that ends in a slash is a sub-folder, except the folder's own name.
        parts = [
            self._entry(name) if name in self.blobs and name.removeprefix(prefix)[-1:] != "/" else _prefix(name)
            for name in shown
        ]
        following = f"<NextMarker>{escape(rest[0])}</NextMarker>" if rest else "<NextMarker />"
        return (
            "<?xml version='1.0' encoding='utf-8'?><EnumerationResults>"
            f"<Blobs>{''.join(parts)}</Blobs>{following}</EnumerationResults>"
        )

    def _entry(self, name: str) -> str:
        blob = self.blobs[name]
        modified = blob.modified.strftime(_HTTP_DATE)
        return (
            f"<Blob><Name>{escape(name)}</Name><Properties><Creation-Time>{modified}</Creation-Time>"
            f"<Last-Modified>{modified}</Last-Modified><Etag>{blob.etag}</Etag>"
            f"<Content-Length>{blob.size}</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
        )


def _heads(names: Any, prefix: str) -> Any:
    for name in names:
        if name.startswith(prefix):
            head, slash, _ = name.removeprefix(prefix).partition("/")
            yield head, slash


def _prefix(name: str) -> str:
    return f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>"


class ContainerServer:
    """Serves fake containers at ``URL/account/container``.

    Attributes:
        url: The account's address.
        containers: By name.
    """

    def __init__(self) -> None:
        self.containers: dict[str, FakeContainer] = {}
        handler = type("Handler", (_Handler,), {"server_of": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/account"

    def container(self, name: str) -> FakeContainer:
        return self.containers.setdefault(name, FakeContainer())

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server_of: ContainerServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        container = self.server_of.containers.get(parts.path.rpartition("/")[2])
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(parts.path, dict(parse_qsl(parts.query)), headers)
        status, answer, body = container.answer(asked) if container is not None else (404, {}, b"")
        # Not send_response(), which adds the machine's date.
        self.send_response_only(status)
        for name, value in answer.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        pass


@contextlib.contextmanager
def connected_container(monkeypatch):
    """A container that lists what the test writes, and the connection that leads to it; nobody serves the workspace."""
    with ContainerServer() as server:
        names = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w", "region": "westeurope"}
        extra = names | {"auth_method": "static_token", "blob_endpoint": server.url}
        connection = {"conn_type": "azureml", "password": "static-token", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        container = server.container("landing")
        container.url = f"{server.url}/landing"
        yield container
