"""Deferred runs in one event loop, with a poller and a client."""

from __future__ import annotations

import asyncio
import gc
import json
from contextlib import asynccontextmanager

from support.drivers.driving import one
from support.services.recorded_workspace import TOKEN

from aml_provider.client import calls
from aml_provider.client.http.clients import Client
from aml_provider.client.settings import WorkspaceSettings
from aml_provider.triggerer import run_poller, shared_clients
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger

INTERVAL = 0.2


def settings_of(workspace, **changes):
    return WorkspaceSettings(
        **{
            "subscription_id": "00000000-0000-0000-0000-000000000000",
            "resource_group": "local",
            "workspace_name": "local",
            "auth_method": "static_token",
            "endpoint": workspace.url,
            "secret": TOKEN,
            **changes,
        }
    )


def submit(workspace, times, *, pipeline="long", experiment="exp"):
    """Start runs; their ids."""
    with Client(settings_of(workspace)) as client:
        return [
            client.run(one(calls.submit_pipeline(pipeline, {"ExperimentName": experiment}))).id for _ in range(times)
        ]


def connect(monkeypatch, workspace, conn_id, **changes):
    extra = {
        "subscription_id": "00000000-0000-0000-0000-000000000000",
        "resource_group": "local",
        "workspace_name": "local",
        "auth_method": "static_token",
        "endpoint": workspace.url,
    }
    connection = {"conn_type": "azureml", "password": TOKEN, **changes, "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    return conn_id


async def fire(run_id, experiment="exp", **arguments):
    """Run a trigger to its event."""
    trigger = AzureMLPipelineRunTrigger(run_id, experiment, **{"poll_interval": INTERVAL} | arguments)
    (event,) = [event.payload async for event in trigger.run()]
    return event


@asynccontextmanager
async def waiting(run_ids, experiment="exp", **arguments):
    """Triggers that wait; those that have not fired at the end are cancelled."""
    tasks = {run_id: asyncio.create_task(fire(run_id, experiment, **arguments)) for run_id in run_ids}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - what it waits for is on another thread
            await asyncio.sleep(0.01)


def refused(workspace, status):
    return any(entry["status"] == status for entry in workspace.requests())


def queries(workspace):
    return [entry for entry in workspace.requests("POST", "runs:query") if "ParentRunId" not in entry["body"]["filter"]]


def assert_nothing_is_left():
    """No client, poller, socket or task outlives the waits; an unclosed one is a warning, and so an error."""
    assert not any(shared_clients._CLIENTS._values.values())
    assert not any(run_poller._POLLERS._values.values())
    gc.collect()
