"""``@task.azureml_pipeline`` in whole DAGs, on the Airflow at hand: deferred, mapped, retried, cleared."""

from __future__ import annotations

import itertools
import json

import pytest
from support.airflow.moved import DagSerialization
from support.airflow.played_dag import PlayedDag
from support.airflow.run_operator_dags import load_dags

SHAPES = pytest.mark.parametrize(
    ("shape", "kind"), [("sync", "v1"), ("deferred", "v1"), ("deferred", "v2")], indirect=["kind"]
)


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """The calls of the functions, each with task, map index and try."""
    path = tmp_path / "calls"
    monkeypatch.setenv("CALLS", str(path))
    monkeypatch.setenv("COUNTS", "1 2")
    return lambda: path.read_text().splitlines()


@pytest.fixture
def play(airflow_db, monkeypatch, kind, calls):
    dags = load_dags(monkeypatch)
    return lambda dag_id: PlayedDag(dags[dag_id]).play()


def path_of(run):
    return run.data_paths["input"].path if run.data_paths else run.job.inputs["input"]["uri"].partition("/paths/")[2]


def ends(workspace):
    """How each run ended, in the order of submission; no two of them were ever active at the same time."""
    runs = sorted(workspace.runs(), key=lambda run: run.created)
    views = [workspace.state.view(run) for run in runs]
    for before, after in itertools.pairwise(zip(runs, views, strict=True)):
        assert before[1].ended <= after[0].created
    return [view.status for view in views]


@SHAPES
def test_a_run_has_what_the_function_returned(play, workspace, calls, shape):
    played = play(f"decorated_{shape}")
    assert played.states == {-1: "success"}
    run = workspace.only_run()
    assert run.experiment == "exp-run"
    assert run.parameters["count"] == "42"
    day = played.dag_run.logical_date if hasattr(played.dag_run, "logical_date") else played.dag_run.execution_date
    assert path_of(run) == f"run/{day:%Y-%m-%d}/{{{{ 1+1 }}}}.csv"
    assert (run.history_tags["both"], run.history_tags["date"]) == ("function", f"decorated_{shape}")
    # A task that resumes does not call the function again.
    assert calls() == ["run[-1] try 1"]


@SHAPES
def test_a_retry_takes_the_run_over(play, workspace, calls, shape):
    played = play(f"decorated_loses_{shape}")
    assert (played.states, played.tries) == ({-1: "success"}, {-1: 2})
    assert ends(workspace) == ["Finished"]
    assert calls() == ["run[-1] try 1", "run[-1] try 2"]


@SHAPES
def test_a_clear_runs_again(play, workspace, calls, shape):
    played = play(f"decorated_{shape}").clear()
    assert played.states == {-1: "success"}
    assert ends(workspace) == ["Finished", "Finished"]
    assert len(calls()) == 2


@SHAPES
def test_each_mapped_task_has_its_own_run(play, workspace, calls, shape):
    played = play(f"decorated_mapped_{shape}")
    assert played.states == {0: "success", 1: "success"}
    found = {(run.history_tags["airflow.map_index"], run.parameters["count"]) for run in workspace.runs()}
    assert found == {("0", "2"), ("1", "4")}
    assert {path_of(run).split("/")[0] for run in workspace.runs()} == {"run"}
    assert sorted(calls()) == ["run[0] try 1", "run[1] try 1"]


def test_a_cleared_mapped_task_runs_again_with_what_it_gets_then(play, workspace, calls, monkeypatch):
    play("decorated_mapped_deferred").clear()
    assert len(workspace.runs()) == 4
    assert len(calls()) == 4


def test_airflow_stores_the_task_under_its_name_and_with_its_link(airflow_db, monkeypatch):
    dag = load_dags(monkeypatch)["decorated_deferred"]
    stored = json.loads(json.dumps(DagSerialization.serialize_dag(dag)))
    task = DagSerialization.deserialize_dag(stored).get_task("run")
    assert task.operator_name == "@task.azureml_pipeline"
    assert {"op_kwargs", "parameters", "component_name"} <= set(task.template_fields)
    (written,) = stored["tasks"]
    assert "AzureMLPipelineRunLink" in json.dumps(written["__var"]["_operator_extra_links"])
