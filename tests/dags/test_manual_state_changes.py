"""A manual state change of a task that Airflow does not notify: Airflow's API server cancels its run (since 3.3)."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow import settings
from airflow.utils.state import TaskInstanceState
from sqlalchemy import text

from aml_provider.compat import AIRFLOW_V_3_3_PLUS

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has a task state store since 3.3")


@pytest.mark.parametrize("before", ["running", "deferred"])
@pytest.mark.parametrize("state", ["success", "failed", "skipped"])
def test_the_run_of_a_task_that_is_changed_manually_is_cancelled(api_server, leave, before, state, caplog):
    left = leave()
    left.show(before)
    with caplog.at_level(logging.INFO):
        left.mark(state)
        api_server.calm()
    assert (left.status, left.reason) == ("Canceled", "a person changed the task's state in Airflow")
    assert (
        f"The state of what_is_left.run of DAG run {left.ti.run_id} was changed manually; the task's run" in caplog.text
    )


@pytest.mark.parametrize("kind", ["v1", "v2"], indirect=True)
def test_a_run_whose_id_is_not_stored_is_found(api_server, leave, kind):
    left = leave()
    left.show("running")
    left.change_record(run_id=None)
    left.mark("failed")
    api_server.calm()
    assert left.status == "Canceled"


def test_a_run_that_must_not_be_cancelled_goes_on(api_server, leave):
    left = leave("what_is_left_alone")
    left.show("running")
    left.mark("failed")
    api_server.calm()
    assert left.status == "Running"


def test_a_task_that_had_ended_before_left_its_run_for_a_reason(api_server, leave):
    left = leave()
    left.show("failed", ended=left.ti.end_date - timedelta(minutes=1))
    left.mark("success")
    api_server.calm()
    assert left.status == "Running"


@pytest.mark.parametrize(
    "fields", [{"finished": True}, {"azureml_conn_id": None}, {"run_id": None, "sent": False}], ids=str
)
def test_what_has_no_run_to_cancel_is_left_alone(api_server, leave, fields):
    left = leave()
    left.show("running")
    left.change_record(**fields)
    left.mark("failed")
    api_server.calm()
    assert left.status == "Running"


def test_a_task_that_ends_by_itself_just_after_its_state_change_was_lost_keeps_its_run(api_server, leave):
    left = leave()
    left.show("running")
    left.mark("failed")
    left.show("failed", ended=datetime.now(UTC) + timedelta(seconds=2))
    api_server.calm()
    assert left.status == "Running"


def test_an_end_by_a_worker_whose_clock_is_ahead_is_not_a_manual_state_change(api_server, leave):
    left = leave()
    left.show("failed", ended=datetime.now(UTC) + timedelta(minutes=1))
    left.mark("success")
    api_server.calm()
    assert left.status == "Running"


def test_a_state_change_that_airflow_rolls_back_cancels_nothing(api_server, leave):
    left = leave()
    left.show("running")
    left.mark("failed")
    left.show("deferred")
    api_server.calm()
    assert left.status == "Running"


def test_a_state_change_that_airflow_shows_late_is_handled(api_server, leave):
    left = leave()
    left.show("running")
    left.mark("failed")
    ended = left.shown().end_date
    left.show("deferred")
    api_server.clock.advance(10)
    api_server.clock.until_asleep()
    left.show("failed", ended)
    api_server.clock.advance(10)
    left.wait_until("Canceled")


def test_a_task_that_ends_by_itself_is_not_changed_manually(api_server, leave):
    left = leave()
    left.show("running")
    left.show("failed")
    api_server.listeners.hook.on_task_instance_failed(
        previous_state=TaskInstanceState.RUNNING, task_instance=left.ti, error="oh no"
    )
    api_server.calm()
    assert left.status == "Running"


def test_a_submission_that_cannot_be_looked_up_is_logged(api_server, leave, workspace, caplog):
    left = leave()
    left.show("running")
    # So long ago that the request cannot be under way any more, which would be waited for.
    left.change_record(run_id=None, submitted_at=time.time() - 3600)
    workspace.faults.add("status", status=403, method="POST", path="*/runs:query", times=50)
    workspace.faults.add("status", status=403, method="GET", path="*/PipelineRuns/Pipeline/*", times=50)
    left.mark("failed")
    api_server.calm()
    assert "was changed manually, but the task's run may still be active" in caplog.text
    assert "403" in caplog.text
    assert left.status == "Running"


def test_a_record_that_only_workers_can_read_is_logged(api_server, leave, caplog):
    left = leave()
    left.show("running")
    left.change_record(instead={"ref": "somewhere"})
    left.mark("failed")
    api_server.calm()
    assert "keeps the submission record where the API server cannot read it" in caplog.text


def test_an_error_in_the_listener_is_logged_and_not_raised(api_server, caplog):
    api_server.listeners.hook.on_task_instance_success(previous_state=None, task_instance="no task instance")
    assert "A manual state change of no task instance could not be handled" in caplog.text


def test_a_process_that_parses_dags_has_no_listener(airflow_db):
    """Any listener makes Airflow reject DAGs with ``end_from_trigger``."""
    from airflow.listeners.listener import get_listener_manager

    get_listener_manager.cache_clear()
    assert not get_listener_manager().has_listeners


@pytest.mark.parametrize("fault", [{"kind": "redirect"}, {"kind": "status", "status": 401}, {"kind": "html"}], ids=str)
def test_a_cancel_that_fails_once_is_tried_again(api_server, leave, workspace, fault):
    left = leave()
    left.show("running")
    workspace.faults.add(**fault, method="DELETE", path="*/PipelineRuns/*", times=1)
    left.mark("failed")
    api_server.calm()
    assert left.status == "Canceled"


def test_a_right_that_is_missing_for_a_moment_is_waited_for(api_server, leave, workspace):
    left = leave()
    left.show("running")
    workspace.faults.add("status", status=403, method="GET", path="*/PipelineRuns/*", times=3)
    left.mark("failed")
    api_server.calm()
    assert left.status == "Canceled"


def check_again(api_server, times):
    for _ in range(times):
        api_server.clock.until_asleep()
        api_server.clock.advance(10)
    api_server.clock.until_asleep()


def test_an_outage_of_airflows_database_is_outlasted(api_server, leave):
    left = leave()
    left.show("running")
    left.mark("failed")
    with database_away():
        check_again(api_server, 12)
        assert left.status == "Running"
    api_server.clock.advance(10)
    left.wait_until("Canceled")


def test_an_outage_that_does_not_end_is_logged(api_server, leave, caplog):
    left = leave()
    left.show("running")
    left.mark("failed")
    with database_away():
        api_server.calm()
    assert "was changed manually, but the task's run may still be active" in caplog.text
    assert left.status == "Running"


@contextmanager
def database_away():
    """Let Airflow's database answer each question about task instances with an operational error."""
    rename = "ALTER TABLE {} RENAME TO {}"
    with settings.engine.begin() as connection:
        connection.execute(text(rename.format("task_instance", "task_instance_away")))
    try:
        yield
    finally:
        with settings.engine.begin() as connection:
            connection.execute(text(rename.format("task_instance_away", "task_instance")))


def test_a_workspace_that_refuses_is_logged(api_server, leave, workspace, caplog):
    left = leave()
    left.show("running")
    workspace.faults.add("status", status=403, method="GET", path="*/PipelineRuns/*", times=50)
    left.mark("failed")
    api_server.calm()
    assert (
        f"what_is_left.run of DAG run {left.ti.run_id} was changed manually, but the task's run may still be active"
        in caplog.text
    )
    assert "403" in caplog.text
    assert left.status == "Running"


def test_a_state_change_in_a_copy_of_the_database_leaves_the_run_of_the_other_airflow_alone(
    api_server, leave, monkeypatch, caplog
):
    left = leave()
    left.show("running")
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "staging")
    left.mark("failed")
    api_server.calm()
    assert left.status == "Running"
    assert (
        "was not cancelled, because it was submitted under another deployment_id than this Airflow's, 'staging'"
        in caplog.text
    )
