"""The settings of connections, which starts that read one connection at the same time share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client.in_flight import InFlight
from aml_provider.hooks.workspace import WorkspaceHook
from aml_provider.triggerer.per_loop import PerLoop

if TYPE_CHECKING:
    from aml_provider.client.settings import WorkspaceSettings

_READING: PerLoop[InFlight[WorkspaceSettings]] = PerLoop(InFlight)


async def shared_settings(azureml_conn_id: str) -> WorkspaceSettings:
    """Read a connection, or wait for the result if another start is reading it.

    For each look-up Airflow uses a thread or a request, and hundreds of answers may arrive together. What is then done
    with each of them is mostly Airflow's own code, which cannot take turns; so there must not be hundreds of them.

    Raises:
        AirflowNotFoundException: There is no such connection.
        AirflowFailException: The connection does not describe a workspace.
    """
    return await _READING.here.result(azureml_conn_id, WorkspaceHook(azureml_conn_id).async_settings)
