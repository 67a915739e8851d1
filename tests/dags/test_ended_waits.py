"""Airflow 2 ends a deferral at ``execution_timeout`` by its scheduler's clock; the trigger then cancels nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.models import taskinstance
from airflow.utils import timezone
from airflow.utils.session import create_session
from support.airflow.played_dag import PlayedDag
from support.airflow.run_operator_dags import load_dags

from aml_provider.client.errors import RunTimedOut
from aml_provider.compat import AIRFLOW_V_3_0_PLUS
from aml_provider.state.task_end import still_wants, task_state

pytestmark = pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="Airflow 3 leaves execution_timeout to the trigger")


@pytest.mark.parametrize(
    ("state", "next_method", "wanted"),
    [
        ("scheduled", "__fail__", True),
        ("running", "__fail__", True),
        ("scheduled", None, False),
        ("scheduled", "execute_complete", False),
        ("failed", None, False),
        pytest.param("failed", "__fail__", False, id="marked before it resumed"),
    ],
)
def test_a_wait_that_airflow_has_ended_is_for_the_resuming_task(
    airflow_db, monkeypatch, workspace, state, next_method, wanted
):
    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0.3")
    (ti,) = PlayedDag(load_dags(monkeypatch)["what_sync"]).play().instances()
    with create_session() as session:
        changed = session.merge(ti)
        changed.state, changed.next_method = state, next_method
    assert still_wants(*task_state(ti), workspace.only_run().id, durable=False, leaves_failed=False) is wanted


@pytest.mark.parametrize(("on_timeout", "status"), [("cancel", "Canceled"), ("leave", "Running")])
@pytest.mark.parametrize("next_method", ["execute_complete", "__fail__"])
def test_a_task_that_is_resumed_after_its_deadline_ends_its_run(
    airflow_db, monkeypatch, workspace, on_timeout, status, next_method
):
    """Airflow 2 then calls ``on_kill`` in place of the method that was to be resumed."""
    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0.3")
    dag = load_dags(monkeypatch)["what_goes_on"]
    (ti,) = PlayedDag(dag).play().instances()
    ti.task = task = dag.get_task("run")
    task.execution_timeout, task.on_timeout = timedelta(seconds=10), on_timeout
    ti.start_date, ti.next_method = timezone.utcnow() - timedelta(minutes=1), next_method
    ti.next_kwargs = {"error": "Trigger/execution timeout"} if next_method == "__fail__" else {"event": {}}
    context = ti.get_template_context()
    with taskinstance.set_current_context(context), pytest.raises(RunTimedOut, match="execution_timeout passed"):
        taskinstance._execute_task(ti, context, task)
    assert workspace.status() == status
