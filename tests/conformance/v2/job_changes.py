"""Jobs that are submitted again, changed, archived."""

from __future__ import annotations

import pytest
from azure.ai.ml import Input
from azure.ai.ml.exceptions import UserErrorException
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from helpers import FOLDER, inner_code, inputs_of, submit, yaml_job

examines = pytest.mark.examines


@examines("JobOperations.create_or_update")
def test_the_same_request_again_is_accepted(ml, emulator):
    submit(ml)
    assert submit(ml).name == "score-1"
    assert len(emulator.jobs()) == 1


@examines("JobOperations.create_or_update")
def test_another_job_under_an_existing_name_is_refused(ml):
    submit(ml)
    with pytest.raises(HttpResponseError, match="inputs") as raised:
        submit(ml, input_datapath=Input(type="uri_folder", path=f"{FOLDER}other/"))
    assert (raised.value.status_code, inner_code(raised.value)) == (400, "JobPropertyImmutable")
    assert inputs_of(ml.jobs.get("score-1")) == {"input_datapath": FOLDER}


@examines("JobOperations.create_or_update")
def test_every_second_request_can_be_refused(serve):
    _, ml = serve("--quirk", "put_again=400")
    submit(ml)
    with pytest.raises(HttpResponseError) as raised:
        submit(ml)
    assert inner_code(raised.value) == "JobPropertyImmutable"


@examines("JobOperations.create_or_update", "JobOperations.get")
def test_a_job_that_was_read_is_changed_in_run_history(ml, emulator):
    submit(ml)
    job = ml.jobs.get("score-1")
    job.tags["a"], job.properties["k"], job.display_name = "b", "v", "shown"
    changed = ml.jobs.create_or_update(job)
    assert (changed.tags, changed.properties["k"], changed.display_name) == ({"a": "b"}, "v", "shown")
    again = ml.jobs.create_or_update(ml.jobs.get("score-1"), tags={"c": "d"})
    assert again.tags == {"a": "b", "c": "d"}
    assert (len(emulator.requests("PATCH", "/runs/score-1")), len(emulator.requests("PUT", "/jobs/"))) == (2, 1)


@examines("JobOperations.update")
def test_single_fields_are_changed(ml):
    submit(ml)
    ml.jobs.update("score-1", display_name="shown")
    changed = ml.jobs.update("score-1", description="d", tags={"a": "b"}, properties={"k": "v"})
    assert (changed.display_name, changed.tags, changed.properties["k"]) == ("shown", {"a": "b"}, "v")
    with pytest.raises(HttpResponseError, match="cannot be changed: k"):
        ml.jobs.update("score-1", properties={"k": "other"})


@examines("JobOperations.update")
def test_an_update_of_nothing_or_of_a_missing_job(ml):
    with pytest.raises(UserErrorException, match="at least one"):
        ml.jobs.update("score-1")
    with pytest.raises(ResourceNotFoundError):
        ml.jobs.update("nope", display_name="x")


@examines("JobOperations.create_or_update", "JobOperations.get")
@pytest.mark.parametrize("source", ["python", "file"])
def test_a_job_that_was_read_is_submitted_under_another_name(ml, emulator, source):
    first = submit(ml) if source == "python" else ml.jobs.create_or_update(yaml_job())
    job = ml.jobs.get(first.name)
    job.name = "again-1"
    assert ml.jobs.create_or_update(job).name == "again-1"
    assert inputs_of(ml.jobs.get("again-1")) == inputs_of(ml.jobs.get(first.name))
    emulator.advance(60)
    assert ml.jobs.get("again-1").status == "Completed"


@examines("JobOperations.create_or_update")
def test_a_job_does_not_change_its_experiment(ml):
    submit(ml)
    with pytest.raises(HttpResponseError, match=r"cannot change: experimentName\."):
        ml.jobs.create_or_update(ml.jobs.get("score-1"), experiment_name="other")


@examines("JobOperations.archive", "JobOperations.restore", "JobOperations.list")
def test_a_job_is_archived_and_restored(ml):
    submit(ml)
    submit(ml, "score-2")

    def names(view):
        return [item.name for item in ml.jobs.list(list_view_type=view)]

    ml.jobs.archive("score-1")
    assert (names("ActiveOnly"), names("ArchivedOnly")) == (["score-2"], ["score-1"])
    assert names("All") == ["score-2", "score-1"]
    ml.jobs.restore("score-1")
    assert (names("ActiveOnly"), names("ArchivedOnly")) == (["score-2", "score-1"], [])


@examines("JobOperations.archive", "JobOperations.restore")
def test_a_missing_job_is_neither_archived_nor_restored(ml):
    for operation in (ml.jobs.archive, ml.jobs.restore):
        with pytest.raises(ResourceNotFoundError, match="nope"):
            operation("nope")
