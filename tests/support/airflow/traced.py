"""Runs DAGs with OpenLineage in a process of its own, since a process reads its plugins and their options once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.configuration import conf

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).parents[2] / "dags" / "lineage"
NEEDS_OPENLINEAGE = pytest.mark.skipif(
    find_spec("openlineage") is None, reason="OpenLineage, which is optional, is not installed"
)
_PROGRAM = """
import sys
from support.airflow.moved import DagBag
from support.airflow.traced import FOLDER

bag = DagBag(str(FOLDER))
assert not bag.import_errors, bag.import_errors
for dag_id in sys.argv[1:]:
    bag.dags[dag_id].test()
"""


class Traced:
    """The events of DAG runs, in the order in which they were sent.

    Args:
        file: The file to which OpenLineage's transport writes.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def all(self) -> list[dict[str, Any]]:
        """All events, also those of DAG runs."""
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def events(self, dag_id: str, kind: str | None = None) -> list[dict[str, Any]]:
        """The events of a DAG's only task; those of the DAG run itself have no dot in their names."""
        return [
            event
            for event in self.all()
            if event["job"]["name"].partition(".")[0] == dag_id
            and "." in event["job"]["name"]
            and kind in {None, event["eventType"]}
        ]

    def last(self, dag_id: str, kind: str) -> dict[str, Any]:
        """The last event of a kind."""
        found = self.events(dag_id, kind)
        assert found, (dag_id, kind, self.file.read_text())
        return found[-1]


def options(file: Path) -> dict[str, str]:
    """The environment in which Airflow writes its lineage to a file."""
    transport = json.dumps({"type": "file", "log_file_path": str(file), "append": True})
    return {
        "AIRFLOW__OPENLINEAGE__TRANSPORT": transport,
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests",
        # A machine that has much else to do.
        "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "300",
    }


def run(file: Path, variables: Mapping[str, str], *dag_ids: str) -> tuple[Traced, str]:
    """Run DAGs one after another, with these environment variables; returns their events and all that was logged."""
    file.touch()
    bundle = {"name": "lineage", "kwargs": {"path": str(FOLDER)}}
    bundle["classpath"] = "airflow.dag_processing.bundles.local.LocalDagBundle"
    environment = {
        **os.environ,
        **options(file),
        **variables,
        # In its tests' configuration each process would have a key of its own, and read no Variable of another.
        "AIRFLOW__CORE__FERNET_KEY": conf.get("core", "fernet_key"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _PROGRAM, *dag_ids],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return Traced(file), done.stdout
