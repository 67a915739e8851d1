"""Airflow as a cluster runs it, on this machine, with the local workspace and a local blob storage.

``make cluster`` starts PostgreSQL, Valkey (a Redis), Celery's executor with three workers, two schedulers, two
triggerers, two API servers and a DAG processor. It runs example DAGs to their end, checks them, and prints what ran
where. ``KEEP=1`` leaves everything up until Ctrl-C.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_cluster import AirflowCluster
from azurite import Azurite
from cluster_story import ClusterStory
from local_airflow import free_port
from local_workspace import LocalWorkspace
from postgres import Postgres
from program import Program, shown
from story import CONTAINER
from valkey import Valkey
from visit import prepare

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cluster_story import Row

_ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run the cluster; returns the exit code."""
    program = Program("cluster")
    return program.main(lambda: _run(program))


def _run(program: Program) -> None:
    home = program.home
    with program.services() as (resources, guard):
        azurite = resources.enter_context(Azurite(log=home / "azurite.log"))
        container = azurite.container(CONTAINER)
        workspace = resources.enter_context(
            LocalWorkspace(guard, blob_endpoint=azurite.blob_endpoint, log=home / "workspace.log")
        )
        program.say(f"the local workspace is up at {workspace.url}, its blob storage at {azurite.blob_endpoint}")
        postgres = resources.enter_context(Postgres(guard, log=home / "postgres.log"))
        broker = resources.enter_context(Valkey(guard, port=free_port(), log=home / "valkey.log"))
        program.say("PostgreSQL and Valkey are up")
        airflow = resources.enter_context(
            AirflowCluster(
                guard,
                home,
                dags=_ROOT / "example_dags",
                connections={"azureml_default": workspace.connection()},
                report=program.say,
                broker=broker,
                database_url=postgres.url,
            )
        )
        airflow.wait_for_all()
        program.say(f"Airflow is up at {airflow.url}: {', '.join(sorted(airflow.components))}")
        rows = ClusterStory(airflow, workspace, container, report=program.say).tell()
        _show(rows)
        if program.keep:
            program.wait_for_interrupt(
                "\nEverything is up; a CSV file put into incoming/ starts the next run. Ctrl-C stops it all.\n",
                f"Airflow       {airflow.url}; without a password, everybody is an admin",
                f"Workspace     {workspace.url}",
                f"Blob storage  {azurite.blob_endpoint}/{CONTAINER}",
                f"Logs          {shown(home)}",
                f"\n{prepare(workspace, home)}",
            )
    if not program.keep:
        print(f"Logs         {shown(home)}\nProcesses    all stopped")


def _show(rows: Iterable[Row]) -> None:
    lines = [("DAG", "task", "last worker", "triggerer", "run", "status"), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    print()
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()


if __name__ == "__main__":
    sys.exit(main())
