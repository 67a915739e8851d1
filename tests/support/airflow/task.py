"""A task instance and an operator as light as a test of one try allows."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator


class TaskInstance:
    """What the operator uses of Airflow's."""

    dag_id = "dag"
    run_id = "manual__1"
    task_id = "run"
    map_index = -1
    max_tries = 1
    try_number = 1

    def __init__(self):
        self.start_date = datetime.now(UTC)
        self.xcoms = {}
        self.pushes = []

    def xcom_push(self, key, value):
        self.pushes.append(key)
        self.xcoms[key] = value

    def xcom_pull(self, key, task_ids, map_indexes):
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.xcoms.get(key)


class TaskStateStore(dict):
    """Airflow's task state store, which keeps JSON."""

    def set(self, key, value):
        self[key] = json.loads(json.dumps(value))


class Log:
    """Keeps what is logged."""

    def __init__(self):
        self.lines = []

    def info(self, message, *values):
        self.lines.append(message % values if values else message)

    warning = error = debug = exception = info

    def __str__(self):
        return "\n".join(self.lines)


class RunPipeline(AzureMLRunPipelineOperator):
    """The operator, with a log of its own."""

    log = Log()

    def __init__(self, **arguments):
        self._log_kept = Log()
        super().__init__(**{"task_id": "run", "experiment_name": "exp", "poll_interval": 0.1} | arguments)
        type(self).log = self._log_kept


class Task:
    """One task instance through its tries."""

    def __init__(self):
        self.store = TaskStateStore()
        self.ti = TaskInstance()

    @property
    def context(self):
        return {"ti": self.ti, "task_state_store": self.store}

    @property
    def record(self):
        return self.store.get("azureml_submission")

    def next_try(self):
        """What Airflow does before a retry."""
        self.ti.xcoms.clear()
        self.ti.try_number += 1
        self.ti.start_date = datetime.now(UTC)

    def clear(self):
        self.next_try()
        self.ti.max_tries += 1
