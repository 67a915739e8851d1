"""The settings of connections, which starts that read one connection at the same time share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aml_provider.hooks.workspace import WorkspaceHook
from aml_provider.triggerer.per_loop import PerLoop

if TYPE_CHECKING:
    from aml_provider.client.settings import WorkspaceSettings

_READING: PerLoop[dict[str, asyncio.Task[WorkspaceSettings | Exception]]] = PerLoop(dict)


async def shared_settings(azureml_conn_id: str) -> WorkspaceSettings:
    """Read a connection, or wait for the result if another start is reading it.

    For each look-up Airflow uses a thread or a request, and hundreds of answers may arrive together. What is then done
    with each of them is mostly Airflow's own code, which cannot take turns; so there must not be hundreds of them.

    Raises:
        AirflowNotFoundException: There is no such connection.
        AirflowFailException: The connection does not describe a workspace.
    """
    reading = _READING.here
    task = reading.get(azureml_conn_id)
    if task is None:
        task = reading[azureml_conn_id] = asyncio.create_task(_read(azureml_conn_id))
        task.add_done_callback(lambda _: reading.pop(azureml_conn_id))
    # A start that is cancelled must not cancel it for the others.
    outcome = await asyncio.shield(task)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


async def _read(azureml_conn_id: str) -> WorkspaceSettings | Exception:
    """Read the connection; an error is returned, because asyncio would log one that nobody waits for any more."""
    try:
        return await WorkspaceHook(azureml_conn_id).async_settings()
    except Exception as error:  # noqa: BLE001 - shared_settings() raises it
        return error
