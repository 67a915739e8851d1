"""The owner of a native schedule, and the properties that the schedule carries to name it."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

#: The property that identifies a schedule's owner and name, so that the schedule is found again.
KEY = "airflow.schedule_key"
DEPLOYMENT = "airflow.schedule_deployment"
DAG = "airflow.schedule_dag_id"
TASK = "airflow.schedule_task_id"
RUN = "airflow.schedule_run_id"
MAP_INDEX = "airflow.schedule_map_index"


class ScheduleOwner(NamedTuple):
    """The task that owns a schedule, through all runs of its DAG.

    Args:
        run_id: The current DAG run: it identifies the schedules that this task instance has created.
        map_index: The index of a mapped task, else -1.
    """

    deployment: str
    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1

    def key(self, name: str) -> str:
        """The key of the schedule of this name: the same in every run of the DAG."""
        text = json.dumps([self.deployment, self.dag_id, self.task_id, name])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def owner_properties(self, name: str) -> dict[str, str]:
        """The properties that name this owner on its schedule."""
        return {KEY: self.key(name), DEPLOYMENT: self.deployment, DAG: self.dag_id, TASK: self.task_id}

    def created_by_properties(self) -> dict[str, str]:
        """The properties that name the task instance that created the schedule."""
        return {RUN: self.run_id, MAP_INDEX: str(self.map_index)}


class NoOwner(ScheduleOwner):
    """No task owns the schedule: it carries no properties of ours, so it is found by its name alone."""

    __slots__ = ()

    def owner_properties(self, name: str) -> dict[str, str]:  # noqa: ARG002 - the owner's signature
        """None."""
        return {}

    def created_by_properties(self) -> dict[str, str]:
        """None."""
        return {}
