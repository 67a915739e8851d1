"""The log of requests to the workspace, without their secrets."""

from __future__ import annotations

import re
import threading
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MASK = "***"
_SECRET_KEYS = frozenset({"accountkey", "credential", "sastoken", "clientsecret", "certificate", "password", "sig"})
# The object with the secrets of a datastore on Azure Resource Manager, where an account key is just called key.
_SECRETS = "secrets"
# The services refuse bodies that nest deeper.
_MOST_LEVELS, _LEFT_OUT = 100, "…"
_SIGNATURE = re.compile(r"(?i)(\bsig=)[^&\s\"']+")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request. ``query`` holds pairs, because a name may occur twice; ``body`` is JSON, or else a text."""

    n: int = 0
    time: str
    method: str
    path: str
    query: Sequence[Sequence[str]]
    headers: dict[str, str]
    body: Any
    status: int | None
    fault: str | None


class RequestLog:
    """The requests since the log was last cleared. ``status`` is None if no reply was sent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[LoggedRequest] = []
        self._last = 0

    def add(self, request: LoggedRequest) -> None:
        """Add a request, numbered and masked."""
        query = [[name, MASK if name.lower() in _SECRET_KEYS else mask_text(value)] for name, value in request.query]
        headers = {name: _masked_header(name, value) for name, value in request.headers.items()}
        with self._lock:
            self._last += 1
            entry = replace(request, n=self._last, query=query, headers=headers, body=_masked(request.body))
            self._entries.append(entry)

    def find(self, method: str | None = None, path_contains: str | None = None) -> list[dict[str, Any]]:
        """Find requests, oldest first: all, or only those with the method and with the text in their path."""
        with self._lock:
            entries = list(self._entries)
        return [
            asdict(entry)
            for entry in entries
            if (method is None or entry.method == method.upper())
            and (path_contains is None or path_contains in entry.path)
        ]

    def clear(self) -> int:
        """Remove the requests, and return how many there were; numbering continues."""
        with self._lock:
            count = len(self._entries)
            self._entries.clear()
        return count


def mask_text(text: str) -> str:
    """The text with the values of ``sig=`` hidden."""
    return _SIGNATURE.sub(rf"\g<1>{MASK}", text)


def _masked_header(name: str, value: str) -> str:
    if name.lower() in ("authorization", "proxy-authorization"):
        scheme = value.partition(" ")[0]
        return f"Bearer {MASK}" if scheme.lower() == "bearer" else MASK
    hidden = ("cookie", "x-azureml-token", "x-ms-copy-source-authorization")
    return MASK if name.lower() in hidden else mask_text(value)


def _masked(value: Any, levels: int = _MOST_LEVELS) -> Any:
    if isinstance(value, (dict, list)) and levels == 0:
        return _LEFT_OUT
    if isinstance(value, dict):
        return {key: _masked_item(key.lower(), item, levels - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, levels - 1) for item in value]
    return mask_text(value) if isinstance(value, str) else value


def _masked_item(name: str, item: Any, levels: int) -> Any:
    if item is None:
        return None
    if name == _SECRETS and isinstance(item, dict):
        return dict.fromkeys(item, MASK)
    return MASK if name in _SECRET_KEYS or name == _SECRETS else _masked(item, levels)
