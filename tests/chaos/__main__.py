"""``make chaos``: a seeded storm over a real Airflow, judged by the workspace's own record and the blob writer's."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

# It leads us to our modules; Airflow's processes have no use for them.
os.environ.pop("PYTHONPATH", None)

from chaos import planted
from chaos.judge import judge
from chaos.plan import Plan
from chaos.report import Report
from chaos.scales import SCALES
from chaos.storm import Storm
from processes import ServiceError
from task_log import tail

_HOMES = Path(__file__).resolve().parents[2] / ".cache" / "chaos"


def main() -> int:
    """Run a storm.

    Returns:
        0 if every promise was kept, 1 if not or if the storm was too weak, 2 if it could not be carried out.
    """
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    parser.add_argument("--scale", choices=SCALES, default="small")
    parser.add_argument("--plant", default=None, help="a known bug that is put in, for the oracle's own test")
    arguments = parser.parse_args()
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"SEED={seed} SCALE={arguments.scale}", flush=True)
    # So that a terminated storm leaves nothing behind either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = _HOMES / f"{arguments.scale}-{seed}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    variables = planted.environment(arguments.plant, home) if arguments.plant else {}
    try:
        is_good = _rage(Plan.draw(seed, arguments.scale), home, variables)
    except ServiceError as error:
        print(f"The storm could not be carried out: {error}\n--- {error.log}\n{tail(error.log, 40)}")
        return 2
    if is_good:
        home.joinpath("report.json").rename(home.with_suffix(".json"))
        shutil.rmtree(home)
        return 0
    print(f"\nEverything about it: {home}\nAgain: make chaos SEED={seed} SCALE={arguments.scale}")
    return 1


def _rage(plan: Plan, home: Path, variables: dict[str, str]) -> bool:
    begun = time.monotonic()

    def tell(what: str) -> None:
        print(f"[{time.monotonic() - begun:6.1f} s] {what}", flush=True)

    with Storm(plan, home, tell, variables) as storm:
        storm.rage()
        storm.calm()
        tell("calm")
        report = Report(storm, judge(storm, storm.load), time.monotonic() - begun)
        report.save(home / "report.json")
        for line in report.lines():
            print(line)
    return report.is_good


if __name__ == "__main__":
    sys.exit(main())
