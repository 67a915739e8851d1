"""Faults that are injected in front of the workspace."""

from __future__ import annotations

import math
import threading
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.emulator.clock import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ENVELOPES = ("camel", "pascal")


class _Rule(NamedTuple):
    """The values that a detail can have."""

    description: str
    accepts: Callable[[Any], bool]


def _whole(least: int) -> _Rule:
    description = f"a whole number, {least} or more"
    return _Rule(description, lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least)


def _status(description: str, known: range | frozenset[int]) -> _Rule:
    return _Rule(description, lambda value: isinstance(value, int) and not isinstance(value, bool) and value in known)


def _is_number(value: Any) -> bool:
    # A comparison is false for NaN, and works for whole numbers too large for a float.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_header(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GLOB = _Rule("a text with *, ? and [...]", lambda value: isinstance(value, str))
_HEADER = _Rule("one line of ASCII text", _is_header)
# No client waits longer for a reply.
_MOST_SECONDS = 86400
_SECONDS = _Rule(
    f"a number of seconds from 0 to {_MOST_SECONDS:,}", lambda value: _is_number(value) and value <= _MOST_SECONDS
)
_ANY_STATUS = _status("an HTTP status from 200 to 599", range(200, 600))
# The pattern of the requests that a fault applies to; all kinds have these.
_PATTERN = {**dict.fromkeys(("method", "path", "query", "body"), _GLOB), "times": _whole(1), "after": _whole(0)}
_COMMIT = _Rule("true or false", lambda value: isinstance(value, bool))
_KINDS: Mapping[str, Mapping[str, _Rule]] = {
    "broken_json": {},
    "content_type": {"content_type": _HEADER},
    "cut": {},
    "delay": {"seconds": _SECONDS},
    "drop": {},
    "empty": {},
    "html": {"status": _ANY_STATUS, "after_commit": _COMMIT},
    "malformed_json": {},
    "redirect": {"status": _status("301, 302, 303, 307 or 308", _REDIRECTS), "location": _HEADER},
    "refuse": {},
    "slow": {"seconds": _SECONDS},
    "status": {
        "status": _ANY_STATUS,
        "retry_after": _Rule(
            "seconds, or one line of ASCII text", lambda value: value is None or _is_number(value) or _is_header(value)
        ),
        "after_commit": _COMMIT,
        "envelope": _Rule(
            f"one of {', '.join(ENVELOPES)}", lambda value: isinstance(value, str) and value in ENVELOPES
        ),
    },
}
_DEFAULT_STATUS = {"html": 502, "redirect": 307, "status": 503}

KINDS = tuple(_KINDS)
"""The kinds of faults, in alphabetical order."""


@dataclass(slots=True)
class Fault:
    """One fault, and the requests that it applies to.

    Attributes:
        kind: ``drop`` carries out the request and closes the connection without a reply; ``refuse`` closes it without
            carrying out the request; ``delay`` waits ``seconds`` of real time first; ``status`` answers ``status``
            (503) instead; ``html`` answers a gateway's page with ``status`` (502) instead; ``redirect`` answers
            ``status`` (307) instead. The others carry out the request and corrupt the reply: ``broken_json`` cuts its
            body in half, ``malformed_json`` appends a stray bracket, ``empty`` leaves out the body,
            ``content_type`` names another type, ``cut`` closes the connection in the middle of the body, ``slow`` sends
            the body in small pieces over ``seconds``.
        method: A glob for the method, in capitals.
        path: A glob for the whole path, without the query.
        query: A glob for the query as sent, still encoded.
        body: A glob for the body's text.
        times: How many more requests it applies to.
        after: How many matching requests it lets pass first.
        status: The HTTP status that ``status``, ``html`` and ``redirect`` answer.
        retry_after: The ``Retry-After`` header of ``status``, seconds or an HTTP date.
        after_commit: ``status`` and ``html`` carry out the request before they answer.
        envelope: The casing of the error of ``status``: ``camel`` or ``pascal``; None: the service's casing.
        location: The target of ``redirect``; None: the address of the request itself.
        content_type: The type that ``content_type`` declares.
        seconds: The duration of ``delay`` and ``slow``.
    """

    kind: str
    method: str = "*"
    path: str = "*"
    query: str = "*"
    body: str = "*"
    times: int = 1
    after: int = 0
    status: int | None = None
    retry_after: str | float | None = None
    after_commit: bool = False
    envelope: str | None = None
    location: str | None = None
    content_type: str = "text/html"
    seconds: float = 0.0
    id: int = 0

    def matches(self, method: str, path: str, query: str = "", body: str = "") -> bool:
        """Whether the fault applies to such a request."""
        return (
            self.times > 0
            and fnmatchcase(method, self.method.upper())
            and fnmatchcase(path, self.path)
            and fnmatchcase(query, self.query)
            and fnmatchcase(body, self.body)
        )


class Faults:
    """The pending faults, in the order in which they were added."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._last_id = 0

    def add(self, /, kind: object = None, **details: Any) -> Fault:
        """Add a fault; the details are the fields of ``Fault``.

        Raises:
            ValueError: The kind is unknown, the kind does not have one of the details, or a value is invalid.
        """
        if not isinstance(kind, str) or kind not in _KINDS:
            raise ValueError(f"kind: {shown(kind)} is not one of {', '.join(KINDS)}")
        rules = {**_PATTERN, **_KINDS[kind]}
        for name, value in details.items():
            if name not in rules:
                raise ValueError(f"{shown(name)[1:-1]}: {kind} does not have it; it has {', '.join(rules)}")
            if not rules[name].accepts(value):
                raise ValueError(f"{name}: {shown(value)} is not {rules[name].description}")
        with self._lock:
            self._last_id += 1
            fault = Fault(kind, **{"status": _DEFAULT_STATUS.get(kind), **details}, id=self._last_id)
            self._faults.append(fault)
        return fault

    def take(self, method: str, path: str, query: str = "", body: str = "") -> Fault | None:
        """Find the fault that applies to this request, and count it down."""
        with self._lock:
            for fault in self._faults:
                if not fault.matches(method, path, query, body):
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if fault.times == 0:
                    self._faults.remove(fault)
                return fault
        return None

    def pending(self) -> list[dict[str, Any]]:
        """The pending faults, as JSON objects."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()
