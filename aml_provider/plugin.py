"""What Airflow loads of this package by itself, in each of its processes: next to nothing."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import AirflowPlugin
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_3_PLUS

from aml_provider.listeners import marks


class AzureMLPlugin(AirflowPlugin):
    """Makes Airflow tell :mod:`aml_provider.listeners.marks` what people mark."""

    name = "azureml"
    # Before 3.3 a task's record is where only the task finds it.
    listeners = [marks] if AIRFLOW_V_3_3_PLUS else []
