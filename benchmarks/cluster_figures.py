"""The figures of thousands of deferred tasks over two triggerers: rows, table and picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import chart
from cluster_counters import Costs, percentile
from rows import Row, figure

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Seconds between two polls, as in the DAGs.
INTERVAL = 30.0
#: Seconds in which costs are counted.
WINDOW = 2 * INTERVAL
#: The triggerers, by their components.
TRIGGERERS = ("triggerer", "triggerer-2")
#: Seconds within which some of the runs end one after the other.
EARLY_SECONDS = 120.0


class Size(NamedTuple):
    """How much is deferred.

    Args:
        runs: Tasks that wait for a run.
        folders: Sensors that watch a folder.
    """

    runs: int
    folders: int

    @property
    def triggers(self) -> int:
        """All of them."""
        return self.runs + self.folders


class Measured(NamedTuple):
    """The costs of waiting at one size.

    Args:
        size: How much was deferred.
        costs: Of one interval.
        shares: How many triggers each triggerer had.
    """

    size: Size
    costs: Costs
    shares: tuple[int, ...]


class Ends(NamedTuple):
    """The figures of the ends of runs.

    Args:
        early: Seconds from the end of a run until its task was no longer deferred, while other runs continued.
        together: The same when all other runs ended at one moment.
        executed: Seconds from the end of a run to the end of its task, of the tasks that a worker resumed.
        requests: Requests to the workspace for each of the runs that ended together, until all were noticed.
    """

    early: list[float]
    together: list[float]
    executed: list[float]
    requests: float


class Found(NamedTuple):
    """All figures.

    Args:
        empty: While nothing was deferred.
        idle: As many triggers that do nothing as there are at the full size.
        growth: This provider's triggers, from the smallest size to the full one.
        kept: Rows of the metadata database that each task keeps that has deferred and waits for a run.
        ends: The ends of the runs.
        stalls: Warnings that an event loop was blocked, other than by a full garbage collection.
        collections: Full garbage collections in the triggerers.
        late: Stalls of an idle event loop in another process.
    """

    empty: Measured
    idle: Measured
    growth: list[Measured]
    kept: dict[str, int]
    ends: Ends
    stalls: int
    collections: int
    late: int


def _tables(kept: Mapping[str, int]) -> str:
    return ", ".join(f"{table} {count}" for table, count in sorted(kept.items()) if count)


def _percent(seconds: float) -> float:
    return seconds / INTERVAL * 100


HEADINGS = (
    "runs",
    "folders",
    "requests to the workspace",
    "listings",
    "CPU of the event loops",
    "CPU of their supervisors",
    "DAG runs examined",
    "other rows written",
    "transactions",
)


def lines(found: Found) -> list[tuple[str, ...]]:
    """The growth as a table; all figures are for one interval, CPU is a share of one processor."""
    named = [
        ("0", "0", found.empty),
        *((f"{item.size.runs:,}", f"{item.size.folders:,}", item) for item in found.growth),
        (f"{found.idle.size.triggers:,} triggers that do nothing", "", found.idle),
    ]
    return [
        (
            runs,
            folders,
            *(figure(round(value)) for value in (item.costs.requests, item.costs.listings)),
            *(f"{figure(_percent(seconds))} %" for seconds in (item.costs.loops, item.costs.supervisors)),
            *(figure(round(value)) for value in (item.costs.examined, item.costs.written, item.costs.commits)),
        )
        for runs, folders, item in named
    ]


def picture(found: Found) -> str:
    """The growth as an SVG document."""

    def line(value: Callable[[Costs], float], *measured: Measured) -> list[tuple[float, float]]:
        return [(item.size.runs, max(value(item.costs), 0.1)) for item in measured]

    idle = found.idle._replace(size=found.growth[-1].size)
    panels = [
        chart.Panel(
            title,
            {"this provider": line(value, *found.growth), "triggers that do nothing": line(value, idle)},
        )
        for title, value in (
            ("CPU of both event loops, % of a processor", lambda costs: _percent(costs.loops)),
            ("CPU of both supervisors, % of a processor", lambda costs: _percent(costs.supervisors)),
        )
    ]
    panels.append(
        chart.Panel(
            "Requests to the workspace in 30 s", {"this provider": line(lambda costs: costs.requests, *found.growth)}
        )
    )
    runs, folders = idle.size
    return chart.draw(panels, f"deferred runs, with {figure(folders / runs)} times as many watched folders")


def rows(found: Found) -> list[Row]:
    """The rows with their budgets."""
    most, idle = found.growth[-1], found.idle.costs
    ends = found.ends
    runs, folders = most.size
    what = f"{runs:,} runs and {folders:,} folders"
    windows = WINDOW / INTERVAL
    # A query for 250 runs, and for each triggerer one for steps, and two records that are read in turn.
    requests = -(-runs // 250) + 1 + 3 * len(TRIGGERERS)
    shown = [
        ("CPU of the event loops, of one processor", _percent(most.costs.loops), _percent(idle.loops), "%"),
        (
            "CPU of their supervisors, of one processor",
            _percent(most.costs.supervisors),
            _percent(idle.supervisors),
            "%",
        ),
        ("DAG runs examined by the scheduler per interval", most.costs.examined, idle.examined, ""),
        ("other rows written per interval", most.costs.written, idle.written, ""),
        ("transactions per interval", most.costs.commits, idle.commits, ""),
    ]
    delays = [
        (f"{len(ends.early):,} runs that end over {EARLY_SECONDS:.0f} s", "is no longer deferred", ends.early),
        (f"{len(ends.together):,} runs that end together", "is no longer deferred", ends.together),
        (f"{len(ends.executed):,} runs whose tasks a worker resumes", "has ended", ends.executed),
    ]
    return [
        # The edges of the window may both fall on a poll.
        Row(
            f"{what}: requests to the workspace per interval",
            most.costs.requests,
            requests * (windows + 1) / windows,
            "",
            figure(runs),
        ),
        Row(f"{what}: listings per interval", most.costs.listings, 1.05 * folders),
        *(
            Row(f"{what}: {name}", value, None, unit, f"{figure(of_idle)} {unit}".rstrip())
            for name, value, of_idle, unit in shown
        ),
        Row(f"rows in the metadata database for each deferred task: {_tables(found.kept)}", sum(found.kept.values())),
        *(
            Row(f"{ending}: from a run's end until its task {until}, {which}", percentile(seconds, share), None, "s")
            for ending, until, seconds in delays
            for which, share in (("median", 0.5), ("99th percentile", 0.99))
        ),
        Row(f"{len(ends.together):,} runs that end together: requests for each run", ends.requests),
        Row(
            "warnings of the triggerers that an event loop was blocked, other than by a full garbage collection",
            found.stalls,
        ),
        Row("full garbage collections in the triggerers", found.collections),
        Row("stalls of an idle event loop in another process, at the same time", found.late),
    ]
