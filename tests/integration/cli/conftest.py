"""The environment of commands that run in processes of their own."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An Airflow with nothing in it."""
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture
def environment(workspace, home):
    """The environment of a person whose default connection is the local workspace."""
    changed = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
    }
    # In its test mode Airflow logs to standard output when it is loaded; the others decide on colours and width.
    without = {"AIRFLOW__CORE__UNIT_TEST_MODE", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"}
    return {name: value for name, value in (os.environ | changed).items() if name not in without}
