"""What tests of single operators need beside a service: no database, little waiting."""

from __future__ import annotations

import pytest


@pytest.fixture
def kept_in_memory(monkeypatch):
    """Keep Airflow's Variables in memory, and look and retry for tenths of seconds only.

    The real Variables need Airflow's database; ``tests/dags`` has them.
    """
    from aml_provider.operators import execution
    from aml_provider.state import variables

    kept = {}
    monkeypatch.setattr(variables, "read", kept.get)
    monkeypatch.setattr(variables, "write", lambda key, value, description: kept.__setitem__(key, value))
    monkeypatch.setattr(variables, "delete", lambda key: kept.pop(key, None))
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "tests")
    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0.3")
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")
    monkeypatch.setattr(execution, "_KILL_PATIENCE", 0.5)
    execution._INTERFACES.clear()
    return kept
