"""A manual state change of a task that waits for its next try: Airflow notifies no process; its run must not go on."""

from __future__ import annotations

import pytest

from aml_provider.compat import AIRFLOW_V_3_3_PLUS

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has a task state store since 3.3")


def cleared_on_a_worker_that_dies(left):
    left.show("running")
    left.clear()
    assert left.shown().state == "restarting"


def cleared_on_a_worker_that_airflow_notices_is_dead(left):
    cleared_on_a_worker_that_dies(left)
    left.lose_worker()
    assert left.shown().state == "up_for_retry"


def cleared_on_a_worker_that_was_dead_and_queued_again(left):
    cleared_on_a_worker_that_airflow_notices_is_dead(left)
    left.schedule()


def failed_and_waits_for_its_retry(left):
    left.change_tries(2)
    left.show("running")
    left.fail_to_retry()
    assert left.shown().state == "up_for_retry"


def failed_and_is_queued_for_its_retry(left):
    failed_and_waits_for_its_retry(left)
    left.schedule()


def lost_its_worker_and_waits_for_its_retry(left):
    left.change_tries(2)
    left.show("running")
    left.lose_worker()
    assert left.shown().state == "up_for_retry"


def could_not_be_started_and_waits_for_another_retry(left):
    failed_and_is_queued_for_its_retry(left)
    left.lose_worker()
    assert left.shown().state == "up_for_retry"


def ended_and_was_cleared(left):
    left.clear()
    assert left.shown().state is None


def ended_and_is_queued_after_a_clear(left):
    left.clear()
    left.schedule()


def was_cleared_twice_before_it_began(left):
    ended_and_is_queued_after_a_clear(left)
    left.clear()
    left.schedule()


def was_cleared_while_it_waited_in_a_trigger(left):
    left.show("deferred")
    left.clear()
    assert left.shown().state is None


WAITING = [
    cleared_on_a_worker_that_dies,
    cleared_on_a_worker_that_airflow_notices_is_dead,
    cleared_on_a_worker_that_was_dead_and_queued_again,
    failed_and_waits_for_its_retry,
    failed_and_is_queued_for_its_retry,
    lost_its_worker_and_waits_for_its_retry,
    could_not_be_started_and_waits_for_another_retry,
    ended_and_was_cleared,
    ended_and_is_queued_after_a_clear,
    was_cleared_twice_before_it_began,
    was_cleared_while_it_waited_in_a_trigger,
]


def named(value):
    return value.__name__ if callable(value) else str(value)


@pytest.mark.parametrize("state", ["success", "failed", "skipped"])
@pytest.mark.parametrize("came_to_wait", WAITING[:5], ids=named)
def test_a_state_change_ends_the_run(api_server, leave, came_to_wait, state):
    left = leave()
    came_to_wait(left)
    left.let_an_hour_pass()
    left.mark(state)
    api_server.calm()
    assert (left.status, left.reason) == ("Canceled", "a person changed the task's state in Airflow")


@pytest.mark.parametrize("came_to_wait", WAITING[5:], ids=named)
def test_a_state_change_in_a_rarer_wait_ends_the_run(api_server, leave, came_to_wait):
    left = leave()
    came_to_wait(left)
    left.let_an_hour_pass()
    left.mark("failed")
    api_server.calm()
    assert left.status == "Canceled"


@pytest.mark.parametrize("state", ["success", "failed"])
@pytest.mark.parametrize("came_to_wait", WAITING, ids=named)
def test_a_state_change_of_the_whole_dag_run_ends_the_run(api_server, leave, came_to_wait, state):
    left = leave()
    came_to_wait(left)
    left.run_again()
    left.mark_dag_run(state)
    assert left.shown().state == "skipped"
    api_server.calm()
    assert left.status == "Canceled"


def test_the_run_of_a_task_that_does_not_wait_for_it_is_ended_by_a_state_change_after_a_clear(api_server, leave):
    left = leave("what_goes_on", ends="success")
    left.clear()
    left.mark("success")
    api_server.calm()
    assert left.status == "Canceled"


def retried_and_failed_for_good(left):
    failed_and_is_queued_for_its_retry(left)
    left.begin()
    left.end("failed")


def cleared_tried_again_and_failed(left):
    ended_and_is_queued_after_a_clear(left)
    left.begin()
    left.end("failed")


def could_not_be_started_for_its_last_retry(left):
    left.change_tries(1)
    left.show("running")
    left.fail_to_retry()
    left.schedule()
    left.lose_worker()
    assert left.shown().state == "failed"


def ended(left):
    assert left.shown().state == "failed"


ENDED = [ended, retried_and_failed_for_good, cleared_tried_again_and_failed, could_not_be_started_for_its_last_retry]


@pytest.mark.parametrize("came_to_end", ENDED, ids=named)
def test_a_task_that_has_ended_keeps_its_run_after_a_state_change(api_server, leave, came_to_end):
    left = leave()
    came_to_end(left)
    left.let_an_hour_pass()
    left.mark("success")
    api_server.calm()
    assert left.status == "Running"


@pytest.mark.parametrize("came_to_end", ENDED, ids=named)
def test_a_task_that_has_ended_keeps_its_run_after_a_state_change_of_its_dag_run(api_server, leave, came_to_end):
    left = leave()
    came_to_end(left)
    left.run_again()
    left.mark_dag_run("success")
    assert left.shown().state == "failed"
    api_server.calm()
    assert left.status == "Running"


def test_a_task_that_does_not_wait_for_its_run_keeps_it_after_a_state_change(api_server, leave):
    left = leave("what_goes_on", ends="success")
    left.let_an_hour_pass()
    left.mark("failed")
    api_server.calm()
    assert left.status == "Running"


def test_a_task_that_does_not_wait_for_its_run_keeps_it_while_it_waits_for_a_retry(api_server, leave):
    left = leave("what_goes_on", ends="success")
    left.show("running")
    left.fail_to_retry()
    left.mark("success")
    api_server.calm()
    assert left.status == "Running"


@pytest.mark.parametrize("mark", ["mark", "mark_dag_run"])
@pytest.mark.parametrize("came_to_wait", [cleared_on_a_worker_that_dies, ended_and_is_queued_after_a_clear], ids=named)
def test_a_run_that_must_not_be_cancelled_goes_on(api_server, leave, came_to_wait, mark):
    left = leave("what_is_left_alone")
    came_to_wait(left)
    left.run_again()
    getattr(left, mark)("failed")
    api_server.calm()
    assert left.status == "Running"


def test_after_a_later_clear_the_run_is_left_to_the_next_try(api_server, leave):
    left = leave()
    ended_and_is_queued_after_a_clear(left)
    left.mark("failed")
    left.clear()
    api_server.calm()
    assert left.status == "Running"


def test_a_state_change_of_a_dag_run_that_airflow_shows_late_is_handled(api_server, leave):
    left = leave()
    ended_and_is_queued_after_a_clear(left)
    left.run_again()
    left.mark_dag_run("failed")
    left.run_again()
    api_server.clock.advance(10)
    api_server.clock.until_asleep()
    left.run_again("failed")
    api_server.clock.advance(10)
    left.wait_until("Canceled")


def test_a_state_change_that_deletes_the_record_ends_the_run_too(api_server, leave, monkeypatch):
    monkeypatch.setenv("AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS", "True")
    left = leave()
    left.show("running")
    left.mark("success")
    api_server.calm()
    assert left.record() is None
    assert left.status == "Canceled"


@pytest.mark.parametrize("what", ["mark", "mark_dag_run"])
def test_a_refusal_is_logged(api_server, leave, workspace, caplog, what):
    left = leave()
    ended_and_was_cleared(left)
    workspace.faults.add("status", status=403, method="GET", path="*/PipelineRuns/*", times=50)
    getattr(left, what)("failed")
    api_server.calm()
    assert (
        f"what_is_left.run of DAG run {left.ti.run_id} was changed manually, but the task's run may still be active"
        in caplog.text
    )
    assert left.status == "Running"
