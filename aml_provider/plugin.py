"""The part of this package that Airflow loads by itself, in each of its processes: next to nothing."""

from __future__ import annotations

import sys
from typing import Any

from airflow.providers.common.compat.sdk import AirflowPlugin
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_3_PLUS

from aml_provider.xcom import allow_classes


class AzureMLPlugin(AirflowPlugin):
    """Makes Airflow's API server notify :mod:`aml_provider.api_server.listener` of manual state changes.

    It is an entry point, because Airflow makes no instances of the plugins that a provider's description names.
    """

    name = "azureml"

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        """Let tasks read the values that other tasks got from the hook and pushed to XCom."""
        allow_classes()

    @property
    def listeners(self) -> list[Any]:  # type: ignore[override]
        """The listener, but only in the API server (since 3.3; before that only a task finds its submission record).

        In a process that parses DAGs, any listener makes Airflow reject tasks with ``end_from_trigger``.
        """
        if not AIRFLOW_V_3_3_PLUS or "airflow.api_fastapi.main" not in sys.modules:
            return []
        from aml_provider.api_server.listener import ManualStateChangeListener

        return [ManualStateChangeListener()]
