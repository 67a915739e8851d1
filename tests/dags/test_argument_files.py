"""Arguments in files: rendered, then parsed, wherever Airflow renders a task's arguments."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path

import pytest
from support.airflow.run_operator_dags import load_dags


@pytest.fixture
def play(airflow_db, workspace, kind, monkeypatch):
    dags = load_dags(monkeypatch)

    def to_its_end(dag_id):
        dag_run = dags[dag_id].test()
        assert str(dag_run.state) == "success"
        return dag_run

    return to_its_end


def day_of(dag_run):
    return (dag_run.logical_date if hasattr(dag_run, "logical_date") else dag_run.execution_date).date().isoformat()


def path_of(run):
    return run.data_paths["input"].path if run.data_paths else run.job.inputs["input"]["uri"].partition("/paths/")[2]


def shown(dag_run):
    """What Airflow's page *Rendered Templates* has of the task."""
    database = Path(os.environ["AIRFLOW_HOME"], "airflow.db")
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        query = "SELECT rendered_fields FROM rendered_task_instance_fields WHERE dag_id = ? AND run_id = ?"
        ((fields,),) = connection.execute(query, (dag_run.dag_id, dag_run.run_id))
    return json.loads(fields)


@pytest.mark.parametrize("kind", ["v1", "v2"], indirect=True)
@pytest.mark.parametrize("dag_id", ["files", "files_deferred", "files_native", "files_native_deferred"])
def test_files_are_rendered_and_parsed_and_airflow_shows_what_is_in_them(play, workspace, dag_id):
    dag_run = play(dag_id)
    run = workspace.only_run()
    assert run.parameters["count"] == "21"
    assert path_of(run) == f"in/{day_of(dag_run)}"
    assert run.history_tags["task"] == "run"
    assert run.history_tags["text"] == "a 'quoted' text: {{ 1+1 }}"
    fields = shown(dag_run)
    assert fields["parameters"] == {"count": 21}
    assert fields["data_paths"] == {"input": {"datastore": "store", "path": f"in/{day_of(dag_run)}"}}


def test_a_mapped_task_reads_its_files_too(play, workspace):
    dag_run = play("files_mapped")
    found = {run.history_tags["airflow.map_index"]: run for run in workspace.runs()}
    assert {index: run.parameters["count"] for index, run in found.items()} == {"0": "21", "1": "5"}
    assert {path_of(run) for run in found.values()} == {f"in/{day_of(dag_run)}"}


def test_only_a_whole_argument_is_the_name_of_a_file(play, workspace):
    play("files_of_data")
    run = workspace.only_run()
    assert path_of(run) == "in/a.json"
    assert run.history_tags["note"] == "see b.yaml"


def test_a_decorated_function_wins_over_a_file(play, workspace):
    play("files_decorated")
    run = workspace.only_run()
    assert run.parameters["count"] == "21"
    assert run.history_tags["task"] == "function"
    assert "text" in run.history_tags
