"""A try obtains its run: it submits, takes over, waits for an earlier run to end, or refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.models.crashes import Crash, Fuse, crashes, outcome
from support.models.service_model import submission_store
from support.models.submissions import POLICY, World

from aml_provider.client.entities import RunState
from aml_provider.client.errors import (
    AuthenticationRefused,
    AzureMLError,
    NotFound,
    PermissionDenied,
    ReplyLost,
    RunCanceled,
    RunStillActive,
    RunUnwatched,
    SubmissionUnknown,
    Throttled,
)
from aml_provider.client.models import DataPath
from aml_provider.client.specs.target import Target
from aml_provider.durable.identity import TaskIdentity


def test_the_first_try_submits_once_and_looks_nothing_up():
    world = World()
    assert world.obtain() == "run-1"
    assert world.service.log == ["POST /PipelineRuns/PipelineSubmit/pipe"]
    assert not world.submission.must_learn
    assert world.known.reads == 1


def test_each_submission_carries_its_key_in_tags_and_properties():
    world = World()
    world.obtain()
    run = world.only_run()
    assert run.tags["airflow.key"] == run.properties["airflow.key"] == world.record.key


def test_a_retry_takes_the_run_over_without_resolving_its_pipeline():
    world = World()
    world.obtain()

    def gone():
        raise NotFound("get published pipeline", status=404)
        yield

    assert world.obtain(find_target=gone) == "run-1"
    assert not world.submission.must_learn
    assert world.known.reads == 0


@pytest.mark.parametrize("refused", [PermissionDenied("get", status=403), AuthenticationRefused("get", status=401)])
@pytest.mark.parametrize("act", [World.close, World.clear, lambda world: None], ids=["closed", "cleared", "active"])
def test_a_run_that_must_not_be_read_for_a_while_is_left_to_a_retry(refused, act):
    world = World()
    world.obtain()
    act(world)
    world.service.refusals = {"GET .*run-1": refused}
    with pytest.raises(RunUnwatched, match=r"run-1.*The run continues; a retry takes it over"):
        world.obtain()
    assert not RunUnwatched.permanent
    assert len(world.service.runs) == 1
    world.service.refusals = {}
    assert world.obtain() == ("run-2" if act is World.clear else "run-1")


def test_a_retry_after_a_failed_run_submits_under_another_key():
    world = World()
    world.obtain()
    first = world.record
    world.end("Failed")
    assert world.obtain() == "run-2"
    second = world.record
    assert (second.generation, second.ordinal) == (first.generation, first.ordinal + 1)
    assert second.key != first.key


def test_a_retry_after_a_cancel_in_the_workspace_submits_no_other_run():
    world = World()
    world.obtain()
    world.end("Canceled")
    with pytest.raises(RunCanceled, match=r"run-1.*clear the task"):
        world.obtain()
    assert RunCanceled.permanent
    world.clear()
    assert world.obtain() == "run-2"


@pytest.mark.parametrize("closed", [True, False])
def test_a_finished_run_counts_for_every_retry(closed):
    world = World()
    world.obtain()
    world.end("Finished")
    if closed:
        world.close()
    world.service.wants = "b"
    assert world.obtain() == "run-1"


def asked_for(path, world, find_target=None):
    """What a try asks for whose data is at this path."""
    order = world.order(find_target)
    return order._replace(request=replace(order.request, data_paths={"in": DataPath("store", path)}))


def obtain(path, world, find_target=None):
    return world.service.drive(world.new_try().obtain(asked_for(path, world, find_target)))


def paths(world):
    """The paths that the latest try knows of the data of its run."""
    return [path.path for path in world.submission.data.data_paths]


@pytest.mark.parametrize("asks", ["first", "second"])
def test_a_finished_run_of_another_request_is_named_in_a_warning(caplog, asks):
    world = World()
    obtain("first", world)
    world.end("Finished")
    caplog.set_level("INFO")
    assert obtain(asks, world) == "run-1"
    (line,) = [record for record in caplog.records if "it is this task's result" in record.message]
    assert line.levelname == ("INFO" if asks == "first" else "WARNING")
    assert ("although this try's request differs" in line.message) == (asks == "second")


def test_the_data_is_that_of_the_run_and_not_of_the_try():
    world = World()
    obtain("first", world)
    assert paths(world) == ["first"]
    world.end("Finished")
    obtain("second", world)
    assert paths(world) == ["first"]
    # A run that ended without success is not accepted.
    world.only_run().status = "Failed"
    assert obtain("third", world) == "run-2"
    assert paths(world) == ["third"]


@pytest.mark.parametrize("status", ["Canceled", "Running"])
def test_the_data_of_a_try_that_fails_because_of_an_earlier_run_is_that_of_the_run(status):
    world = World()
    world.service.cancel_takes = 1000.0
    obtain("first", world)
    world.only_run().status = status
    with pytest.raises((RunCanceled, RunStillActive)):
        obtain("second", world)
    assert paths(world) == ["first"]
    world.service.refusals = {"GET /PipelineRuns": PermissionDenied("get", status=403)}
    with pytest.raises(RunUnwatched):
        obtain("third", world)
    assert paths(world) == ["first"]


def test_a_cancelled_run_that_finished_anyway_has_its_own_data(caplog):
    world = World()
    world.service.cancel_takes = 1000.0
    obtain("first", world)
    flow = world.new_try().obtain(asked_for("second", world))
    # It finishes before the cancel arrives.
    world.service.listener = lambda: world.end("Finished")
    assert world.service.drive(flow) == "run-1"
    assert paths(world) == ["first"]
    assert "although this try's request differs" in caplog.text


def test_where_only_the_request_of_the_try_is_known_its_data_counts_only_if_the_run_had_the_same():
    world = World()
    obtain("first", world)
    world.end("Finished")
    # The record of an ended task has no data.
    world.submission.finish(RunState.FINISHED)
    assert world.record.data is None
    obtain("first", world)
    assert paths(world) == ["first"]
    obtain("second", world)
    assert paths(world) == []


def test_a_job_of_an_earlier_request_has_not_the_data_of_the_later_request():
    world = World(learnt=False, jobs=True)
    world.service.fates, world.service.late_by = ["done late"], 0.1

    def find_target():
        # In the second try, the late job arrives here and finishes.
        world.service.wait(0.2)
        world.end("Finished")
        target = yield from world.find_target()
        return target._replace(data_inputs=(("in", "uri_file"),))

    with pytest.raises(Crash):
        world.service.drive(world.new_try().obtain(asked_for("first", world, find_target)), Fuse(4))
    world.service.wants = "b"
    assert obtain("second", world, find_target) == world.only_run().id
    assert paths(world) == []
    obtain("second", world)
    assert paths(world) == []


def test_a_finished_task_with_other_retries_was_cleared():
    world = World()
    world.obtain()
    world.end("Finished")
    world.close()
    # retries 2 -> 1 and a clear after the first try: max_tries is 1 + 1 again.
    world.identity = world.identity._replace(retries=1)
    world.service.generation += 1
    assert world.obtain() == "run-2"


def test_an_unfinished_task_with_other_retries_is_retried():
    world = World()
    world.obtain()
    world.identity = world.identity._replace(retries=5)
    assert world.obtain() == "run-1"


def test_a_retry_that_asks_for_something_else_waits_for_the_cancelled_run():
    world = World()
    world.service.cancel_takes = 30.0
    world.obtain()
    world.service.wants = "b"
    assert world.obtain() == "run-2"
    assert [run.status for run in world.service.runs] == ["Canceled", "Running"]


def test_a_cancelled_run_that_does_not_end_lets_nothing_begin():
    world = World()
    world.service.cancel_takes = 1000.0
    world.obtain()
    world.service.wants = "b"
    with pytest.raises(RunStillActive):
        world.obtain()
    assert not RunStillActive.permanent
    world.service.wait(2000.0)
    assert world.obtain() == "run-2"


def test_a_cancelled_run_that_finished_anyway_is_the_result():
    world = World()
    world.service.cancel_takes = 1000.0
    world.obtain()
    world.kill()
    flow = world.new_try().obtain(world.order())
    world.service.cancel_takes = 0.0
    world.only_run().status = "Finished"
    assert world.service.drive(flow) == "run-1"


def test_a_run_with_a_cancel_tag_is_never_taken_over():
    world = World()
    world.obtain()
    world.service.cancel_takes = 10.0
    world.kill()
    assert world.obtain() == "run-2"
    assert world.service.runs[0].status == "Canceled"


@pytest.mark.parametrize("status", ["Running", "Finished"])
def test_a_run_that_is_taken_over_goes_by_what_its_try_says_as_long_as_it_is_active(status):
    world = World()
    world.obtain()
    world.only_run().status = status
    assert world.obtain(cancel_older=False, conn_id="other") == "run-1"
    kept = submission_store(world.store).load()
    now = (False, "other") if status == "Running" else (True, "azureml_default")
    assert (kept.cancel_on_kill, kept.azureml_conn_id) == now


def test_a_clear_leaves_the_old_run_alone_if_that_is_wanted():
    world = World()
    world.obtain(cancel_older=False)
    world.clear()
    assert world.obtain(cancel_older=False) == "run-2"
    assert [run.status for run in world.service.runs] == ["Running", "Running"]


@pytest.mark.parametrize("fate", ["done", "done late"])
def test_a_clear_cancels_a_run_whose_submission_was_in_doubt(fate):
    world = World()
    world.service.fates = [fate]
    outcome(lambda: world.obtain(Fuse(4)))
    assert world.store["azureml_submission"]["run_id"] is None
    world.clear()
    world.obtain()
    assert [run.status for run in world.service.runs] == ["Canceled", "Running"]


def test_a_clear_does_not_need_the_old_run_to_exist_any_more():
    world = World()
    world.obtain()
    world.service.runs.clear()
    with pytest.raises(SubmissionUnknown, match=r"run-1.*Clear this task"):
        world.obtain()
    world.clear()
    assert world.obtain() == "run-2"


def test_a_task_that_is_not_durable_submits_with_each_try_and_never_looks_up():
    world = World()
    ways = {"store": None, "evidence": None}
    world.service.fates = ["not done"]
    with pytest.raises(ReplyLost):
        world.obtain(**ways)
    world.obtain(**ways)
    world.end("Failed")
    world.obtain(**ways)
    assert len(world.service.runs) == 2
    assert all("PipelineSubmit" in entry for entry in world.service.log)


def test_a_refused_submission_leaves_no_doubt():
    world = World(learnt=False)
    world.service.fates = ["refused"]
    with pytest.raises(NotFound):
        world.obtain()
    assert world.obtain() == "run-1"
    assert len(world.service.log) == 2


def test_a_submission_that_a_busy_service_refuses_is_sent_again():
    world = World(learnt=False)
    world.service.fates = ["throttled"] * 3
    assert world.obtain() == world.only_run().id
    assert world.service.now() >= 1.8e9 + 45


def test_a_service_that_stays_busy_is_given_up_without_doubt():
    world = World(learnt=False)
    world.service.fates = ["throttled"] * 1000
    with pytest.raises(Throttled):
        world.obtain(policy=POLICY._replace(throttled_budget=600.0))
    assert 1.8e9 + 500 <= world.service.now() <= 1.8e9 + 600
    assert not world.store["azureml_submission"]["sent"]


def test_a_crash_while_waiting_for_a_busy_service_leaves_no_doubt():
    def history(fuse):
        world = World(learnt=False)
        world.service.every_point = True
        world.service.fates = ["throttled", "throttled"]
        outcome(lambda: world.obtain(fuse))
        return world

    pauses = 0
    for _, _, world in crashes(history):
        sent = world.store.get("azureml_submission", {}).get("sent", False)
        pauses += world.service.now() > 1.8e9
        if not sent:
            assert world.obtain() == world.only_run().id
    assert pauses > 3


def test_a_task_that_is_killed_while_the_service_is_busy_submits_nothing():
    world = World(learnt=False)
    world.service.fates = ["throttled"]
    flow = world.new_try().obtain(world.order())
    world.service.listener = world.submission.stop
    with pytest.raises(AzureMLError, match="being killed"):
        world.service.drive(flow)
    assert not world.service.runs


def test_a_killed_task_submits_nothing_any_more():
    world = World()

    def killed():
        world.submission.stop()
        return Target("pipeline", "pipe", pipeline_id="pipe")
        yield

    with pytest.raises(AzureMLError, match="killed"):
        world.obtain(find_target=killed)
    assert world.service.runs == []
    assert world.obtain() == "run-1"
    assert len(world.service.log) == 1


def test_keys_differ_between_deployments_tasks_generations_and_ordinals():
    identity = TaskIdentity("here", "dag", "run", "task", -1, 2, 2)
    others = [
        identity._replace(deployment="there"),
        identity._replace(dag_id="d"),
        identity._replace(run_id="r"),
        identity._replace(task_id="t"),
        identity._replace(map_index=0),
    ]
    keys = {identity.key("g", 0), identity.key("g", 1), identity.key("h", 0), *(one.key("g", 0) for one in others)}
    assert len(keys) == 8
    assert identity._replace(max_tries=9, retries=1).key("g", 0) == identity.key("g", 0)
