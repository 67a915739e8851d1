"""What the workspace answers when it refuses, and the envelope each of its services wraps that in."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from aml_provider.emulator.times import wire_time


class ServiceError(Exception):
    """A refusal: HTTP status, top-level code, message and the specific inner code."""

    def __init__(self, status: int, message: str, *, code: str = "UserError", inner: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.inner = inner


def not_found(what: str) -> ServiceError:
    """The thing that was asked for does not exist."""
    return ServiceError(404, f"{what} was not found.", inner="NotFound")


def bad_request(message: str, inner: str = "BadArgument") -> ServiceError:
    """The request itself is wrong."""
    return ServiceError(400, message, inner=inner)


Envelope = Callable[[ServiceError, float], dict[str, Any]]


def pascal_envelope(error: ServiceError, _now: float) -> dict[str, Any]:
    """The envelope of the pipelines service."""
    return {
        "Error": {
            "Code": error.code,
            "Message": error.message,
            "Target": None,
            "Details": [],
            "InnerError": {"Code": error.inner, "InnerError": None} if error.inner else None,
            "DebugInfo": None,
        },
        "Correlation": _correlation(),
    }


def camel_envelope(error: ServiceError, now: float) -> dict[str, Any]:
    """The envelope of run history, datastores and artifacts."""
    return {
        "error": {
            "code": error.code,
            "severity": None,
            "message": error.message,
            "messageFormat": None,
            "messageParameters": {},
            "referenceCode": None,
            "detailsUri": None,
            "target": None,
            # Microsoft's SDK cannot even print the exception when this is absent or null.
            "details": [],
            "innerError": {"code": error.inner, "innerError": None} if error.inner else None,
            "debugInfo": None,
            "additionalInfo": None,
        },
        "correlation": _correlation(),
        "environment": "local",
        "location": "local",
        "time": wire_time(now),
        "componentName": "emulator",
    }


def arm_envelope(error: ServiceError, _now: float) -> dict[str, Any]:
    """The envelope of Azure Resource Manager."""
    return {"error": {"code": error.inner or error.code, "message": error.message}}


def _correlation() -> dict[str, str]:
    return {"operation": uuid.uuid4().hex, "request": uuid.uuid4().hex[:16]}
