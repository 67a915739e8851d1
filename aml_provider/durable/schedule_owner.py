"""The owner of a native schedule, and the properties that the schedule carries to name it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client.errors import ScheduleExists

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The property that identifies a schedule's owner and name, so that the schedule is found again.
KEY = "airflow.schedule_key"
DEPLOYMENT = "airflow.schedule_deployment"
DAG = "airflow.schedule_dag_id"
TASK = "airflow.schedule_task_id"
RUN = "airflow.schedule_run_id"
MAP_INDEX = "airflow.schedule_map_index"


def check_deployment(properties: Mapping[str, str], deployment: str, described: str, way_out: str) -> None:
    """Refuse a schedule that another Airflow owns.

    Args:
        properties: The schedule's properties.
        deployment: The name of this Airflow.
        described: The schedule, for the message.
        way_out: The next step, for the message, without a full stop.

    Raises:
        ScheduleExists: It belongs to another Airflow.
    """
    owner = properties.get(DEPLOYMENT)
    if KEY in properties and owner != deployment:
        raise ScheduleExists(
            f"Schedule {described} belongs to another Airflow (deployment_id {owner!r}, DAG {properties.get(DAG)!r}, "
            f"task {properties.get(TASK)!r}). {way_out}; or, if that Airflow no longer exists, set the option "
            f"[azureml] deployment_id to {owner!r}."
        )


class ScheduleOwner(NamedTuple):
    """The task that owns a schedule, through all runs of its DAG.

    Args:
        run_id: The current DAG run, which identifies the schedules that this task instance has created.
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

    def has_created(self, properties: Mapping[str, str], key: str, described: str) -> bool:
        """Whether this very task instance has created the schedule with these properties.

        Args:
            properties: The schedule's properties.
            key: The key of the schedule that this owner wants.
            described: The schedule, for the message.

        Raises:
            ScheduleExists: Another instance of the mapped task has created it, in this run of the DAG.
        """
        if properties.get(KEY) != key or properties.get(RUN) != self.run_id:
            return False
        if properties.get(MAP_INDEX) != str(self.map_index):
            raise ScheduleExists(
                f"name: mapped task instance {properties.get(MAP_INDEX)} of this DAG run has created a schedule of "
                f"this name, {described}; give each its own name."
            )
        return True

    def check(
        self,
        properties: Mapping[str, str],
        key: str,
        *,
        described: str,
        other_target: str | None,
        warn: Callable[[str], None],
    ) -> None:
        """Refuse a schedule that another Airflow owns; log a take-over from another task of this Airflow.

        Args:
            properties: The schedule's properties.
            key: The key of the schedule that this owner wants.
            described: The schedule, for the message.
            other_target: The pipeline or component that this owner wants the schedule to run, if the schedule runs
                another one now.
            warn: Called with a line about a take-over.

        Raises:
            ScheduleExists: It belongs to another Airflow, or to another task that runs something else.
        """
        if properties.get(KEY, key) == key:
            return
        check_deployment(properties, self.deployment, described, "Give the new schedule another name")
        other = f"DAG {properties.get(DAG)!r}, task {properties.get(TASK)!r}"
        if other_target is not None:
            raise ScheduleExists(
                f"Schedule {described} belongs to {other}, for something other than {other_target}. Give the new "
                "schedule another name, or disable the existing one."
            )
        warn(f"Schedule {described} was created by {other}; this task manages it now.")


class _NoOwner(ScheduleOwner):
    """The owner of schedules that no task owns: they have no properties of ours, and are found by their names alone."""

    __slots__ = ()

    def owner_properties(self, name: str) -> dict[str, str]:  # noqa: ARG002 - the owner's signature
        """No properties: no task owns the schedule."""
        return {}

    def created_by_properties(self) -> dict[str, str]:
        """No properties: no task instance created the schedule."""
        return {}


#: The owner of schedules that are made outside of tasks.
NO_OWNER = _NoOwner(deployment="", dag_id="", task_id="", run_id="")
