"""How many requests it takes to come to a run, counted by the local workspace."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

from rows import Row

from aml_provider.emulator.server import EmulatorServer
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

_STEPS = [{"name": "work", "run_seconds": 10**6}]
_SEED = {
    "pipelines": [{"name": "long", "id": "long", "steps": _STEPS}],
    "components": [{"name": "long", "version": "1", "steps": _STEPS}],
}


class _TaskInstance:
    """As much of Airflow's as a try uses."""

    dag_id = "dag"
    run_id = "run"
    map_index = -1
    try_number = 1
    max_tries = 0

    def __init__(self, number: int) -> None:
        self.task_id = f"task-{number}"
        self.start_date = datetime.now(UTC)

    def xcom_push(self, key: str, value: Any) -> None:
        """Nobody reads it."""

    def xcom_pull(self, **_: Any) -> None:
        """There is none."""


class _Store(dict[str, Any]):
    def set(self, key: str, value: Any) -> None:
        self[key] = value


def _requests(workspace: EmulatorServer, number: int, **arguments: Any) -> int:
    before = len(workspace.requests())
    operator = AzureMLRunPipelineOperator(
        task_id=f"task-{number}",
        experiment_name="exp",
        wait_for_completion=False,
        **arguments,
    )
    operator.execute({"ti": _TaskInstance(number), "task_state_store": _Store()})  # type: ignore[typeddict-item]
    return len(workspace.requests()) - before


def rows() -> list[Row]:
    """The rows with their budgets."""
    from aml_provider.state import variables

    kept: dict[str, str] = {}
    # Airflow's Variables need a database; these requests go elsewhere.
    variables.read = kept.get  # type: ignore[assignment]
    variables.write = lambda key, value, description: kept.__setitem__(key, value)  # noqa: ARG005 - as it is called
    variables.delete = lambda key: kept.pop(key, None)  # type: ignore[assignment]
    os.environ["AIRFLOW__AZUREML__DEPLOYMENT_ID"] = "benchmark"
    with EmulatorServer(_SEED, speed=1000.0) as workspace:
        extra = {
            "subscription_id": "s",
            "resource_group": "g",
            "workspace_name": "w",
            "auth_method": "static_token",
            "endpoint": workspace.url,
        }
        connection = {"conn_type": "azureml", "password": "token", "extra": extra}
        os.environ["AIRFLOW_CONN_AZUREML_DEFAULT"] = json.dumps(connection)
        # The first run in a workspace is also looked for, to learn how runs are found there.
        _requests(workspace, 0, pipeline_id="long", validate=False)
        plain = _requests(workspace, 1, pipeline_id="long", validate=False)
        first = _requests(workspace, 2, pipeline_id="long")
        later = _requests(workspace, 3, pipeline_id="long")
        job = {"component_name": "long", "component_version": "1"}
        plain_job = _requests(workspace, 4, **job, validate=False)
        first_job = _requests(workspace, 5, **job)
        later_job = _requests(workspace, 6, **job)
    return [
        Row("requests to submit a run", plain, 1),
        Row("requests to submit a run with validate=True, the first time for a pipeline in a process", first, 3),
        Row("requests to submit a run with validate=True, with the interface of the pipeline cached", later, 2),
        Row("requests to submit a job of v2", plain_job, 1),
        Row(
            "requests to submit a job of v2 with validate=True, the first time for a component in a process",
            first_job,
            2,
        ),
        Row("requests to submit a job of v2 with validate=True, with the inputs of the component cached", later_job, 1),
    ]
