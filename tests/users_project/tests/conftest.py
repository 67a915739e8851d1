"""An Airflow of the tests' own: its variables are set before Airflow is imported."""

import os
import tempfile
from pathlib import Path

import pytest

HOME = tempfile.TemporaryDirectory(prefix="airflow-")
os.environ |= {
    "AIRFLOW_HOME": HOME.name,
    "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parents[1] / "dags"),
    # dag.test() really waits between two tries.
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "0",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
}


@pytest.fixture(scope="session", autouse=True)
def airflow_database():
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def azureml_seed():
    pipeline = {
        "name": "score-files",
        "parameters": [{"name": "file"}],
        "data_paths": [{"name": "input"}],
        "steps": [{"name": "score", "run_seconds": 3600, "function": "steps:score"}],
    }
    return {"pipelines": [pipeline]}
