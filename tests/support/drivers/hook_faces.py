"""The hook's methods for workers and for event loops, on a workspace with the demo's pipelines."""

from __future__ import annotations

import asyncio
import json

from aml_provider.hooks.azure_ml import AzureMLHook

TOKEN = "connection-secret"
SCORE = "10000000-0000-4000-8000-000000000001"
FAILS = "10000000-0000-4000-8000-000000000002"
RETIRED = "10000000-0000-4000-8000-000000000003"
TYPED = "10000000-0000-4000-8000-000000000006"
OLD = "10000000-0000-4000-8000-000000000007"
LONG = "10000000-0000-4000-8000-000000000008"
ENDPOINT = "20000000-0000-4000-8000-000000000001"


class Face:
    """A hook whose methods are called by their twins, each in an event loop of its own."""

    def __init__(self, hook):
        self._hook = hook

    def __getattr__(self, name):
        twin = getattr(self._hook, f"async_{name}")
        return lambda *args, **kwargs: asyncio.run(twin(*args, **kwargs))


def connect(monkeypatch, url):
    fields = {"subscription_id": "sub-1", "resource_group": "rg", "workspace_name": "ws", "endpoint": url}
    connection = {"conn_type": "azureml", "password": TOKEN, "extra": {**fields, "auth_method": "static_token"}}
    monkeypatch.setenv("AIRFLOW_CONN_AML", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")
    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0")
    return AzureMLHook("aml")
