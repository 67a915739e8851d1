"""The JSON objects in the bodies of requests, whose keys can be written in any case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from aml_provider.emulator.workspace.errors import bad_request

T = TypeVar("T")
JsonObject = dict[str, Any]


class Body:
    """A JSON object. Null means the same as absence, and the case of a key does not matter, as in the services.

    Args:
        value: The parsed JSON.
        name: Its name in error messages.

    Raises:
        ServiceError: The value is not a JSON object. Every method raises it for a value of the wrong type.
    """

    def __init__(self, value: object, name: str = "The body") -> None:
        if not isinstance(value, Mapping):
            raise bad_request(f"{name} must be a JSON object.")
        self._values = {str(key).lower(): item for key, item in value.items() if item is not None}

    def __contains__(self, key: str) -> bool:
        """Whether the key has a value."""
        return key.lower() in self._values

    def get(self, key: str) -> Any:
        """The value of a key, unchanged."""
        return self._values.get(key.lower())

    def text(self, key: str) -> str | None:
        """A text."""
        return self._typed(key, str, "a text")

    def scalar(self, key: str) -> str | None:
        """The text of a text, number or boolean."""
        return _scalar(key, self.get(key)) if key in self else None

    def required(self, key: str, inner: str = "BadArgument") -> str:
        """A text that must be present and not empty."""
        text = self.text(key)
        if not text:
            raise bad_request(f"{key} is required.", inner)
        return text

    def flag(self, key: str) -> bool | None:
        """A boolean, or its text."""
        value = self.get(key)
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        return self._typed(key, bool, "true or false")

    def mapping(self, key: str) -> dict[str, Any]:
        """A JSON object with its keys unchanged; empty if absent."""
        return dict(self._typed(key, dict, "a JSON object") or {})

    def texts(self, key: str) -> dict[str, str]:
        """Texts by name. Callers of the REST API send numbers too, which the services store as texts."""
        return {name: text for name, text in self.tags(key).items() if text is not None}

    def tags(self, key: str = "tags") -> dict[str, str | None]:
        """Texts by name; the values can be null."""
        return {
            name: None if value is None else _scalar(f"{name} of {key}", value)
            for name, value in self.mapping(key).items()
        }

    def array(self, key: str) -> list[Any]:
        """A JSON array; empty if absent."""
        return list(self._typed(key, list, "an array") or ())

    def names(self, key: str) -> list[str]:
        """An array of texts."""
        return text_list(self.array(key), key)

    def object(self, key: str) -> Body | None:
        """A JSON object inside this one."""
        return Body(self.get(key), key) if key in self else None

    def objects(self, key: str) -> list[Body]:
        """An array of JSON objects."""
        return [Body(item, f"Each of {key}") for item in self.array(key)]

    def choice(self, key: str, names: Sequence[str]) -> str | None:
        """A value of an enumeration, from its name, or from its number, which older servers and clients use."""
        if key not in self:
            return None
        value = named(self.get(key), names)
        if value not in names:
            raise bad_request(f"{value!r} is not a {key}; use {', '.join(names)}.")
        return str(value)

    def _typed(self, key: str, kind: type[T], what: str) -> T | None:
        value = self.get(key)
        if value is None or isinstance(value, kind):
            return value
        raise bad_request(f"{key} must be {what}.")


def is_deeper(value: object, levels: int) -> bool:
    """Whether objects and arrays are nested deeper than a number of levels."""
    level = [value]
    for _ in range(levels + 1):
        level = [
            item
            for parent in level
            if isinstance(parent, dict | list)
            for item in (parent.values() if isinstance(parent, dict) else parent)
        ]
    return bool(level)


def named(value: Any, names: Sequence[str]) -> Any:
    """The name for a number, which may be given as text; any other value is returned unchanged."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return value
    return {str(number): name for number, name in enumerate(names)}.get(str(value), value)


def text_list(value: object, name: str = "The body") -> list[str]:
    """A value that must be an array of texts.

    Raises:
        ServiceError: The value is something else.
    """
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise bad_request(f"{name} must be an array of texts.")
    return value


def _scalar(name: str, value: object) -> str:
    if isinstance(value, Mapping | list):
        raise bad_request(f"{name} must be a text.")
    return str(value)
