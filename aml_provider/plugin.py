"""What Airflow loads of this package by itself, in each of its processes: next to nothing."""

from __future__ import annotations

import sys
from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_3_PLUS

from aml_provider.xcom import allow_classes


class AzureMLPlugin(AirflowPlugin):
    """Makes Airflow's API server tell :mod:`aml_provider.api_server.marks` what people mark.

    It is an entry point; of plugins that a provider's description names, Airflow makes no instances.
    """

    name = "azureml"

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Let tasks read what other tasks got from the hook."""
        allow_classes()

    @property
    def listeners(self) -> list[Any]:  # type: ignore[override]
        """Nothing but in the API server: where a DAG is read, any listener forbids ``end_from_trigger`` to its tasks.

        Before 3.3 a task's record is where only the task finds it.
        """
        if not AIRFLOW_V_3_3_PLUS or "airflow.api_fastapi.main" not in sys.modules:
            return []
        from aml_provider.api_server.marks import MarkListener

        return [MarkListener()]
