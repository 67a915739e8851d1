"""The run operator in whole DAGs, on the Airflow at hand: its database, its templates, its triggers."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path

import pytest
from support.airflow.dags import variables as variables_with
from support.airflow.run_operator_dags import load_dags

from aml_provider.compat import AIRFLOW_V_3_3_PLUS

LINK_XCOM = "_link_AzureMLPipelineRunLink"


@pytest.fixture(autouse=True)
def little_waiting(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0.3")
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")


@pytest.fixture
def dags(airflow_db, monkeypatch):
    return load_dags(monkeypatch)


def rows(query, *values):
    """Ask Airflow's database, past Airflow: only a task may use its own ways in this process."""
    database = Path(os.environ["AIRFLOW_HOME"], "airflow.db")
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        return connection.execute(query, values).fetchall()


def variables():
    return set(variables_with("azureml_submission_"))


def records(dag_run):
    """What the task state store keeps of a DAG run."""
    found = rows("SELECT map_index, value FROM task_state_store WHERE dag_id = ? AND run_id = ?", *_ids(dag_run))
    return {map_index: json.loads(value) for map_index, value in found}


def _ended(dag_run):
    """What is kept of a task that ended, where there is no task state store."""
    ended = [json.loads(value) for value in variables_with("azureml_ended_").values()]
    ((_, record),) = [runs[dag_run.run_id] for runs in ended if dag_run.run_id in runs]
    return record


def xcom(dag_run, key, map_index=-1):
    found = rows(
        "SELECT value FROM xcom WHERE dag_id = ? AND run_id = ? AND task_id = 'run' AND key = ? AND map_index = ?",
        *_ids(dag_run),
        key,
        map_index,
    )
    return json.loads(found[0][0]) if found else None


def _ids(dag_run):
    return dag_run.dag_id, dag_run.run_id


def succeed(dag):
    dag_run = dag.test()
    states = {f"{ti.task_id}[{ti.map_index}]": str(ti.state) for ti in dag_run.get_task_instances()}
    assert str(dag_run.state) == "success", states
    return dag_run


@pytest.mark.parametrize("shape", ["sync", "deferred"])
def test_a_run_from_templates_to_link_and_record(dags, workspace, shape):
    while_submitting = []
    workspace.state.listeners.append(lambda: while_submitting.append(variables()))
    dag_run = succeed(dags[f"run_{shape}"])
    run = workspace.only_run()
    assert workspace.status() == "Finished"
    assert run.experiment == "exp-run"
    assert run.parameters["count"] == "2"
    assert (run.data_paths["input"].datastore, run.data_paths["input"].path) == ("store", f"in/run_{shape}")
    assert run.history_tags["airflow.dag_id"] == f"run_{shape}"
    assert xcom(dag_run, "return_value") == xcom(dag_run, "azureml_run_id") == run.id
    assert run.id in xcom(dag_run, LINK_XCOM)
    if AIRFLOW_V_3_3_PLUS:
        (record,) = records(dag_run).values()
        assert (record["run_id"], record["finished"]) == (run.id, True)
        assert record["key"] == run.history_tags["airflow.key"]
        assert while_submitting[0] == set()
    else:
        assert len(while_submitting[0]) == 1
        assert _ended(dag_run)["run_id"] == run.id
    assert variables() == set()


@pytest.mark.parametrize("shape", ["sync", "deferred"])
def test_a_retry_takes_over_the_run_whose_reply_was_lost(dags, workspace, shape):
    workspace.faults.add("drop", method="POST", path="*PipelineSubmit*")
    # The first try looks twice in three ways, and gets no answer.
    workspace.faults.add("status", status=503, path="*runs:query", times=4)
    workspace.faults.add("status", status=503, path="*/PipelineRuns/Pipeline/*", times=2)
    dag_run = succeed(dags[f"run_{shape}"])
    assert len(workspace.posts()) == 1
    assert [ti.try_number for ti in dag_run.get_task_instances()] == [2]
    assert xcom(dag_run, "return_value") == workspace.only_run().id
    assert variables() == set()


def test_each_mapped_task_has_its_own_run_and_names_are_not_rendered(dags, workspace):
    dag_run = succeed(dags["run_mapped"])
    by_path = {run.data_paths["input"].path: run for run in workspace.runs()}
    assert set(by_path) == {"in/{{ 1+1 }}.csv", "in/a.csv"}
    for map_index, path in enumerate(["in/{{ 1+1 }}.csv", "in/a.csv"]):
        assert by_path[path].history_tags["airflow.map_index"] == str(map_index)
        assert by_path[path].experiment == "exp-run"
        assert xcom(dag_run, "return_value", map_index) == by_path[path].id
        assert by_path[path].id in xcom(dag_run, LINK_XCOM, map_index)
    if AIRFLOW_V_3_3_PLUS:
        assert {index: record["run_id"] for index, record in records(dag_run).items()} == {
            0: by_path["in/{{ 1+1 }}.csv"].id,
            1: by_path["in/a.csv"].id,
        }
    assert variables() == set()


def test_evidence_and_the_deployment_s_name_are_kept_for_all_tasks(dags, workspace):
    before = variables_with("azureml_evidence_")
    succeed(dags["run_sync"])
    after = variables_with("azureml_evidence_")
    # The workspace of an earlier test of this process may have had the same port, and left its evidence.
    assert set(before) <= set(after)
    assert after
    assert len(after) - len(before) <= 1
    assert len(rows("SELECT key FROM variable WHERE key = 'azureml_deployment_id'")) == 1
    looked = len(workspace.requests("POST", "query"))
    succeed(dags["run_sync"])
    assert len(workspace.requests("POST", "query")) == looked


def test_a_deadline_ends_a_deferred_task_also_where_each_deferral_begins_anew(dags, workspace):
    """As ``dag.test()`` does it: it loses the try's start."""
    dag_run = dags["what_times_out"].test()
    assert [str(ti.state) for ti in dag_run.get_task_instances()] == ["failed"]
    assert workspace.status() == "Canceled"
    assert workspace.only_run().history_tags["airflow.cancel"] == "execution_timeout passed"
