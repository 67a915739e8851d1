"""What a value says, in words of JSON and without a path of a module: to compare with after a move."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from aml_provider.client.secret import Secret

#: The key that names the class.
CLASS = "(class)"


def plain(value: Any) -> Any:
    """Describe it."""
    if isinstance(value, Secret):
        return {CLASS: "Secret", "shown": str(value)}
    if isinstance(value, Enum):
        return {CLASS: type(value).__name__, "name": value.name}
    if dataclasses.is_dataclass(value):
        fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {CLASS: type(value).__name__, **fields}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {CLASS: type(value).__name__, **{name: plain(item) for name, item in value._asdict().items()}}
    if isinstance(value, datetime):
        return {CLASS: "datetime", "is": value.isoformat()}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(plain, value))
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def says(now: Any, then: Any) -> bool:
    """Whether a description says all that an earlier one does; it may say more."""
    if isinstance(then, dict) and isinstance(now, dict):
        return all(name in now and says(now[name], value) for name, value in then.items())
    if isinstance(then, list) and isinstance(now, list):
        return len(now) == len(then) and all(map(says, now, then))
    return type(now) is type(then) and bool(now == then)
