"""A submission whose reply was lost: it is looked up, and without proof nothing is submitted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.models.crashes import Crash, Fuse, outcome
from support.models.service_model import submission_store
from support.models.submissions import GRACE, SETTINGS, World

from aml_provider.client.errors import (
    ReplyLost,
    ServerFault,
    SubmissionUnknown,
    SubmissionUnsettled,
)

ELSEWHERE = replace(SETTINGS, workspace_name="other")


@pytest.mark.parametrize("fate", ["done, reply lost", "done late"])
def test_a_lost_reply_is_made_good_in_the_same_try(fate):
    world = World(lag=20.0)
    world.service.fates = [fate]
    assert world.obtain() == world.only_run().id


def test_a_request_that_is_still_on_its_way_when_its_sender_dies_is_waited_for():
    world = World(lag=50.0)
    world.service.fates = ["done late"]
    world.service.late_by = 59.0
    assert isinstance(outcome(lambda: world.obtain(Fuse(4))), Crash)
    assert world.obtain() == world.only_run().id


def test_a_submission_that_was_not_carried_out_is_left_to_a_retry():
    world = World()
    world.service.fates = ["not done"]
    with pytest.raises(ReplyLost):
        world.obtain()
    before = len(world.service.log)
    assert world.obtain() == "run-1"
    assert world.service.log[before:] == ["POST /PipelineRuns/PipelineSubmit/pipe"]


def test_without_evidence_doubt_ends_in_an_error_that_says_how_to_find_the_run():
    world = World(learnt=False)
    world.service.fates = ["not done"]
    with pytest.raises(SubmissionUnknown) as caught:
        world.obtain()
    for fact in (world.record.key, "'exp'", "'w'", "https://", "clear this task", "tag, property, pipeline"):
        assert fact in str(caught.value)
    assert world.service.runs == []


@pytest.mark.parametrize("learnt", [True, False])
def test_a_look_up_that_gets_no_reply_is_left_to_a_retry(learnt):
    world = World(learnt=learnt)
    world.service.fates = ["done, reply lost"]
    world.service.refusals = {"runs:query|Pipeline/pipe": ServerFault("query the runs", status=503)}
    with pytest.raises(SubmissionUnsettled, match="query the runs"):
        world.obtain()
    assert not SubmissionUnsettled.permanent
    world.service.refusals = {}
    assert world.obtain() == "run-1"


def test_what_proves_nothing_does_not_stand_in_for_what_does():
    world = World(drop_tags=True)
    world.service.fates = ["not done"]
    # By property it would be proof, but only the others answer.
    world.shelf[:] = ['{"found": ["property"], "missed": {}}']
    original = world.service._answer

    def answer(call):
        if call.body and "Properties/" in str(call.body.get("filter")):
            raise ServerFault("query", status=503)
        return original(call)

    world.service._answer = answer
    with pytest.raises(SubmissionUnsettled):
        world.obtain()


def test_a_clock_that_is_ahead_ends_the_look_up():
    world = World()
    outcome(lambda: world.obtain(Fuse(3)))
    record = world.store["azureml_submission"]
    record["submitted_at"] += 1e6
    before = world.service.time
    assert world.obtain() == "run-1"
    assert world.service.time - before <= GRACE + 60.0


def test_two_runs_with_one_key_are_logged_and_the_newest_is_taken(caplog):
    world = World()
    world.obtain()
    run = world.only_run()
    twin = type(run)(**vars(run) | {"id": "run-9", "born": run.born})
    world.service.runs.append(twin)
    world.store["azureml_submission"]["run_id"] = None
    assert world.obtain() == "run-9"
    assert "Several runs carry the key" in caplog.text


@pytest.mark.parametrize("jobs", [False, True])
def test_a_doubt_of_one_workspace_is_not_resolved_in_another_one(jobs):
    world = World(jobs=jobs)
    world.obtain()
    assert world.record.workspace == SETTINGS.arm_id.lower()
    submission_store(world.store).save(world.record._replace(run_id=None))
    world.service.runs = []
    with pytest.raises(SubmissionUnknown, match=r"in workspace /subscriptions/s/.*/w, but .* another workspace now"):
        world.obtain(settings=ELSEWHERE)
    assert world.service.runs == []
    world.clear()
    assert world.obtain(settings=ELSEWHERE)
    assert len(world.service.runs) == 1
    assert world.record.workspace == ELSEWHERE.arm_id.lower()


@pytest.mark.parametrize("workspace", [None, SETTINGS.arm_id.lower()])
def test_a_doubt_of_an_earlier_version_or_of_this_workspace_is_resolved_here(workspace):
    world = World(jobs=True)
    world.obtain()
    submission_store(world.store).save(world.record._replace(run_id=None, workspace=workspace))
    capital = replace(SETTINGS, workspace_name="W", resource_group="G")
    assert world.obtain(settings=capital) == world.only_run().id
