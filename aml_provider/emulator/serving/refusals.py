"""Refused requests: JSON for programs, a page for people who opened a service's address in a browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.routes.http import reply
from aml_provider.emulator.studio.addresses import wants_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.clock import Clock
    from aml_provider.emulator.studio.documents import Documents
    from aml_provider.emulator.workspace.errors import Envelope, ServiceError


class Refusals:
    """Writes the replies to refused requests. Some envelopes contain the time of the workspace's clock."""

    def __init__(self, clock: Clock, documents: Documents) -> None:
        self._clock = clock
        self._documents = documents

    def reply(self, request: Request, error: ServiceError, envelope: Envelope) -> Response:
        """The reply to a request, in the form that its caller can read."""
        return self._documents.refusal(error) if wants_page(request) else self.json(error, envelope)

    def json(self, error: ServiceError, envelope: Envelope, headers: Mapping[str, str] | None = None) -> Response:
        """The reply as JSON, in a service's envelope."""
        return reply(envelope(error, self._clock.now()), error.status, headers)
