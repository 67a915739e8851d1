"""The runs of an experiment, by every filter and page by page."""

from __future__ import annotations

import pytest
from azureml.core import Datastore, Experiment, Run
from azureml.pipeline.core import PublishedPipeline
from helpers import submit
from seeded import FAILS, LONG, SCORE

examines = pytest.mark.examines


def fill(workspace, emulator):
    """Submit a run that finishes, one that fails and one that keeps running; the first two with a tag."""
    runs = {
        "finished": submit(workspace, SCORE),
        "failed": submit(workspace, FAILS),
        "running": submit(workspace, LONG),
    }
    runs["finished"].set_tags({"team": "data", "flag": None})
    runs["failed"].set_tags({"team": "science"})
    runs["finished"].add_properties({"model": "m1"})
    submit(workspace, SCORE, "weekly")
    emulator.advance(60)
    return {name: run.id for name, run in runs.items()}


@pytest.fixture
def runs(workspace, emulator):
    """The ids of three runs by their status."""
    return fill(workspace, emulator)


def named(found, runs):
    """The names of the found runs; for steps, their type."""
    names = {run_id: name for name, run_id in runs.items()}
    return sorted(names.get(run.id, run.type) for run in found)


@examines("Experiment.get_runs", "Run.list")
def test_the_runs_of_an_experiment_without_their_steps(workspace, runs, emulator):
    experiment = Experiment(workspace, "nightly")
    assert named(experiment.get_runs(), runs) == named(Run.list(experiment), runs) == sorted(runs)
    (_, request) = emulator.requests("POST", "runs:query")
    assert request["body"]["filter"] == "(ParentRunId eq null)"


@examines("Experiment.get_runs", "Run.list")
def test_the_newest_run_comes_first(workspace, runs):
    assert next(iter(Experiment(workspace, "nightly").get_runs())).id == runs["running"]


@examines("Experiment.get_runs")
def test_with_steps(workspace, runs):
    found = Experiment(workspace, "nightly").get_runs(include_children=True)
    assert named(found, runs) == sorted([*runs, *["azureml.StepRun"] * 6])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"tags": "team"}, ["failed", "finished"]),
        ({"tags": "flag"}, ["finished"]),
        ({"tags": {"team": "data"}}, ["finished"]),
        ({"tags": {"team": "none"}}, []),
        ({"properties": "model"}, ["finished"]),
        ({"properties": {"model": "m1"}}, ["finished"]),
        ({"properties": {"azureml.pipelineid": LONG}}, ["running"]),
        ({"properties": {"model": "m1"}, "tags": {"team": "science"}}, []),
        ({"type": "azureml.PipelineRun"}, ["failed", "finished", "running"]),
        ({"type": "azureml.StepRun"}, []),
        ({"type": "azureml.StepRun", "include_children": True}, ["azureml.StepRun"] * 6),
    ],
    ids=str,
)
@examines("Experiment.get_runs", "Run.list")
def test_runs_are_filtered_by_tags_and_properties(workspace, runs, wanted, found):
    assert named(Experiment(workspace, "nightly").get_runs(**wanted), runs) == found


@pytest.mark.parametrize(
    ("status", "found"),
    [("Completed", ["finished"]), ("Failed", ["failed"]), ("Running", ["running"]), ("Canceled", [])],
)
@examines("Run.list")
def test_by_status(workspace, runs, status, found):
    assert named(Run.list(Experiment(workspace, "nightly"), status=status), runs) == found


@examines("Run.get_children")
def test_children_by_tag_property_and_type(workspace, runs):
    run = Run.get(workspace, runs["finished"])
    (score,) = run.find_step_run("score")
    score.set_tags({"checked": "yes"})
    assert [item.id for item in run.get_children(tags={"checked": "yes"})] == [score.id]
    assert [item.id for item in run.get_children(tags="checked")] == [score.id]
    node = {"azureml.nodeid": score.get_tags()["azureml.nodeid"]}
    assert [item.id for item in run.get_children(properties=node)] == [score.id]
    assert len(list(run.get_children(type="azureml.StepRun"))) == 2
    assert list(run.get_children(type="azureml.PipelineRun")) == []


@pytest.fixture(scope="module")
def paged(serve):
    """A workspace with pages of two."""
    return serve("--quirk", "page_size=2")


@examines("Experiment.get_runs", "Experiment.list")
def test_pages_are_joined(paged):
    emulator, workspace = paged
    runs = fill(workspace, emulator)
    emulator.forget_requests()
    assert named(Experiment(workspace, "nightly").get_runs(include_children=True), runs) == sorted(
        [*runs, *["azureml.StepRun"] * 6]
    )
    requests = emulator.requests("POST", "runs:query")
    assert len(requests) == 5
    assert [bool(request["body"].get("continuationToken")) for request in requests] == [False, True, True, True, True]
    for name in ("one", "two", "three"):
        Experiment(workspace, name)
    assert {item.name for item in Experiment.list(workspace)} == {"nightly", "weekly", "one", "two", "three"}


@examines("Run.get_children")
def test_pages_of_steps_are_joined(paged):
    emulator, workspace = paged
    pipeline = PublishedPipeline.get(workspace, id=SCORE)
    parent = pipeline.submit(workspace, "nightly")
    children = [pipeline.submit(workspace, "nightly", parent_run_id=parent.id).id for _ in range(3)]
    emulator.advance(60)
    emulator.forget_requests()
    found = list(parent.get_children())
    assert sorted(run.id for run in found if run.type == "azureml.PipelineRun") == sorted(children)
    assert sorted(run.name for run in found if run.type == "azureml.StepRun") == ["read", "score"]
    assert len(emulator.requests("GET", "/children")) == 3


@examines("Workspace.datastores")
def test_pages_of_datastores(paged):
    emulator, workspace = paged
    for name in ("first", "second", "third"):
        Datastore.register_azure_blob_container(workspace, name, "container", "account", account_key="a2V5")
    emulator.forget_requests()
    assert set(workspace.datastores) == {"workspaceblobstore", "workspacefilestore", "first", "second", "third"}
    assert len(emulator.requests("GET", "/datastores")) == 3
