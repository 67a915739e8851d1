"""A native schedule in the workspace that runs a published pipeline for every blob that is added or modified.

Run this DAG whenever the schedule may have to change. The service watches only blob datastores with an account key that
are not behind a virtual network, and starts one run per blob. ``blob_change_one_run_per_batch.py`` has no such limits.
"""

from __future__ import annotations

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from aml_provider.operators.schedule import AzureMLCreateScheduleOperator, AzureMLDisableScheduleOperator

NAME = "airflow-example-on-change"

with DAG(
    dag_id="azureml_native_schedule_change_based",
    schedule=None,  # by hand, or with your deployment
    catchup=False,
    max_active_runs=1,  # two at the same time could not see each other's new schedule
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md=__doc__,
):
    AzureMLCreateScheduleOperator(
        task_id="schedule",
        name=NAME,
        pipeline_name="score-files",
        experiment_name="airflow-examples",
        datastore="workspaceblobstore",
        path_on_datastore="incoming",  # without its sub-folders
        polling_interval=5,  # minutes
        data_path_parameter_name="input_datapath",
        description="For each blob that is added or modified",
        deferrable=True,  # waits in the triggerer until the service has set it up
    )

with DAG(
    dag_id="azureml_native_schedule_change_based_stop",
    schedule=None,
    catchup=False,
    default_args={"retries": 2},
    tags=["azureml", "example"],
    doc_md="Disable the schedule of ``azureml_native_schedule_change_based``; the service cannot delete schedules.",
):
    AzureMLDisableScheduleOperator(task_id="disable", schedule_name=NAME)
