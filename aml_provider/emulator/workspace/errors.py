"""Refusals of the workspace, and the envelope in which each service sends them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from aml_provider.emulator.workspace.times import wire_time

_MOST_SHOWN = 100


class ServiceError(Exception):
    """A refusal: HTTP status, top-level code, message and inner code; ``A/B`` is the inner code B within A."""

    def __init__(self, status: int, message: str, *, code: str = "UserError", inner: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.inner = inner


def not_found(what: str) -> ServiceError:
    """The requested item does not exist."""
    return ServiceError(404, f"{what} was not found.", inner="NotFound")


def bad_request(message: str, inner: str = "BadArgument") -> ServiceError:
    """The request itself is wrong."""
    return ServiceError(400, message, inner=inner)


def conflict(message: str) -> ServiceError:
    """The request contradicts what exists, for example a name that is taken."""
    return ServiceError(409, message, inner="Conflict")


def not_json(method: str, content_type: str | None, body: bytes) -> ServiceError | None:
    """The refusal of a request whose body is not declared as JSON; None if the request is fine.

    A page of another site can send a form or plain text without a preflight request, but not JSON.
    """
    if method in ("GET", "HEAD") or (not body and content_type is None):
        return None
    kind = (content_type or "").partition(";")[0].strip().lower()
    # Microsoft's SDK declares most bodies as JSON patches, which they are not.
    if kind in ("application/json", "application/json-patch+json"):
        return None
    problem = f"is {kind[:_MOST_SHOWN]!r}" if kind else "is missing"
    return ServiceError(415, f"The body must be JSON, with Content-Type application/json; that header {problem}.")


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
            # Microsoft's SDK cannot print the exception if this is absent or null.
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


def arm_envelope(error: ServiceError, now: float) -> dict[str, Any]:
    """The envelope of Azure Resource Manager, which has the service's details in a list (azureml-v2-rest 2.2)."""
    inner: Any = None
    for code in reversed((error.inner or "").split("/")):
        inner = {"code": code, "innerError": inner} if inner else {"code": code}
    info = {
        "ComponentName": "managementfrontend",
        "Correlation": _correlation(),
        "Environment": "local",
        "Location": "local",
        "Time": wire_time(now),
        **({"InnerError": inner} if error.inner else {}),
    }
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "target": None,
            "details": [],
            "additionalInfo": [{"type": kind, "info": {"value": value}} for kind, value in info.items()],
        }
    }


def _correlation() -> dict[str, str]:
    return {"operation": uuid.uuid4().hex, "request": uuid.uuid4().hex[:16]}
