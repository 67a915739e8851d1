"""The storm's pipeline runs: on a worker, deferred and mapped, with deadlines, and with templates that change."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

DEADLINE = timedelta(seconds=float(os.environ["STORM_DEADLINE"]))
# Every kill costs one.
PATIENT = {"retries": 100, "retry_delay": timedelta(seconds=1), "poll_interval": 1.5}
EACH = range(6)


def dag(dag_id):
    """A DAG that starts by hand."""
    return DAG(
        dag_id,
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=500,
        max_active_tasks=500,
        default_args=PATIENT,
    )


def work(number, **more):
    """The parameters of a run; ``number`` is the task's place in the DAG run's ``lengths``."""
    return {
        "name": "{{ dag.dag_id }}/{{ run_id }}/{{ task.task_id }}/{{ ti.map_index }}",
        "lengths": f"{{{{ dag_run.conf['lengths'][{number}] }}}}",
        **more,
    }


def run(task_id, number, *, pipeline=None, deferrable=True, more=None, **options):
    """One task that runs a pipeline."""
    target = pipeline or {"pipeline_id": "work-0"}
    return AzureMLRunPipelineOperator(
        task_id=task_id,
        experiment_name="{{ dag.dag_id }}",
        parameters=work(number, **(more or {})),
        deferrable=deferrable,
        **target,
        **options,
    )


with dag("pipelines_worker"):
    run("one", 0, deferrable=False)
    run("two", 1, pipeline={"pipeline_name": "work-1"}, deferrable=False)

with dag("pipelines_deferred"):
    run("by_id", 0)
    run("by_name", 1, pipeline={"pipeline_name": "work-1"})
    run("by_endpoint", 2, pipeline={"endpoint_name": "door"})

with dag("pipelines_mapped"):
    AzureMLRunPipelineOperator.partial(
        task_id="each", pipeline_id="work-0", experiment_name="{{ dag.dag_id }}", deferrable=True
    ).expand(parameters=[work(number) for number in EACH])

with dag("pipelines_deadline"):
    run("deferred", 0, execution_timeout=DEADLINE)
    run("on_worker", 1, deferrable=False, execution_timeout=DEADLINE)

with dag("pipelines_changing"):
    run("deferred", 0, more={"note": "try {{ ti.try_number }}"})
    run("on_worker", 1, deferrable=False, more={"note": "try {{ ti.try_number }}"})

with dag("pipelines_people"):
    run("deferred", 0)
    run("on_worker", 1, deferrable=False)
