"""The plugin, which Airflow loads in each of its processes.

Loading it imports Airflow's own deserialiser. On 2.11 that takes about 0.1 s, if nothing else has imported it yet.
"""

from __future__ import annotations

import sys
from typing import Any

from aml_provider.compat import AIRFLOW_V_3_3_PLUS, AirflowPlugin
from aml_provider.xcom import allow_classes


class AzureMLPlugin(AirflowPlugin):
    """Makes Airflow's API server notify the provider of manual state changes.

    It is registered as an entry point, because Airflow does not instantiate a plugin that is named only in a
    provider's description.
    """

    name = "azureml"

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Allow tasks to read values of the hook that other tasks pushed to XCom."""
        allow_classes()

    @property
    def listeners(self) -> list[Any]:  # type: ignore[override]
        """The listener: one in the API server of Airflow 3.3 and later, none elsewhere.

        In a process that parses DAGs, any listener makes Airflow reject tasks with ``end_from_trigger``. Before Airflow
        3.3 the listener could not work, because only the task itself can find its submission record.
        """
        if not AIRFLOW_V_3_3_PLUS or "airflow.api_fastapi.main" not in sys.modules:
            return []
        from aml_provider.api_server.listener import ManualStateChangeListener

        return [ManualStateChangeListener()]
