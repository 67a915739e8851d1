"""The storm's runs: on a worker, deferred and mapped, with deadlines, and with templates that change.

Each DAG is there twice: with published pipelines, and with components.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

DEADLINE = timedelta(seconds=float(os.environ["STORM_DEADLINE"]))
# Every kill costs one.
PATIENT = {"retries": 100, "retry_delay": timedelta(seconds=1), "poll_interval": 1.5}
EACH = range(6)
TARGETS = {
    "pipelines": ({"pipeline_id": "work-0"}, {"pipeline_name": "work-1"}, {"endpoint_name": "door"}),
    "jobs": (
        {"component_name": "work-0", "component_version": "1"},
        {"component_name": "work-1"},
        {"batch_endpoint_name": "door"},
    ),
}


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


def run(task_id, number, target, *, deferrable=True, more=None, **options):
    """One task that runs a pipeline or a component."""
    return AzureMLRunPipelineOperator(
        task_id=task_id,
        experiment_name="{{ dag.dag_id }}",
        parameters=work(number, **(more or {})),
        deferrable=deferrable,
        **target,
        **options,
    )


for kind, (by_id, by_name, by_endpoint) in TARGETS.items():
    with dag(f"{kind}_worker"):
        run("one", 0, by_id, deferrable=False)
        run("two", 1, by_name, deferrable=False)

    with dag(f"{kind}_deferred"):
        run("by_id", 0, by_id)
        run("by_name", 1, by_name)
        run("by_endpoint", 2, by_endpoint)

    with dag(f"{kind}_mapped"):
        AzureMLRunPipelineOperator.partial(
            task_id="each", experiment_name="{{ dag.dag_id }}", deferrable=True, **by_id
        ).expand(parameters=[work(number) for number in EACH])

    with dag(f"{kind}_deadline"):
        run("deferred", 0, by_id, execution_timeout=DEADLINE)
        run("on_worker", 1, by_id, deferrable=False, execution_timeout=DEADLINE)

    with dag(f"{kind}_changing"):
        run("deferred", 0, by_id, more={"note": "try {{ ti.try_number }}"})
        run("on_worker", 1, by_id, deferrable=False, more={"note": "try {{ ti.try_number }}"})

    with dag(f"{kind}_people"):
        run("deferred", 0, by_id)
        run("on_worker", 1, by_id, deferrable=False)
