from __future__ import annotations

import asyncio
import json

import pytest

from aml_provider.compat import AirflowNotFoundException
from aml_provider.hooks.workspace import WorkspaceHook
from aml_provider.triggerer import shared_settings as module
from aml_provider.triggerer.shared_settings import shared_settings

CONN_ID = "shared_settings"


def connect(monkeypatch, workspace_name):
    extra = {
        "subscription_id": "s",
        "resource_group": "g",
        "workspace_name": workspace_name,
        "auth_method": "static_token",
        "endpoint": "http://127.0.0.1:9",
    }
    connection = {"conn_type": "azureml", "password": "t", "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(connection))


@pytest.fixture
def reads(monkeypatch):
    """The connections that were read, each of them when the others have had time to ask for it too."""
    found = []

    class CountingHook(WorkspaceHook):
        async def async_settings(self):
            found.append(self.azureml_conn_id)
            for _ in range(5):
                await asyncio.sleep(0)
            return await super().async_settings()

    monkeypatch.setattr(module, "WorkspaceHook", CountingHook)
    connect(monkeypatch, "w")
    return found


async def test_starts_that_come_while_a_connection_is_read_share_the_result(reads):
    found = await asyncio.gather(*(shared_settings(CONN_ID) for _ in range(100)))
    assert {settings.workspace_name for settings in found} == {"w"}
    assert reads == [CONN_ID]


async def test_a_later_start_reads_the_connection_again(reads, monkeypatch):
    await shared_settings(CONN_ID)
    connect(monkeypatch, "another")
    assert (await shared_settings(CONN_ID)).workspace_name == "another"
    assert reads == [CONN_ID] * 2


async def test_a_start_that_is_cancelled_leaves_the_result_to_the_others(reads):
    first, second = (asyncio.create_task(shared_settings(CONN_ID)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).workspace_name == "w"
    assert first.cancelled()
    assert reads == [CONN_ID]


async def test_an_error_goes_to_each_start_and_the_next_one_reads_again(reads, monkeypatch):
    monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
    failed = await asyncio.gather(*(shared_settings(CONN_ID) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in failed] == [AirflowNotFoundException] * 3
    connect(monkeypatch, "w")
    assert (await shared_settings(CONN_ID)).workspace_name == "w"
    assert reads == [CONN_ID] * 2
