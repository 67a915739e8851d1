"""The steps of a job, which are children in run history and have no properties on Azure Resource Manager."""

from __future__ import annotations

import pytest
from azure.ai.ml.exceptions import PipelineChildJobError
from azure.core.exceptions import ResourceNotFoundError
from helpers import submit

examines = pytest.mark.examines


def children(ml, **how):
    return {item.display_name: item for item in ml.jobs.list(parent_job_name="score-1", **how)}


@examines("JobOperations.list")
def test_the_children_of_a_finished_job(ml, emulator):
    submit(ml)
    emulator.advance(60)
    found = children(ml)
    assert {name: item.status for name, item in found.items()} == {"read": "Completed", "score": "Completed"}


@examines("JobOperations.list")
def test_the_children_of_a_failed_and_of_a_running_job(ml, emulator):
    submit(ml, component="fails_at_train", version="1")
    emulator.advance(60)
    assert {name: item.status for name, item in children(ml).items()} == {"prepare": "Completed", "train": "Failed"}
    emulator.reset()
    submit(ml, component="long_running", version="1")
    emulator.advance(60)
    assert {name: item.status for name, item in children(ml).items()} == {"warm_up": "Completed", "work": "Running"}


@examines("JobOperations.list")
def test_a_step_is_a_child_from_the_moment_when_it_is_queued(ml, emulator):

    submit(ml)
    assert children(ml) == {}
    emulator.advance(0.5)
    assert list(children(ml)) == ["read"]


@examines("JobOperations.list")
def test_the_number_of_children_can_be_limited(ml, emulator):
    submit(ml)
    emulator.advance(60)
    assert len(children(ml, max_results=1)) == 1


@examines("JobOperations.list", "JobOperations.get")
def test_a_step_is_read_from_run_history(ml, emulator):
    submit(ml)
    emulator.advance(60)
    step = children(ml)["read"]
    found = ml.jobs.get(step.name)
    assert (found.name, found.display_name, found.status) == (step.name, "read", "Completed")
    assert found.properties["azureml.pipelinerunid"] == "score-1"
    assert found.id.endswith(f"/jobs/{step.name}")
    assert list(ml.jobs.list(parent_job_name=step.name)) == []


@examines("JobOperations.stream", "JobOperations.show_services")
def test_a_step_is_not_streamed_and_has_no_services(ml, emulator):
    submit(ml)
    emulator.advance(60)
    step = children(ml)["read"].name
    assert ml.jobs.show_services(step) is None
    with pytest.raises(PipelineChildJobError):
        ml.jobs.stream(step)


@examines("JobOperations.list", "JobOperations.show_services")
def test_the_children_and_services_of_a_missing_job(ml):
    with pytest.raises(ResourceNotFoundError, match="nope"):
        list(ml.jobs.list(parent_job_name="nope"))
    with pytest.raises(ResourceNotFoundError, match="nope"):
        ml.jobs.show_services("nope")
