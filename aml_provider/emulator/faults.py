"""Faults that are put in front of the workspace on purpose."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("broken_json", "delay", "drop", "refuse", "status")
_TYPES: Mapping[str, tuple[type, ...]] = {
    "kind": (str,),
    "method": (str,),
    "path": (str,),
    "times": (int,),
    "status": (int,),
    "retry_after": (str, int, float, type(None)),
    "after_commit": (bool,),
    "seconds": (int, float),
}


@dataclass(slots=True)
class Fault:
    """One fault and the requests it meets.

    Attributes:
        kind: ``drop`` does what was asked and closes the connection without a reply; ``refuse`` closes it before
            anything is done; ``delay`` waits ``seconds`` of real time first; ``status`` answers ``status`` instead;
            ``broken_json`` cuts the reply's body in half.
        method: The method it meets, or ``*``.
        path: A glob for the whole path, without the query.
        times: How many requests it still meets.
        status: What ``status`` answers.
        retry_after: The ``Retry-After`` header of ``status``, seconds or an HTTP date.
        after_commit: ``status`` does what was asked before it answers.
        seconds: How long ``delay`` waits.
    """

    kind: str
    method: str = "*"
    path: str = "*"
    times: int = 1
    status: int = 503
    retry_after: str | float | None = None
    after_commit: bool = False
    seconds: float = 0.0
    id: int = 0

    def meets(self, method: str, path: str) -> bool:
        """Whether the fault applies to such a request."""
        return self.times > 0 and self.method.upper() in ("*", method) and fnmatchcase(path, self.path)


class Faults:
    """The faults that wait for requests, first added first served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._last_id = 0

    def add(self, kind: str, **details: Any) -> Fault:
        """Add a fault; the details are the fields of ``Fault``.

        Raises:
            ValueError: An unknown kind or detail.
        """
        return self.add_mapping({"kind": kind, **details})

    def add_mapping(self, values: Mapping[str, Any]) -> Fault:
        """Add a fault from a JSON object.

        Raises:
            ValueError: An unknown kind or detail, or a value of the wrong type.
        """
        if unknown := values.keys() - _TYPES.keys():
            raise ValueError(f"unknown {', '.join(sorted(unknown))}; known are {', '.join(_TYPES)}")
        if wrong := [name for name, value in values.items() if not isinstance(value, _TYPES[name])]:
            raise ValueError(f"wrong type of {', '.join(wrong)}")
        if values.get("kind") not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        with self._lock:
            self._last_id += 1
            fault = Fault(**values, id=self._last_id)
            self._faults.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that meets this request, counted down."""
        with self._lock:
            for fault in self._faults:
                if fault.meets(method, path):
                    fault.times -= 1
                    return fault
        return None

    def pending(self) -> list[dict[str, Any]]:
        """The faults that still wait, as JSON objects."""
        with self._lock:
            return [asdict(fault) for fault in self._faults if fault.times > 0]

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()
