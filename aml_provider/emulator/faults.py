"""Faults that are put in front of the workspace on purpose."""

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
    """What a detail's value must be."""

    says: str
    holds: Callable[[Any], bool]


def _whole(least: int) -> _Rule:
    says = f"a whole number, {least} or more"
    return _Rule(says, lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least)


def _status(says: str, known: range | frozenset[int]) -> _Rule:
    return _Rule(says, lambda value: isinstance(value, int) and not isinstance(value, bool) and value in known)


def _is_number(value: Any) -> bool:
    # A comparison is false for what is no number, and needs no float of a huge whole number.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_header(value: Any) -> bool:
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GLOB = _Rule("a text with *, ? and [...]", lambda value: isinstance(value, str))
_HEADER = _Rule("one line of ASCII text", _is_header)
# A request that waits longer is never answered.
_MOST_SECONDS = 86400
_SECONDS = _Rule(
    f"a number of seconds from 0 to {_MOST_SECONDS:,}", lambda value: _is_number(value) and value <= _MOST_SECONDS
)
_ANY_STATUS = _status("an HTTP status from 200 to 599", range(200, 600))
# Which requests a fault meets; all kinds have these.
_PATTERN: Mapping[str, _Rule] = {
    "method": _GLOB,
    "path": _GLOB,
    "query": _GLOB,
    "body": _GLOB,
    "times": _whole(1),
    "after": _whole(0),
}
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
            "seconds, or one line of ASCII text",
            lambda value: value is None or _is_number(value) or _is_header(value),
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
    """One fault and the requests it meets.

    Attributes:
        kind: ``drop`` does what was asked and closes the connection without a reply; ``refuse`` closes it before
            anything is done; ``delay`` waits ``seconds`` of real time first; ``status`` answers ``status`` (503)
            instead; ``html`` answers a gateway's page with ``status`` (502) instead; ``redirect`` answers ``status``
            (307) without doing anything. The others do what was asked and spoil the reply: ``broken_json`` cuts its
            body in half, ``malformed_json`` puts a bracket too many at its end, ``empty`` leaves the body out,
            ``content_type`` names another type, ``cut`` closes the connection in the middle of the body, ``slow`` lets
            the body trickle in for ``seconds``.
        method: A glob for the method, in capitals.
        path: A glob for the whole path, without the query.
        query: A glob for the query as it was sent, still encoded.
        body: A glob for the body's text.
        times: How many requests it still meets.
        after: How many requests of the pattern it still lets pass before that.
        status: What ``status``, ``html`` and ``redirect`` answer.
        retry_after: The ``Retry-After`` header of ``status``, seconds or an HTTP date.
        after_commit: ``status`` and ``html`` do what was asked before they answer.
        envelope: The casing of the error that ``status`` answers: ``camel`` or ``pascal``; None is the service's own.
        location: Where ``redirect`` leads to; None is the address that was asked.
        content_type: The type that ``content_type`` names.
        seconds: How long ``delay`` waits, how long ``slow`` takes.
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

    def meets(self, method: str, path: str, query: str = "", body: str = "") -> bool:
        """Whether the fault is for such a request."""
        return (
            self.times > 0
            and fnmatchcase(method, self.method.upper())
            and fnmatchcase(path, self.path)
            and fnmatchcase(query, self.query)
            and fnmatchcase(body, self.body)
        )


class Faults:
    """The faults that wait for requests, first added first served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._last_id = 0

    def add(self, kind: str, **details: Any) -> Fault:
        """Add a fault; the details are the fields of ``Fault``.

        Raises:
            ValueError: An unknown kind, a detail that the kind does not have, or a value that does not fit.
        """
        return self.add_mapping({"kind": kind, **details})

    def add_mapping(self, values: Mapping[str, Any]) -> Fault:
        """Add a fault from a JSON object.

        Raises:
            ValueError: An unknown kind, a detail that the kind does not have, or a value that does not fit.
        """
        kind = values.get("kind")
        if not isinstance(kind, str) or kind not in _KINDS:
            raise ValueError(f"kind: {shown(kind)} is none of {', '.join(KINDS)}")
        rules = {**_PATTERN, **_KINDS[kind]}
        for name, value in values.items():
            if name == "kind":
                continue
            if name not in rules:
                raise ValueError(f"{shown(name)[1:-1]}: {kind} does not have it; it has {', '.join(rules)}")
            if not rules[name].holds(value):
                raise ValueError(f"{name}: {shown(value)} is not {rules[name].says}")
        with self._lock:
            self._last_id += 1
            fault = Fault(**{"status": _DEFAULT_STATUS.get(kind), **values}, id=self._last_id)
            self._faults.append(fault)
        return fault

    def take(self, method: str, path: str, query: str = "", body: str = "") -> Fault | None:
        """The fault that meets this request, counted down."""
        with self._lock:
            for fault in self._faults:
                if not fault.meets(method, path, query, body):
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
        """The faults that still wait, as JSON objects."""
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()
