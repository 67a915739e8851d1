"""Looks at a fake container without a network: what many watchers of one folder have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from support.drivers.breaths import answer
from support.services.folder import Asked

from aml_provider.blobs.access import ContainerAccess
from aml_provider.blobs.folder import Folder
from aml_provider.client.errors import ServiceError
from aml_provider.client.http.reply import Reply

if TYPE_CHECKING:
    from support.services.folder import FakeContainer

    from aml_provider.blobs.shared_listing import Look, SharedFolder

FOLDER = Folder.at("https://acc.blob.core.windows.net/landing", "in")
ACCESS = ContainerAccess()


def look_at(shared: SharedFolder, container: FakeContainer) -> Look | None:
    """Look once; None when a page could not be read."""
    flow: Any = shared.look(FOLDER, ACCESS)
    try:
        request = next(flow)
        while True:
            asked = Asked(urlsplit(request.url).path, dict(request.query), {})
            status, headers, body = container.answer(asked)
            request = answer(flow, Reply(status, headers, body, "id"))
    except StopIteration as stop:
        look: Look = stop.value
        return look
    except ServiceError:
        return None
