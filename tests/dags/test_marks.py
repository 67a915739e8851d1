"""A person marks a task of which nobody is there to hear it: Airflow's API server sees to its run (3.3 and later)."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_3_PLUS
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from support.played_dag import PlayedDag
from support.run_operator_dags import load_dags

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="before 3.3 a task's record is where only it finds it")


@pytest.fixture(autouse=True)
def little_waiting(monkeypatch):
    from aml_provider.listeners import marks

    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0.3")
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")
    # A clock of a thread of the API server, which has no other way in.
    monkeypatch.setattr(marks, "_PAUSE", 0.2)


@pytest.fixture
def api_server(monkeypatch):
    """This process stands for an API server, which is told by the module that it is made of."""
    from airflow.listeners.listener import get_listener_manager

    monkeypatch.setitem(sys.modules, "airflow.api_fastapi.main", ModuleType("airflow.api_fastapi.main"))
    get_listener_manager.cache_clear()
    yield
    get_listener_manager.cache_clear()


class Left:
    """A task whose try is gone while its run goes on."""

    def __init__(self, played, workspace):
        self._played = played
        self._workspace = workspace
        (self.ti,) = played.instances()

    @property
    def status(self):
        (run,) = self._workspace.runs()
        return self._workspace.state.view(run).status

    @property
    def reason(self):
        (run,) = self._workspace.runs()
        return run.history_tags.get("airflow.cancel")

    def show(self, state, ended=None):
        """Let Airflow show it in a state."""
        with create_session() as session:
            ti = session.merge(self.ti)
            ti.state = state
            ti.end_date = ended

    def mark(self, state):
        """Do what the API server does for a person's mark."""
        from airflow.api_fastapi.core_api.services.public.task_instances import _emit_state_listener_hooks

        with create_session() as session:
            marked = self._played.scheduler_dag().set_task_instance_state(
                task_id="run", run_id=self.ti.run_id, state=TaskInstanceState(state), commit=True, session=session
            )
            _emit_state_listener_hooks(marked, TaskInstanceState(state))

    def change_record(self, **fields):
        """Change what is stored of its submission."""
        from airflow.state import TaskScope, get_state_backend

        store = get_state_backend()
        scope = TaskScope(dag_id=self.ti.dag_id, run_id=self.ti.run_id, task_id="run", map_index=-1)
        record = json.loads(store.get(scope, "azureml_submission"))
        store.set(scope, "azureml_submission", json.dumps(fields.get("instead", record | fields)))

    def instances(self):
        """The task instance, as Airflow shows it now."""
        return self._played.instances()

    def wait_until(self, status):
        deadline = time.monotonic() + 20
        while self.status != status:
            assert time.monotonic() < deadline, self.status
            time.sleep(0.05)


def calm():
    """Wait until everything that was heard has been seen to."""
    from aml_provider.listeners import marks

    marks._threads().shutdown(wait=True)
    marks._threads.cache_clear()


@pytest.fixture
def leave(airflow_db, api_server, monkeypatch, workspace):
    dags = load_dags(monkeypatch)

    def play(dag_id="what_is_left"):
        # The look at the run fails, and with it the only try.
        workspace.faults.add("status", status=503, method="GET", path="*/PipelineRuns/????????-*", times=50)
        played = PlayedDag(dags[dag_id]).play()
        workspace.faults.clear()
        left = Left(played, workspace)
        assert (str(left.ti.state), left.status) == ("failed", "Running")
        return left

    yield play
    calm()


@pytest.mark.parametrize("before", ["running", "deferred"])
@pytest.mark.parametrize("state", ["success", "failed", "skipped"])
def test_its_run_is_cancelled(leave, before, state, caplog):
    left = leave()
    left.show(before)
    with caplog.at_level(logging.INFO):
        left.mark(state)
        calm()
    assert (left.status, left.reason) == ("Canceled", "the task was marked in Airflow")
    assert f"what_is_left.run of DAG run {left.ti.run_id} was marked; its run" in caplog.text


def test_a_run_that_was_submitted_and_never_seen_is_found(leave):
    left = leave()
    left.show("running")
    left.change_record(run_id=None)
    left.mark("failed")
    calm()
    assert left.status == "Canceled"


def test_a_run_that_must_not_be_cancelled_goes_on(leave):
    left = leave("what_is_left_alone")
    left.show("running")
    left.mark("failed")
    calm()
    assert left.status == "Running"


def test_a_task_that_had_ended_before_left_its_run_for_a_reason(leave):
    left = leave()
    left.show("failed", ended=left.ti.end_date - timedelta(minutes=1))
    left.mark("success")
    calm()
    assert left.status == "Running"


@pytest.mark.parametrize(
    "fields", [{"finished": True}, {"azureml_conn_id": None}, {"run_id": None, "sent": False}], ids=str
)
def test_what_has_no_run_to_cancel_is_left_alone(leave, fields):
    left = leave()
    left.show("running")
    left.change_record(**fields)
    left.mark("failed")
    calm()
    assert left.status == "Running"


def test_a_task_that_ends_by_itself_just_after_its_mark_was_lost_keeps_its_run(leave):
    left = leave()
    left.show("running")
    left.mark("failed")
    left.show("failed", ended=datetime.now(UTC) + timedelta(seconds=2))
    calm()
    assert left.status == "Running"


def test_a_worker_whose_clock_is_ahead_is_no_mark(leave):
    left = leave()
    left.show("failed", ended=datetime.now(UTC) + timedelta(minutes=1))
    left.mark("success")
    calm()
    assert left.status == "Running"


def test_a_mark_that_airflow_forgets_cancels_nothing(leave):
    left = leave()
    left.show("running")
    left.mark("failed")
    left.show("deferred")
    calm()
    assert left.status == "Running"


def test_a_mark_that_airflow_shows_late_is_seen_to(leave):
    left = leave()
    left.show("running")
    left.mark("failed")
    (ended,) = [ti.end_date for ti in left.instances()]
    left.show("deferred")
    time.sleep(0.3)
    left.show("failed", ended)
    left.wait_until("Canceled")


def test_an_end_of_its_own_is_no_mark(leave):
    from airflow.listeners.listener import get_listener_manager

    left = leave()
    left.show("running")
    left.show("failed")
    get_listener_manager().hook.on_task_instance_failed(
        previous_state=TaskInstanceState.RUNNING, task_instance=left.ti, error="oh no"
    )
    calm()
    assert left.status == "Running"


def test_a_submission_that_cannot_be_looked_for_is_told_in_the_log(leave, workspace, caplog):
    left = leave()
    left.show("running")
    left.change_record(run_id=None)
    workspace.faults.add("status", status=403, method="POST", path="*/runs:query", times=50)
    workspace.faults.add("status", status=403, method="GET", path="*/PipelineRuns/Pipeline/*", times=50)
    left.mark("failed")
    calm()
    assert "was marked, and its run may go on" in caplog.text
    assert "403" in caplog.text
    assert left.status == "Running"


def test_a_record_that_only_workers_can_read_is_told_in_the_log(leave, caplog):
    left = leave()
    left.show("running")
    left.change_record(instead={"ref": "somewhere"})
    left.mark("failed")
    calm()
    assert "keeps its record where the API server cannot read it" in caplog.text


def test_what_cannot_be_noted_is_told_and_disturbs_nobody(airflow_db, api_server, caplog):
    from airflow.listeners.listener import get_listener_manager

    get_listener_manager().hook.on_task_instance_success(previous_state=None, task_instance="no task instance")
    assert "A mark of no task instance could not be noted" in caplog.text


def test_where_dags_are_read_nothing_listens(airflow_db):
    """Airflow refuses DAGs with ``end_from_trigger`` where anything does."""
    from airflow.listeners.listener import get_listener_manager

    get_listener_manager.cache_clear()
    assert not get_listener_manager().has_listeners


def test_a_workspace_that_refuses_is_told_in_the_log(leave, workspace, caplog):
    left = leave()
    left.show("running")
    workspace.faults.add("status", status=403, method="GET", path="*/PipelineRuns/*", times=50)
    left.mark("failed")
    calm()
    assert f"what_is_left.run of DAG run {left.ti.run_id} was marked, and its run may go on" in caplog.text
    assert "403" in caplog.text
    assert left.status == "Running"


def test_a_mark_in_a_copy_of_the_database_leaves_the_run_of_the_other_airflow_alone(leave, monkeypatch, caplog):
    left = leave()
    left.show("running")
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "staging")
    left.mark("failed")
    calm()
    assert left.status == "Running"
    assert "its submission was not made under this Airflow's deployment_id, 'staging'" in caplog.text
