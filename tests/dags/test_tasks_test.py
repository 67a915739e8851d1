"""``airflow tasks test``, the command itself, in a DAG run that Airflow has run: an active run is left alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from airflow.configuration import conf
from support.airflow.played_dag import PlayedDag
from support.airflow.run_operator_dags import FOLDER, load_dags

from aml_provider.compat import AIRFLOW_V_3_0_PLUS


@pytest.fixture
def played(airflow_db, workspace, monkeypatch):
    """A DAG run whose task has ended while its run goes on."""
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(FOLDER))
    monkeypatch.setenv("COUNTS", "1 2")
    return PlayedDag(load_dags(monkeypatch)["what_goes_on"]).play()


def tasks_test(*arguments, dag="what_goes_on"):
    ran = subprocess.run(
        [sys.executable, "-m", "airflow", "tasks", "test", dag, "run", *arguments],
        # In its tests' configuration each process would have a key of its own, and read no Variable of another.
        env=os.environ | {"AIRFLOW__CORE__FERNET_KEY": conf.get("core", "fernet_key")},
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{ran.stdout}\n{ran.stderr}"


def test_a_test_in_an_active_dag_run_leaves_its_run_alone(played, workspace):
    told = tasks_test(played.dag_run.run_id)
    assert "A test neither takes it over" in told, told
    assert workspace.status() in {"NotStarted", "Running"}
    assert "airflow.cancel" not in workspace.only_run().history_tags


def test_a_test_in_a_dag_run_of_its_own_submits(played, workspace):
    told = tasks_test()
    assert len(workspace.runs()) == 2, told
    assert {workspace.status(run.id) for run in workspace.runs()} <= {"NotStarted", "Running"}


def test_a_mistake_in_an_edited_mapped_task_leaves_the_task_its_retries(airflow_db, workspace, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(FOLDER))
    monkeypatch.setenv("COUNTS", "1 2")
    played = PlayedDag(load_dags(monkeypatch)["what_is_edited"]).play()
    monkeypatch.setenv("ON_TIMEOUT", "kill")
    told = tasks_test(played.dag_run.run_id, "--map-index", "0", dag="what_is_edited")
    assert "on_timeout: is 'kill'" in told, told
    # Airflow 2 keeps what a test ends with to itself.
    assert played.states == {0: "up_for_retry" if AIRFLOW_V_3_0_PLUS else "success"}, told
    assert workspace.status() in {"NotStarted", "Running"}
