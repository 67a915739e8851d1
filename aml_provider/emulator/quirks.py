"""Ways in which the real service may differ from what the emulator does by default."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_CHOICES = {"update_fires": ("changed", "always", "never")}
_TEXTS = {"provisioning_fails": "The schedule could not be provisioned."}


@dataclass(frozen=True, slots=True)
class Quirks:
    """One field per quirk; its default is the emulator's normal behaviour.

    Attributes:
        disable_with_schedules: A pipeline with active schedules can be disabled; they then start nothing.
        history_lag: Seconds until a new run is found by ``runs:query`` and in its pipeline's list of runs.
        drop_properties: Properties of the submission do not reach the run.
        drop_tags: Tags of the submission do not reach the run.
        int_enums: The pipelines service writes enumerations as numbers, as it did until about 2020.
        minute_zero: A recurrence with hours and without minutes fires at minute 0.
        one_run_per_poll: A datastore trigger starts one run for all changed blobs, with the folder as its data path.
        page_size: At most so many runs or experiments in one page of run history.
        provisioning: Seconds that a schedule is being provisioned after each change of it.
        provisioning_fails: Why that fails, if it does.
        slow_cancel: Seconds between the request to cancel a run and its end.
        update_fires: Which updates of an active schedule without a start time start a run at once: those that have
            changed the recurrence, any, or none.
    """

    disable_with_schedules: bool = False
    history_lag: float = 0.0
    drop_properties: bool = False
    drop_tags: bool = False
    int_enums: bool = False
    minute_zero: bool = False
    one_run_per_poll: bool = False
    page_size: int = 500
    provisioning: float = 0.0
    provisioning_fails: str = ""
    slow_cancel: float = 0.0
    update_fires: str = "changed"

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
            values[name] = _value(name, known[name], value if has_value else None)
        return cls(**values)


def _value(name: str, kind: type, text: str | None) -> Any:
    if kind is bool:
        if text is not None:
            raise ValueError(f"quirk {name} takes no value")
        return True
    if text is None and name not in _TEXTS:
        raise ValueError(f"quirk {name} needs a value")
    if kind is not str:
        return kind((text or "").removesuffix("s"))
    if name in _CHOICES and text not in _CHOICES[name]:
        raise ValueError(f"quirk {name} is one of {', '.join(_CHOICES[name])}")
    return text or _TEXTS[name]
