"""Watching a folder in an event loop: a thousand watchers at once, and the first one beside Airflow's own trigger."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from listing import serving
from rows import Row, figure

_CLIENT = Path(__file__).parent / "watching_client.py"
_WATCHERS = 1000
_REPEATS = 5
# A machine may be slow for half a minute: processes of their own, one after the other.
_RUNS = 2


def _measure(what: str, how: str, url: str) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", str(_CLIENT), what, how, url]
    output = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True, timeout=900
    ).stdout
    found: dict[str, float] = json.loads(output.splitlines()[-1])
    return found


def rows() -> list[Row]:
    """The rows with their budgets."""
    print("watching", file=sys.stderr, flush=True)
    with serving() as url:
        # The least: what else a machine does only adds to it.
        several = [_measure("many", str(_WATCHERS), url) for _ in range(_RUNS)]
        many = {name: min(one[name] for one in several) for name in several[0]}
        many["listings"] = max(one["listings"] for one in several)
        first = {way: min(_measure("start", way, url)["stall"] for _ in range(_REPEATS)) for way in ("sensor", "peer")}
    return [
        Row("1,000 watchers of one folder: listings per interval", many["listings"], 1, "", "1,000"),
        Row("1,000 watchers of one folder: CPU for each watcher and poll", many["cpu"], 20, "µs"),
        Row("1,000 watchers of one folder: longest stall of the event loop", many["stall"], None, "ms"),
        Row(
            "the first sensor in a triggerer, until its first poll: longest stall",
            first["sensor"],
            50,
            "ms",
            f"{figure(first['peer'])} ms",
        ),
    ]
