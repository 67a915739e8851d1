"""Score a file that somebody has delivered."""

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from aml_provider.client.models import DataPath
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

with DAG(
    "score_files",
    schedule=None,
    catchup=False,
    params={"file": "orders.csv"},
    default_args={"retries": 2},
) as dag:
    AzureMLRunPipelineOperator(
        task_id="score",
        pipeline_name="score-files",
        experiment_name="scoring",
        parameters={"file": "{{ params.file }}"},
        data_paths={"input": DataPath("workspaceblobstore", "incoming")},
        deferrable=True,
    )
