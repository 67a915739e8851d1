"""A run's steps on a time axis, in percent of its width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aml_provider.emulator.studio.words import duration

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.models import Run
    from aml_provider.emulator.workspace.timeline import RunView, StepView

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_DISTANCES = (
    *(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(minutes * _MINUTE for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 6, 12)),
)
_MOST_TICKS = 6
# A label that begins further right would not fit into the chart.
_LAST_TICK = 92.0
# A step of a second must be visible even in a run of a day.
_NARROWEST = 0.5


@dataclass(frozen=True, slots=True)
class Tick:
    """A tick on the axis: the time since the submission."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A phase of a step: ``Queued``, or its status from the start."""

    status: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Chart:
    """The axis, and the bars of each step."""

    ticks: tuple[Tick, ...]
    steps: tuple[tuple[Bar, ...], ...]


def chart(run: Run, view: RunView, now: float) -> Chart:
    """The steps of a run from its submission to its end, or to ``now``."""
    length = max((now if view.ended is None else view.ended) - run.created, 0.1)
    end = run.created + length

    def bar(status: str, since: float, until: float) -> Bar:
        width = max((until - since) / length * 100, _NARROWEST)
        return Bar(status, round(min((since - run.created) / length * 100, 100 - width), 3), round(width, 3))

    def bars(step: StepView) -> tuple[Bar, ...]:
        found = []
        last = end if step.ended is None else step.ended
        if step.queued is not None and (waited := last if step.started is None else step.started) > step.queued:
            found.append(bar("Queued", step.queued, waited))
        if step.started is not None:
            found.append(bar(step.status, step.started, last))
        return tuple(found)

    return Chart(_ticks(length), tuple(bars(step) for step in view.steps))


def _ticks(length: float) -> tuple[Tick, ...]:
    distance = next((item for item in _DISTANCES if length / item <= _MOST_TICKS), None)
    if distance is None:
        distance = -(-length // (_MOST_TICKS * _DAY)) * _DAY
    count = int(length / distance) + 1
    places = ((number * distance / length * 100, number * distance) for number in range(count))
    return tuple(Tick(round(x, 3), duration(seconds)) for x, seconds in places if x <= _LAST_TICK)
