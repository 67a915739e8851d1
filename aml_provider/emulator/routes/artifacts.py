"""Log files: their lists, links and content, with a signature or a token."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aml_provider.emulator.routes.experiments import OF_EXPERIMENT, run_of
from aml_provider.emulator.routes.http import base_url, reply
from aml_provider.emulator.routes.paging import cut
from aml_provider.emulator.workspace.errors import ServiceError, not_found
from aml_provider.emulator.workspace.files import ORIGIN, container_of, file, files
from aml_provider.emulator.workspace.times import wire_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request

    from aml_provider.emulator.emulation import Emulation


_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?", re.ASCII)


class ArtifactRoutes:
    """``/artifacts`` of the artifact service and of run history, and the content of files."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace
        self._secret = emulation.content_secret

    def routes(self) -> list[Route]:
        """Under the artifact service."""
        place = "{origin}/{container}"
        return [
            *self._routes("/artifacts", place),
            Route(f"/artifacts/metadata/{place}/{{path:path}}", self.metadata),
            Route(f"/artifacts/content/{place}/{{path:path}}", self.text),
            Route(f"/artifacts/{place}", self.list),
            Route(f"/artifacts/{place}/{{path:path}}", self.list),
        ]

    def run_routes(self) -> list[Route]:
        """Under the run history service: the files of a run."""
        found = []
        for prefix in (*OF_EXPERIMENT, ""):
            artifacts = f"{prefix}/runs/{{run_id}}/artifacts"
            found += [
                *self._routes(artifacts, ""),
                Route(artifacts, self.list),
                Route(f"{artifacts}/path/{{path:path}}", self.list),
                Route(f"{artifacts}/artifacturi/{{path:path}}", self.uri),
            ]
        return found

    def _routes(self, artifacts: str, place: str) -> Iterable[Route]:
        for kind, handler in (("prefix/contentinfo", self.prefix_info), ("contentinfo", self.info)):
            at = f"{artifacts}/{kind}/{place}".rstrip("/")
            yield Route(f"{at}/{{path:path}}", handler)
            # Some clients send the path in the query.
            yield Route(at, handler)

    async def list(self, request: Request) -> Response:
        """The files of a run or step: all of them, or those below a path."""
        container, paths = self._below(request)
        return self._page(request, [self._artifact(container, path) for path in paths])

    async def prefix_info(self, request: Request) -> Response:
        """The files of a run below a prefix, with links."""
        container, paths = self._below(request)
        return self._page(request, [self._info(request, container, path) for path in paths])

    async def info(self, request: Request) -> Response:
        """One file, with a link."""
        return reply(self._info(request, *self._file(request)))

    async def uri(self, request: Request) -> Response:
        """The link to one file."""
        return reply(content_url(request, self._secret, *self._file(request)))

    async def metadata(self, request: Request) -> Response:
        """One file without a link."""
        return reply(self._artifact(*self._file(request)))

    async def text(self, request: Request) -> Response:
        """The content of a file, for callers of the service."""
        return PlainTextResponse(file(self._workspace, *self._file(request)))

    async def content(self, request: Request) -> Response:
        """The content of a file, for anyone with the signed link."""
        container, path = request.path_params["container"], request.path_params["path"]
        signature = request.query_params.get("sig", "")
        if not hmac.compare_digest(signature.encode(), _signature(self._secret, container, path).encode()):
            raise ServiceError(403, "The signature does not match.", code="AuthenticationFailed")
        return _part(request, file(self._workspace, container, path).encode())

    def _file(self, request: Request) -> tuple[str, str]:
        """The container and path of the file that a request names, which has to exist."""
        container, path = self._container(request), self._path(request)
        file(self._workspace, container, path)
        return container, path

    def _container(self, request: Request) -> str:
        """The container in the path, or that of the run in the path."""
        names = request.path_params
        if "container" in names:
            if names["origin"] != ORIGIN:
                raise not_found(f"Container {names['container']} of {names['origin']}")
            return str(names["container"])
        run_of(self._workspace, request)
        return container_of(names["run_id"])

    def _path(self, request: Request) -> str:
        path = request.path_params.get("path") or request.query_params.get("path") or ""
        return str(path).rstrip("/")

    def _below(self, request: Request) -> tuple[str, Sequence[str]]:
        """The container that a request names, and its files below the prefix."""
        container, prefix = self._container(request), self._path(request)
        found = files(self._workspace, container)
        return container, [path for path in found if not prefix or path == prefix or path.startswith(f"{prefix}/")]

    def _artifact(self, container: str, path: str) -> dict[str, Any]:
        run, index = self._workspace.stored(container.removeprefix("dcid."))
        view = self._workspace.view(run)
        started = view.started if index is None else view.steps[index].started
        return {
            "artifactId": f"{ORIGIN}/{container}/{path}",
            "origin": ORIGIN,
            "container": container,
            "path": path,
            "etag": None,
            "createdTime": wire_time(started or run.created),
            "dataPath": None,
        }

    def _info(self, request: Request, container: str, path: str) -> dict[str, Any]:
        return {
            "contentUri": content_url(request, self._secret, container, path),
            "origin": ORIGIN,
            "container": container,
            "path": path,
        }

    def _page(self, request: Request, found: Sequence[dict[str, Any]]) -> Response:
        token = request.query_params.get("continuationToken")
        return reply(cut(found, token, None, self._workspace.quirks.page_size))


def _part(request: Request, content: bytes) -> Response:
    """The requested range of a file's content; or all of it, as blob storage answers ranges that it cannot read."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None:
        return PlainTextResponse(content)
    first = int(found[1])
    if first >= len(content):
        raise ServiceError(416, "The range specified is invalid for the current size of the resource.")
    part = content[first : int(found[2]) + 1] if found[2] else content[first:]
    headers = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(content)}"}
    return PlainTextResponse(part, status_code=206, headers=headers)


def content_url(request: Request, secret: bytes, container: str, path: str) -> str:
    """The signed link to a file; it needs no token."""
    signature = _signature(secret, container, path)
    return f"{base_url(request)}/_content/{quote(container)}/{quote(path)}?sv=2021-12-02&sig={signature}"


def _signature(secret: bytes, container: str, path: str) -> str:
    return hmac.new(secret, f"{container}/{path}".encode(), hashlib.sha256).hexdigest()
