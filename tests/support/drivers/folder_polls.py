"""Polls a fake container without a network, for several watchers of one folder."""

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

    from aml_provider.blobs.shared_listing import SharedFolder
    from aml_provider.watching.shared import SharedPoll

FOLDER = Folder.at("https://acc.blob.core.windows.net/landing", "in")
ACCESS = ContainerAccess()


def poll_once(shared: SharedFolder, container: FakeContainer) -> SharedPoll | None:
    """Poll once; None if a page could not be read."""
    flow: Any = shared.poll(FOLDER, ACCESS)
    try:
        request = next(flow)
        while True:
            asked = Asked(urlsplit(request.url).path, dict(request.query), {})
            status, headers, body = container.answer(asked)
            request = answer(flow, Reply(status, headers, body, "id"))
    except StopIteration as stop:
        poll: SharedPoll = stop.value
        return poll
    except ServiceError:
        return None
