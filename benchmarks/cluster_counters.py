"""What PostgreSQL, the kernel and the servers of a benchmark have counted, and what that is for one interval."""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

# A query for the steps of runs names their ParentRunId.
_POLLED = re.compile(r"\bRunId eq ([\w-]+)")
# Airflow's components write here that they are alive.
_HEARTBEATS = "job"
# Airflow's scheduler writes here when it has examined an active DAG run, of which it takes the next ones in each round.
_DAG_RUNS = "dag_run"


class Writes(NamedTuple):
    """Rows of one table, as PostgreSQL has counted them.

    Args:
        inserted: How many were inserted.
        updated: How many were updated.
        deleted: How many were deleted.
    """

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    @property
    def total(self) -> int:
        """All rows that were written."""
        return sum(self)

    @property
    def kept(self) -> int:
        """By how many rows the table has grown."""
        return self.inserted - self.deleted

    def since(self, earlier: Writes) -> Writes:
        """What was written after an earlier count."""
        return Writes(*(now - before for now, before in zip(self, earlier, strict=True)))


class Counters(NamedTuple):
    """All counts at one instant.

    Args:
        at: The instant, in seconds.
        loops: CPU seconds of the processes in which the triggers run.
        supervisors: CPU seconds of the processes that started them, and that use the metadata database for them.
        commits: Transactions of the metadata database.
        tables: Rows of its tables.
        requests: Requests to the workspace.
        listings: Requests to the blob storage.
    """

    at: float
    loops: float
    supervisors: float
    commits: int
    tables: Mapping[str, Writes]
    requests: int
    listings: int


class Costs(NamedTuple):
    """The costs of one interval, as the mean of a window.

    Args:
        loops: CPU seconds of the processes in which the triggers run.
        supervisors: CPU seconds of their supervisors.
        commits: Transactions of the metadata database.
        tables: Rows that were written, by table; tables without any are left out.
        requests: Requests to the workspace.
        listings: Requests to the blob storage.
    """

    loops: float
    supervisors: float
    commits: float
    tables: Mapping[str, float]
    requests: float
    listings: float

    @property
    def examined(self) -> float:
        """Rows in which the scheduler has written that it has examined a DAG run."""
        return self.tables.get(_DAG_RUNS, 0.0)

    @property
    def written(self) -> float:
        """All other rows that were written in the metadata database, without the heartbeats of components."""
        return sum(rows for table, rows in self.tables.items() if table not in {_HEARTBEATS, _DAG_RUNS})


def costs_of(before: Counters, after: Counters, interval: float) -> Costs:
    """What was spent between two counts, for an interval of this many seconds."""
    share = interval / (after.at - before.at)
    return Costs(
        (after.loops - before.loops) * share,
        (after.supervisors - before.supervisors) * share,
        (after.commits - before.commits) * share,
        {table: writes.total * share for table, writes in written(before.tables, after.tables).items()},
        (after.requests - before.requests) * share,
        (after.listings - before.listings) * share,
    )


def written(before: Mapping[str, Writes], after: Mapping[str, Writes]) -> dict[str, Writes]:
    """What was written between two counts, by table; tables without any are left out."""
    differences = {table: writes.since(before.get(table, Writes())) for table, writes in after.items()}
    return {table: writes for table, writes in differences.items() if writes.total}


def polled(requests: Iterable[Mapping[str, Any]]) -> set[str]:
    """The ids of the runs whose status these requests to the workspace have read."""
    found: set[str] = set()
    for request in requests:
        if request["path"].endswith("runs:query"):
            found.update(_POLLED.findall(request["body"]["filter"]))
        elif "/PipelineRuns/" in request["path"] and request["method"] == "GET":
            found.add(request["path"].rpartition("/")[2])
    return found


def percentile(values: Collection[float], share: float) -> float:
    """The least of the values that is not exceeded by this share of them.

    Args:
        values: At least one.
        share: Between 0 and 1: 0.5 is the median.
    """
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


def cpu_seconds(stat: str, ticks: int = os.sysconf("SC_CLK_TCK")) -> float:
    """The CPU time of a process.

    Args:
        stat: The text of ``/proc/PID/stat``; the name of the program in it may have any characters.
        ticks: The kernel's ticks in a second.
    """
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks
