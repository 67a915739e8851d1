"""What tests of the run operator need beside a service: no database, little waiting."""

from __future__ import annotations

import pytest


@pytest.fixture
def kept_in_memory(monkeypatch):
    """Keep Airflow's Variables in memory, and look and retry for tenths of seconds only.

    The real Variables need Airflow's database; ``tests/dags`` has them.
    """
    from aml_provider.state import variables
    from aml_provider.worker import run_pipeline

    kept = {}
    monkeypatch.setattr(variables, "read", kept.get)
    monkeypatch.setattr(variables, "write", lambda key, value, description: kept.__setitem__(key, value))
    monkeypatch.setattr(variables, "delete", lambda key: kept.pop(key, None))
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "tests")
    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0.3")
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")
    monkeypatch.setattr(run_pipeline, "_CANCEL_TIMEOUT", 0.5)
    return kept


@pytest.fixture
def airflow(monkeypatch):
    """What Airflow says of the task instance: a person has cleared it. Its database and API are in ``tests/kills``."""
    from types import SimpleNamespace

    from aml_provider.state import other_tasks

    def owner_state(owner):
        assert (owner.dag_id, owner.task_id) == ("dag", "run")
        if isinstance(says.state, Exception):
            raise says.state
        return says.state

    says = SimpleNamespace(state="restarting")
    monkeypatch.setattr(other_tasks, "owner_state", owner_state)
    return says


@pytest.fixture(scope="session")
def running_workspace():
    """Serve a local workspace with small pipelines that need no blobs, once."""
    from support.services.local_workspace import Workspace

    with Workspace() as running:
        yield running


@pytest.fixture
def workspace(running_workspace, monkeypatch):
    """The local workspace as if it were new; the default connection leads there."""
    running_workspace.reset()
    running_workspace.connect(monkeypatch)
    return running_workspace


@pytest.fixture
def pauses(monkeypatch):
    """How long requests waited for their repetitions, without the wait."""
    from aml_provider.client.http import clients

    seconds = []
    monkeypatch.setattr(clients.Clock, "sleep", lambda clock, pause: seconds.append(pause))
    return seconds


@pytest.fixture
def task():
    """One task instance with its store."""
    from support.airflow.task import Task

    return Task()


@pytest.fixture
def learnt(workspace, kept_in_memory):
    """Let another task have taught how runs are found here, and forget its run."""
    from support.airflow.task import RunPipeline, Task

    other = Task()
    other.ti.dag_id = "other"
    RunPipeline(pipeline_id="quick", wait_for_completion=False).execute(other.context)
    workspace.reset()


@pytest.fixture
def statsd(monkeypatch):
    """A StatsD server that gets the metrics of Airflow's stats in this process."""
    from support.airflow.stats import metrics_server

    with metrics_server(monkeypatch) as running:
        yield running
