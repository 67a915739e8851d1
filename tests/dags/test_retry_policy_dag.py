"""The ready-made retry policy inside Airflow: what Airflow stores for a task's next try (3.3 and later)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG
from airflow.utils.session import create_session
from support.airflow.stepped_run import SteppedRun

from aml_provider.compat import AIRFLOW_V_3_3_PLUS, BaseOperator
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has retry policies since 3.3")
DAY = datetime(2026, 1, 1, tzinfo=UTC)
ASKED = 47


class ReadRun(BaseOperator):
    """A task of an author's own that uses the hook."""

    def execute(self, context):
        try:
            AzureMLHook().get_run("00000000-0000-0000-0000-000000000000")
        except Exception as error:
            raise RuntimeError("of my own") from error


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")
    monkeypatch.setenv("AIRFLOW__AZUREML__THROTTLED_BUDGET", "0.1")
    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0.1")


def failed(kind=AzureMLRunPipelineOperator, *, policy=True, **arguments):
    """Run a task that fails, once; its row in Airflow's database."""
    from airflow.models.taskinstance import TaskInstance

    from aml_provider.retry_policies import AzureMLRetryPolicy

    if kind is AzureMLRunPipelineOperator:
        arguments = {"experiment_name": "exp", "poll_interval": 0.1} | arguments
    more = {"retry_policy": AzureMLRetryPolicy()} if policy else {}
    with DAG(f"retried_{uuid.uuid4().hex[:8]}", schedule=None, start_date=DAY) as dag:
        kind(task_id="run", retries=3, retry_delay=timedelta(minutes=9), **more, **arguments)
    run = SteppedRun(dag, DAY)
    (instance,) = run.schedule()
    run.run(instance)
    with create_session() as session:
        ti = session.query(TaskInstance).filter(TaskInstance.dag_id == dag.dag_id).one()
        return ti.state, ti.retry_delay_override, ti.retry_reason


def test_a_throttled_task_on_a_worker_is_retried_when_the_service_accepts_it(workspace):
    workspace.faults.add("status", status=429, retry_after=ASKED, path="*/Pipelines/*", times=100)
    state, delay, reason = failed(pipeline_id="quick")
    assert (state, ASKED <= delay <= 1.2 * ASKED) == ("up_for_retry", True)
    assert reason == f"Throttled: the service asked to wait for {ASKED} s"


def test_without_the_policy_airflow_takes_the_tasks_own_delay(workspace):
    workspace.faults.add("status", status=429, retry_after=ASKED, path="*/Pipelines/*", times=100)
    assert failed(pipeline_id="quick", policy=False) == ("up_for_retry", None, None)


def test_a_resumed_task_is_retried_when_the_service_accepts_it(workspace):
    """The triggerer gets the reply, and the worker fails the task."""
    # The submission and its first reads succeed.
    asked = 1200
    workspace.faults.add("status", status=503, retry_after=asked, method="GET", path="*/PipelineRuns/*-*", times=100)
    state, delay, reason = failed(pipeline_id="long", deferrable=True, validate=False)
    assert (state, asked <= delay <= 1.2 * asked) == ("up_for_retry", True)
    assert reason == f"RunUnwatched: the service asked to wait for {asked} s"


def test_a_service_that_fails_does_not_shorten_the_tasks_own_delay(workspace):
    workspace.faults.add("status", status=503, retry_after=1, path="*/Pipelines/*", times=100)
    assert failed(pipeline_id="quick") == ("up_for_retry", None, None)


def test_a_permanent_error_of_the_operator_fails_the_task_as_without_a_policy(workspace):
    assert failed(pipeline_id="retired") == ("failed", None, None)
    assert failed(pipeline_id="retired", policy=False) == ("failed", None, None)


def test_a_permanent_error_within_a_task_of_an_author_fails_it_only_with_the_policy(workspace):
    assert failed(ReadRun)[0] == "failed"
    assert failed(ReadRun, policy=False)[0] == "up_for_retry"


def test_a_failed_run_follows_the_tasks_own_settings(workspace):
    assert failed(pipeline_id="fails") == ("up_for_retry", None, None)
