"""Values that tasks pass to each other: Airflow's XCom stores them and reads them back unchanged.

All versions of Airflow's serialisation call the two methods of :class:`Portable`, which need nothing of Airflow. By
default Airflow's serialisation would turn the content of a dataclass into plain maps, fail at an enum, change tuples on
one version and times on another, and treat a tag with the name of one of its own keys as an instruction to build an
object.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Self

from aml_provider.client.models import DataPath

# The limit of whole numbers in the databases and message formats between two tasks.
_LONGEST = 2**63


class Portable:
    """A dataclass whose instances pass through Airflow's XCom, without their secrets."""

    __slots__ = ()
    __version__ = 1

    def serialize(self) -> dict[str, Any]:
        """Return the fields as JSON values, for Airflow, which serialises the objects inside them itself."""
        return {item.name: pack(getattr(self, item.name)) for item in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def deserialize(cls, data: Mapping[str, Any], version: int) -> Self:
        """Read what :meth:`serialize` wrote.

        Raises:
            TypeError: A later version of this package wrote it.
        """
        if version > cls.__version__:
            raise TypeError(
                f"{cls.__name__} was written by a later version of airflow-provider-azureml than is installed here"
            )
        known = {item.name for item in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: unpack(value) for name, value in data.items() if name in known})


def pack(value: Any) -> Any:
    """Convert a value to a form that XCom does not change: a value that is not plain becomes a map with one key."""
    if isinstance(value, DataPath):
        return {"data_path": [pack(part) for part in value]}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, tuple):
        return {"tuple": [pack(item) for item in value]}
    if isinstance(value, frozenset):
        return {"set": [pack(item) for item in sorted(value)]}
    if isinstance(value, list) or (
        isinstance(value, Mapping) and any(isinstance(item, (dict, list)) for item in value.values())
    ):
        return {"json": json.dumps(value)}
    if isinstance(value, Mapping):
        return {"pairs": [[pack(key), pack(item)] for key, item in value.items()]}
    return value if _is_plain(value) else {"json": json.dumps(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        # PostgreSQL's JSON cannot hold NUL, and UTF-8 cannot encode a lone surrogate.
        return "\0" not in value and value == value.encode(errors="replace").decode()
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -_LONGEST <= value < _LONGEST


def unpack(value: Any) -> Any:
    """Return the value that :func:`pack` has converted."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    match kind:
        case "data_path":
            return DataPath(*map(unpack, inner))
        case "time":
            return datetime.fromisoformat(inner)
        case "tuple":
            return tuple(map(unpack, inner))
        case "set":
            return frozenset(map(unpack, inner))
        case "pairs":
            return {unpack(key): unpack(item) for key, item in inner}
        case "json":
            return json.loads(inner)
    raise ValueError(f"unknown kind {kind!r}")
