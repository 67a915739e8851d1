"""Experiments."""

from __future__ import annotations

import pytest
from azureml._restclient.exceptions import ServiceException
from azureml.core import Experiment, Run
from azureml.exceptions import UserErrorException
from azureml.pipeline.core import PublishedPipeline
from seeded import SCORE, UNKNOWN

examines = pytest.mark.examines


def names(experiments):
    return sorted(item.name for item in experiments)


@examines(
    "Experiment.id", "Experiment.name", "Experiment.workspace", "Experiment.workspace_object",
    "Experiment.archived_time",
)  # fmt: skip
def test_naming_an_experiment_creates_it(workspace, emulator):
    made = Experiment(workspace, "nightly")
    again = Experiment(workspace, "nightly")
    assert (again.id, again.name, again.workspace.name) == (made.id, "nightly", workspace.name)
    assert made.workspace_object is made.workspace
    assert (len(made.id), made.archived_time) == (36, None)
    assert len(emulator.requests("POST", "/experiments/nightly")) == 1


@examines("Experiment.list", "Workspace.experiments")
def test_experiments_are_listed_once_they_are_created(workspace):
    assert Experiment.list(workspace) == []
    for name in ("nightly", "weekly"):
        Experiment(workspace, name)
    assert names(Experiment.list(workspace)) == ["nightly", "weekly"]
    assert sorted(workspace.experiments) == ["nightly", "weekly"]


@examines("Experiment.list")
def test_list_by_name(workspace):
    for name in ("nightly", "nightly2"):
        Experiment(workspace, name)
    assert names(Experiment.list(workspace, experiment_name="nightly")) == ["nightly"]
    assert Experiment.list(workspace, experiment_name="yearly") == []


@examines("Experiment.list", "Experiment.tag", "Experiment.set_tags")
def test_list_by_tag(workspace):
    Experiment(workspace, "nightly").tag("team", "data")
    Experiment(workspace, "weekly").set_tags({"team": "science", "stage": "final"})
    Experiment(workspace, "yearly")
    assert names(Experiment.list(workspace, tags="team")) == ["nightly", "weekly"]
    assert names(Experiment.list(workspace, tags={"team": "data"})) == ["nightly"]
    assert names(Experiment.list(workspace, tags={"team": "science", "stage": "final"})) == ["weekly"]


@examines("Experiment.tag", "Experiment.set_tags", "Experiment.remove_tags", "Experiment.tags", "Experiment.refresh")
def test_tags_of_an_experiment_are_added_merged_and_removed(workspace):
    experiment = Experiment(workspace, "nightly")
    experiment.tag("team", "data")
    experiment.set_tags({"team": "science", "stage": "final"})
    experiment.refresh()
    assert experiment.tags == {"team": "science", "stage": "final"}
    experiment.remove_tags(["stage"])
    experiment.refresh()
    assert experiment.tags == Experiment(workspace, "nightly").tags == {"team": "science"}


@examines("Experiment.archive", "Experiment.reactivate", "Experiment.list", "Experiment.archived_time")
def test_archive_and_reactivate(workspace):
    experiment = Experiment(workspace, "nightly")
    Experiment(workspace, "weekly")
    experiment.archive()
    assert experiment.archived_time is not None
    assert names(Experiment.list(workspace)) == ["weekly"]
    assert names(Experiment.list(workspace, view_type="ArchivedOnly")) == ["nightly"]
    assert names(Experiment.list(workspace, view_type="All")) == ["nightly", "weekly"]
    experiment.reactivate()
    assert experiment.archived_time is None
    assert names(Experiment.list(workspace)) == ["nightly", "weekly"]


@examines("Experiment.reactivate")
def test_reactivate_cannot_rename(workspace):
    with pytest.raises(UserErrorException, match="rename"):
        Experiment(workspace, "nightly").reactivate(new_name="other")


@examines("Experiment.delete")
def test_delete_of_an_empty_experiment(workspace):
    experiment = Experiment(workspace, "nightly")
    Experiment.delete(workspace, experiment.id)
    assert Experiment.list(workspace, view_type="All") == []
    assert Experiment(workspace, "nightly").id != experiment.id


@examines("Experiment.delete")
def test_delete_waits_for_a_slow_deletion(serve):
    emulator, workspace = serve("--quirk", "slow_delete=40s")
    Experiment.delete(workspace, Experiment(workspace, "nightly").id)
    assert Experiment.list(workspace, view_type="All") == []
    (request,) = emulator.requests("DELETE", "/experimentids/")
    assert request["status"] == 202


@examines("Experiment.delete")
def test_an_experiment_with_runs_is_not_deleted(workspace):
    run = PublishedPipeline.get(workspace, id=SCORE).submit(workspace, "nightly")
    with pytest.raises(ServiceException, match="nightly") as refusal:
        Experiment.delete(workspace, Experiment(workspace, "nightly").id)
    assert 400 <= refusal.value.status_code < 500
    assert Run.get(workspace, run.id).experiment.name == "nightly"


@examines("Experiment.delete")
def test_delete_of_an_unknown_experiment(workspace):
    with pytest.raises(ServiceException, match=UNKNOWN) as refusal:
        Experiment.delete(workspace, UNKNOWN)
    assert refusal.value.status_code == 404


@examines("Experiment.refresh")
def test_refreshing_a_deleted_experiment(workspace):
    experiment = Experiment(workspace, "nightly")
    Experiment.delete(workspace, experiment.id)
    with pytest.raises(ServiceException, match=experiment.id):
        experiment.refresh()


@examines("Experiment.get_portal_url", "Experiment.portal_url")
def test_portal_url(workspace, emulator):
    experiment = Experiment(workspace, "nightly")
    assert experiment.portal_url == emulator.url
    url = experiment.get_portal_url()
    assert url.startswith(f"{emulator.url}/experiments/id/{experiment.id}?wsid=/subscriptions/")


@examines("Experiment.get_runs")
def test_a_new_experiment_has_no_runs(workspace):
    assert list(Experiment(workspace, "nightly").get_runs()) == []


@pytest.mark.parametrize("status", [401, 404, 409])
@examines("Experiment.tag")
def test_a_refusal_reaches_the_user(workspace, emulator, status):
    experiment = Experiment(workspace, "nightly")
    emulator.refuse(status, method="PATCH", path="*/experimentids/*")
    with pytest.raises(ServiceException) as refusal:
        experiment.tag("team", "data")
    assert refusal.value.status_code == status
