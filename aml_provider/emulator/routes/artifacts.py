"""Log files: where they are, and their content behind signed links."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aml_provider.emulator.errors import ServiceError, not_found
from aml_provider.emulator.routes.http import base_url, reply
from aml_provider.emulator.wire_history import RUN_LOG, STEP_LOG, run_log, step_log

if TYPE_CHECKING:
    from starlette.requests import Request

    from aml_provider.emulator.emulation import Emulation

_CONTENT_INFO = "/artifacts/prefix/contentinfo/{origin}/{container}/{prefix:path}"


class ArtifactRoutes:
    """``/artifacts/prefix/contentinfo`` and the content itself."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace
        self._secret = emulation.content_secret

    def routes(self) -> list[Route]:
        """Under the artifact service."""
        return [Route(_CONTENT_INFO, self.content_info)]

    async def content_info(self, request: Request) -> Response:
        """The files of a run below a prefix, with links."""
        container = request.path_params["container"]
        prefix = request.path_params["prefix"].rstrip("/")
        name, _ = self._file(container)
        value = [
            {
                "contentUri": content_url(request, self._secret, container, path),
                "origin": request.path_params["origin"],
                "container": container,
                "path": path,
            }
            for path in (name,)
            if path.startswith(f"{prefix}/")
        ]
        return reply({"value": value, "continuationToken": None})

    async def content(self, request: Request) -> Response:
        """A file's content. The signature in the link is all that it takes."""
        container, path = request.path_params["container"], request.path_params["path"]
        signature = request.query_params.get("sig", "")
        if not hmac.compare_digest(signature, _signature(self._secret, container, path)):
            raise ServiceError(403, "The signature does not match.", code="AuthenticationFailed")
        name, text = self._file(container)
        if path != name:
            raise not_found(f"Artifact {path} of {container}")
        return PlainTextResponse(text)

    def _file(self, container: str) -> tuple[str, str]:
        run_id = container.removeprefix("dcid.")
        if run_id in self._workspace.runs:
            run = self._workspace.runs[run_id]
            return RUN_LOG, run_log(run, self._workspace.view(run))
        found = self._workspace.step_run(run_id)
        if found is None:
            raise not_found(f"Container {container}")
        run, index = found
        return STEP_LOG, step_log(run, index, self._workspace.view(run))


def content_url(request: Request, secret: bytes, container: str, path: str) -> str:
    """The link to a file, good for whoever has it."""
    signature = _signature(secret, container, path)
    return f"{base_url(request)}/_content/{quote(container)}/{quote(path)}?sv=2021-12-02&sig={signature}"


def _signature(secret: bytes, container: str, path: str) -> str:
    return hmac.new(secret, f"{container}/{path}".encode(), hashlib.sha256).hexdigest()
