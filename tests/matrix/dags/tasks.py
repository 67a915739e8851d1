"""Each kind of task on a worker and deferred, and a retry that takes over the run of the try before it."""

from __future__ import annotations

from datetime import datetime, timedelta

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow.models.dag import DAG

from aml_provider.client.models import DataPath, Recurrence
from aml_provider.operators.job_schedule import AzureMLCreateJobScheduleOperator
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.operators.schedule import AzureMLCreateScheduleOperator
from aml_provider.sensors.blob import AzureBlobChangeSensor

for mode, deferrable in {"on_worker": False, "deferred": True}.items():
    # Airflow itself loses a task now and then.
    tries = {"retries": 3, "retry_delay": timedelta(seconds=3)}
    common = {"start_date": datetime(2025, 1, 1), "catchup": False, "default_args": tries}  # noqa: DTZ001

    for kind, target in {
        "run": {"pipeline_name": "score-files"},
        "component": {"component_name": "score_files"},
    }.items():
        with DAG(f"{kind}_{mode}", schedule=None, **common):
            AzureMLRunPipelineOperator(
                task_id="task",
                **target,
                experiment_name="{{ dag.dag_id }}",
                parameters={"input_string": "orders.csv"},
                data_paths={"input_datapath": DataPath("workspaceblobstore", "orders")},
                poll_interval=1,
                deferrable=deferrable,
            )

    with DAG(f"sensor_{mode}", schedule=None, **common):
        AzureBlobChangeSensor(
            task_id="task",
            datastore="workspaceblobstore",
            path="{{ dag.dag_id }}",
            on_first_poll="report",
            poke_interval=1,
            deferrable=deferrable,
        )

    with DAG(f"schedule_{mode}", schedule=None, **common):
        AzureMLCreateScheduleOperator(
            task_id="task",
            name="{{ dag.dag_id }}",
            pipeline_name="score-files",
            experiment_name="{{ dag.dag_id }}",
            recurrence=Recurrence("Month", 1, start_time="2100-01-01T00:00:00"),
            deferrable=deferrable,
        )

    with DAG(f"job_schedule_{mode}", schedule=None, **common):
        AzureMLCreateJobScheduleOperator(
            task_id="task",
            name="{{ dag.dag_id }}",
            component_name="score_files",
            experiment_name="{{ dag.dag_id }}",
            data_paths={"input_datapath": DataPath("workspaceblobstore", "orders")},
            cron="0 7 * * 1-5",
            start_time="2100-01-01T00:00:00",
            time_zone="Asia/Seoul",
            deferrable=deferrable,
        )

    with DAG(f"retry_{mode}", schedule=None, **common):
        AzureMLRunPipelineOperator(
            task_id="task",
            pipeline_name="score-files",
            experiment_name="{{ dag.dag_id }}",
            data_paths={"input_datapath": DataPath("workspaceblobstore", "orders")},
            poll_interval=1,
            deferrable=deferrable,
        )
