"""Ways in which the real service may differ from what the emulator does by default."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Quirks:
    """One field per quirk; its default is the emulator's normal behaviour.

    Attributes:
        history_lag: Seconds until a new run is found by ``runs:query`` and in its pipeline's list of runs.
        drop_properties: Properties of the submission do not reach the run.
        drop_tags: Tags of the submission do not reach the run.
        int_enums: The pipelines service writes enumerations as numbers, as it did until about 2020.
        page_size: At most so many runs or experiments in one page of run history.
        slow_cancel: Seconds between the request to cancel a run and its end.
    """

    history_lag: float = 0.0
    drop_properties: bool = False
    drop_tags: bool = False
    int_enums: bool = False
    page_size: int = 500
    slow_cancel: float = 0.0

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Quirks:
        """Quirks from ``NAME`` or ``NAME=VALUE``; durations may end in ``s``.

        Raises:
            ValueError: An unknown name or a value that does not fit.
        """
        known: dict[str, type] = {field.name: type(field.default) for field in fields(cls)}
        values: dict[str, Any] = {}
        for text in texts:
            name, has_value, value = text.partition("=")
            if name not in known:
                raise ValueError(f"unknown quirk {name!r}; known are {', '.join(sorted(known))}")
            kind = known[name]
            if (kind is bool) == bool(has_value):
                raise ValueError(f"quirk {name} {'takes no value' if kind is bool else 'needs a value'}")
            values[name] = True if kind is bool else kind(value.removesuffix("s"))
        return cls(**values)
