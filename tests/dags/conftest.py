"""The DAG tests run whole DAGs inside this process, which needs Airflow's database."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag


@pytest.fixture(scope="session", autouse=True)
def airflow_db() -> None:
    """Create Airflow's database, once."""
    from airflow import __version__
    from airflow.utils.db import initdb

    if __version__.startswith("2."):
        # What its tests' configuration names refuses SQLite.
        os.environ["AIRFLOW__CORE__EXECUTOR"] = "SequentialExecutor"

    # On Airflow 2.11 this imports Flask AppBuilder and its relatives, which use what their dependencies deprecated.
    with warnings.catch_warnings(action="ignore"):
        initdb()


@pytest.fixture(scope="session")
def dag_bag(airflow_db: None) -> DagBag:
    """Load the example DAGs; ``dag_bag.dags["name"].test()`` runs one."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag

    return DagBag()
