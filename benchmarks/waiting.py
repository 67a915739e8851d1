"""Deferred runs in one event loop: this provider beside a GET for each run and poll, against the same server."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rows import Row, figure

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
WAYS = {
    "shared": "this provider",
    "single": "our client, one GET per run",
    "factory": "Airflow's ADF trigger",
    "threads": "Airflow's ADF hook, in threads",
}
SIZES = (10, 100, 1000, 5000)
_REPEATS = 3
_INTERVALS = 2
# So long that a GET for each run fits in, or a peer would be measured while it is late. Costs are per poll.
_PER_RUN = 0.004


class Cost(NamedTuple):
    """What one way of waiting costs.

    Args:
        way: One of :data:`WAYS`.
        runs: How many were waited for.
        requests: In one interval.
        cpu: Microseconds for each run and poll.
        stall: The longest stall of the event loop while waiting, milliseconds of CPU time.
        starting: The same while all begin to wait, without full garbage collections.
        collections: How many full garbage collections there were meanwhile.
        collecting: The milliseconds of the longest of them.
        memory: MiB, of which the first waiter's imports and client are most at first.
        objects: How many objects the garbage collector scans, of which the same is true.
    """

    way: str
    runs: int
    requests: float
    cpu: float
    stall: float
    starting: float
    collections: float
    collecting: float
    memory: float
    objects: float


@contextmanager
def serving() -> Iterator[str]:
    """Serve the static workspace in a process of its own; its address."""
    command = [sys.executable, "-W", "ignore", str(_HERE / "static_workspace.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.stdin.close()


def _measure(way: str, runs: int, url: str) -> Cost:
    interval = max(2.0, (_PER_RUN if way != "shared" else _PER_RUN / 5) * runs)
    command = [sys.executable, "-W", "ignore", str(_HERE / "waiting_client.py"), way, str(runs), str(interval)]
    output = subprocess.run(
        [*command, str(_INTERVALS), url],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env=os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"},
        timeout=900,
    ).stdout
    found = json.loads(output.splitlines()[-1])
    return Cost(way, runs, *(found[name] for name in Cost._fields[2:]))


def _median(costs: list[Cost]) -> Cost:
    first = costs[0]
    values = {name: statistics.median(getattr(cost, name) for cost in costs) for name in Cost._fields[2:]}
    return first._replace(**values)


def measure() -> list[Cost]:
    """All ways and sizes, in turns, so that a noisy minute meets all of them."""
    found: dict[tuple[str, int], list[Cost]] = {}
    with serving() as url:
        for repeat in range(_REPEATS):
            for runs in SIZES:
                for way in WAYS:
                    if repeat and way != "shared":  # they take minutes, and have no budgets
                        continue
                    print(f"waiting: {way}, {runs} runs ({repeat + 1})", file=sys.stderr, flush=True)
                    found.setdefault((way, runs), []).append(_measure(way, runs, url))
    return [_median(costs) for costs in found.values()]


def rows(costs: list[Cost]) -> list[Row]:
    """The rows with their budgets."""
    by = {(cost.way, cost.runs): cost for cost in costs}
    ours, peer = by["shared", 1000], by["factory", 1000]
    large, small = by["shared", 5000], by["shared", 100]
    return [
        Row("1,000 deferred runs: requests per interval", ours.requests, 7, "", figure(peer.requests)),
        Row("1,000 deferred runs: CPU per run and poll", ours.cpu, 50, "µs", f"{figure(peer.cpu)} µs"),
        Row(
            "1,000 deferred runs: CPU of Airflow's ADF trigger, divided by the CPU of this provider",
            peer.cpu / ours.cpu,
        ),
        Row("5,000 deferred runs: requests per interval", large.requests, 23, "", "5,000"),
        Row("5,000 deferred runs: CPU per run and poll", large.cpu, 50, "µs", f"{figure(by['factory', 5000].cpu)} µs"),
        Row("1,000 deferred runs: longest stall while waiting", ours.stall, 50, "ms", f"{figure(peer.stall)} ms"),
        *(
            Row(
                f"{cost.runs:,} deferred runs: longest stall while all start, without full garbage collections",
                cost.starting,
                50,
                "ms",
                f"{figure(by['factory', cost.runs].starting)} ms",
            )
            for cost in (ours, large)
        ),
        Row(
            "5,000 deferred runs: full garbage collections while all start",
            large.collections,
            None,
            "",
            figure(by["factory", 5000].collections),
        ),
        Row("5,000 deferred runs: longest of these collections", large.collecting, None, "ms"),
        Row(
            "memory for each further deferred run, between 100 and 5,000 runs",
            (large.memory - small.memory) / 4900 * 1024,
            11,
            "KiB",
            f"{figure((by['factory', 5000].memory - by['factory', 100].memory) / 4900 * 1024)} KiB",
        ),
        Row(
            "objects for each further deferred run that the garbage collector scans, between 100 and 5,000 runs",
            (large.objects - small.objects) / 4900,
            30,
            "",
            figure((by["factory", 5000].objects - by["factory", 100].objects) / 4900),
        ),
    ]
