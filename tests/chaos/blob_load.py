"""The blob side of the storm: DAGs that watch folders or keep schedules, who writes there, and what came of it.

Its DAG runs do not all end: a sensor's run always waits for the next blob.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from azurite import ACCOUNT_KEY, ACCOUNT_NAME, Azurite
from chaos.writer import SCALES, Writer, plan
from processes import ServiceError
from support.oracles import blob_promises, schedule_promises
from support.oracles.blob_promises import Handover, Reader
from support.oracles.promises import Act, Task, Violation
from support.oracles.schedule_promises import ScheduleTask

from aml_provider.emulator.routes.control import describe_job_schedule, describe_schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_airflow import LocalAirflow
    from support.services.held_workspace import HeldWorkspace

    from aml_provider.emulator.workspace.models import Run

CONTAINER = "landing"
CONNECTION = "azureml_blobs"
#: The task that takes what there is, and the one whose pipeline run says what that was.
TAKER, TELLER = "wait", "hand_over"
READERS = (
    *(Reader(f"blobs_{name}", name, TAKER) for name in ("poke", "reschedule", "deferred", "shared")),
    Reader("blobs_every", "watched", TAKER, by_events=True),
    Reader("blobs_csv", "watched", TAKER, pattern="*.csv", by_events=True),
)
FOLDERS = tuple(dict.fromkeys(reader.folder for reader in READERS))
#: The DAGs that keep schedules, with the names of these; and the same for job schedules.
KEEPERS = {"schedules_same": "same", "schedules_new": "new-{run_id}"}
JOB_KEEPERS = {"job_schedules_same": "same", "job_schedules_new": "new-{plain_run_id}"}
_NOT_PLAIN = re.compile("[^0-9A-Za-z_-]")
_ACTIVE = ("queued", "running")
_PAGE = 100


class BlobLoad:
    """A context manager with a blob service, for a storm on the DAGs ``blobs_*``, ``schedules_*``, ``job_schedules_*``.

    Args:
        seed: Draws what is written.
        scale: A key of :data:`~chaos.writer.SCALES`.
        workspace: The workspace that the DAGs use, seeded with :meth:`pipelines`, :meth:`components` and
            :meth:`datastores`.

    Attributes:
        acts: What people did; whoever does something adds to it.
    """

    def __init__(self, seed: int, scale: str, workspace: HeldWorkspace) -> None:
        self.acts: list[Act] = []
        self._workspace = workspace
        self._azurite = Azurite()
        self._steps = plan(seed, scale, FOLDERS)
        self._writer: Writer | None = None
        assert scale in SCALES, scale

    @staticmethod
    def pipelines() -> list[dict[str, Any]]:
        """What the workspace's seed needs among its pipelines."""
        texts = ("reader", "consumer", "versions", "events")
        return [
            {
                "name": "blobs-take",
                "id": "blobs-take",
                "start_seconds": 0,
                "parameters": [{"name": name, "optional": True} for name in texts],
                "steps": [{"name": "take", "queue_seconds": 0, "run_seconds": 1}],
            },
            {
                "name": "blobs-scheduled",
                "id": "blobs-scheduled",
                "start_seconds": 0,
                "steps": [{"name": "work", "queue_seconds": 0, "run_seconds": 1}],
            },
        ]

    @staticmethod
    def components() -> list[dict[str, Any]]:
        """What the workspace's seed needs among its components."""
        return [{"name": "blobs-scheduled", "steps": [{"name": "work", "queue_seconds": 0, "run_seconds": 1}]}]

    @staticmethod
    def datastores() -> list[dict[str, Any]]:
        """What the workspace's seed needs among its datastores."""
        account = {"account_name": ACCOUNT_NAME, "account_key": ACCOUNT_KEY}
        return [{"name": CONTAINER, "container": CONTAINER, **account}]

    def __enter__(self) -> Self:
        self._azurite.__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        try:
            if self._writer is not None:
                self._writer.give_up()
        finally:
            self._azurite.__exit__(*details)

    def connections(self) -> dict[str, dict[str, Any]]:
        """The Airflow connections that the DAGs use, by id."""
        connection = self._workspace.connection()
        blob_endpoint = {"blob_endpoint": self._azurite.blob_endpoint}
        return {CONNECTION: {**connection, "extra": {**connection["extra"], **blob_endpoint}}}

    def prepare(self) -> None:
        """Make the container, so that there is something to look at."""
        container = self._azurite.container(CONTAINER)
        self._writer = Writer(container, self._steps, self._workspace.clock.now)

    def start(self) -> None:
        """Begin to write."""
        assert self._writer is not None
        self._writer.start()

    def stop(self) -> None:
        """Write what is left of the plan, without the pauses in between."""
        assert self._writer is not None
        self._writer.stop()

    def settled(self, airflow: LocalAirflow) -> bool:
        """Whether everything has arrived, and nothing but sensors that wait is under way any more.

        No schedule is created after that: the DAGs that do so are paused as soon as none of their runs is active.
        """
        assert self._writer is not None
        if not self._writer.is_done:
            return False
        try:
            return not any(self._lost(airflow, reader) for reader in READERS) and all(
                [self._is_at_rest(airflow, reader) for reader in READERS]
                + [self._has_ended(airflow, dag_id) for dag_id in (*KEEPERS, *JOB_KEEPERS)]
            )
        except ServiceError:  # Airflow does not answer at the moment
            return False

    def violations(self, airflow: LocalAirflow) -> list[Violation]:
        """Every broken promise about blobs and schedules, once it is :meth:`settled` or has had time enough for it."""
        assert self._writer is not None
        versions = self._writer.versions
        found = [
            violation
            for reader in READERS
            for violation in blob_promises.violations(reader, versions, self._handed(airflow, reader), self.acts)
        ]
        found += schedule_promises.violations(self._schedules(), self._kept(airflow, KEEPERS))
        return found + schedule_promises.violations(self._job_schedules(), self._kept(airflow, JOB_KEEPERS))

    def figures(self) -> dict[str, int]:
        """How much there was, by kind."""
        assert self._writer is not None
        versions = self._writer.versions
        in_folders = [version for version in versions if version.path.rpartition("/")[0] in FOLDERS]
        handed = [one for reader in READERS for one in self._submitted(reader)]
        return {
            "blob versions in watched folders": len(in_folders),
            "of them still there": sum(version.gone == math.inf for version in in_folders),
            "blob versions beside and below": len(versions) - len(in_folders),
            "versions handed over": len({(one.consumer[0], key) for one in handed for key in one.versions}),
            "batches": len({one.consumer for one in handed if one.event is None}),
            "events": len({one.event for one in handed if one.event is not None}),
            "native schedules": len(self._schedules()),
            "job schedules that were not deleted": len(self._job_schedules()),
            "runs and jobs by schedules": len(self.not_ours()),
        }

    def not_ours(self) -> set[str]:
        """The ids of the runs and jobs that schedules started."""
        return {
            run.id
            for run in self._runs()
            if run.schedule_id is not None or (run.job is not None and run.job.schedule is not None)
        }

    # --- the workspace's record ---

    def _runs(self) -> list[Run]:
        with self._workspace.state.lock:
            return list(self._workspace.state.runs.values())

    def _submitted(self, reader: Reader) -> Iterator[Handover]:
        """What the workspace's record says that a reader's consumers were given."""
        for run in self._runs():
            if run.parameters.get("reader") == reader.name:
                consumer = Task(reader.name, run.parameters["consumer"], TAKER)
                yield from _handovers(consumer, _told(run.parameters), run.created, run.id)

    def _schedules(self) -> list[dict[str, Any]]:
        state = self._workspace.state
        with state.lock:
            return [describe_schedule(state, schedule, 0) for schedule in state.schedules.all()]

    def _job_schedules(self) -> list[dict[str, Any]]:
        """The job schedules, in the form of native ones."""
        state = self._workspace.state
        with state.lock:
            found = [describe_job_schedule(state, schedule, 0) for schedule in state.job_schedules.all()]
        return [
            {
                "id": one["name"],
                "name": one["name"],
                "status": "Active" if one["enabled"] else "Disabled",
                "runs": one["jobs"],
            }
            for one in found
        ]

    # --- Airflow's ---

    def _handed(self, airflow: LocalAirflow, reader: Reader) -> list[Handover]:
        """What the record says, and where a task came to no run, what it was to say."""
        handed = list(self._submitted(reader))
        told = {one.consumer.run_id for one in handed}
        touched = {act.task[1] for act in self.acts if act.task[0] == reader.name}
        states: dict[str, dict[str, Any]] = {}
        for task in self._tasks(airflow, reader.name):
            states.setdefault(task["dag_run_id"], {})[task["task_id"]] = task
        for run_id, tasks in states.items():
            taker, teller = (tasks.get(name, {}).get("state") for name in (TAKER, TELLER))
            if taker == "success" and teller in {"success", "failed"} and (run_id in touched or run_id not in told):
                consumer = Task(reader.name, run_id, TAKER)
                ended = datetime.fromisoformat(tasks[TAKER]["end_date"]).timestamp()
                handed += _handovers(consumer, self._result(airflow, consumer), ended, None)
        return handed

    def _lost(self, airflow: LocalAirflow, reader: Reader) -> bool:
        assert self._writer is not None
        versions = self._writer.versions
        # Most often there is no need to ask Airflow.
        if not blob_promises.lost(reader, versions, list(self._submitted(reader)), self.acts):
            return False
        return bool(blob_promises.lost(reader, versions, self._handed(airflow, reader), self.acts))

    def _kept(self, airflow: LocalAirflow, keepers: Mapping[str, str]) -> Iterator[ScheduleTask]:
        for dag_id, name in keepers.items():
            for task in self._tasks(airflow, dag_id):
                if task["state"] == "success":
                    ended = datetime.fromisoformat(task["end_date"]).timestamp()
                    run_id, kind = task["dag_run_id"], task["task_id"]
                    schedule = name.format(run_id=run_id, plain_run_id=_NOT_PLAIN.sub("-", run_id))
                    yield ScheduleTask(ended, schedule, kind, Task(dag_id, run_id, kind))

    def _is_at_rest(self, airflow: LocalAirflow, reader: Reader) -> bool:
        """Whether nothing but sensors that wait for blobs is under way."""
        path = f"/dags/{reader.name}/dagRuns"
        active = {run["dag_run_id"] for run in self._pages(airflow, path, "dag_runs", _ACTIVE)}
        if not active or reader.by_events:
            return not active
        tasks = self._tasks(airflow, reader.name)
        return all(
            task["state"] != "success" for task in tasks if task["task_id"] == TAKER and task["dag_run_id"] in active
        )

    def _has_ended(self, airflow: LocalAirflow, dag_id: str) -> bool:
        """Whether no DAG run is active, nor will be: a run that is active when its DAG is paused would never end."""
        path = f"/dags/{dag_id}/dagRuns"
        if any(self._pages(airflow, path, "dag_runs", _ACTIVE)):
            airflow.patch(f"/dags/{dag_id}", {"is_paused": False})
            return False
        airflow.patch(f"/dags/{dag_id}", {"is_paused": True})
        return not any(self._pages(airflow, path, "dag_runs", _ACTIVE))

    def _tasks(self, airflow: LocalAirflow, dag_id: str) -> Iterator[Mapping[str, Any]]:
        return self._pages(airflow, f"/dags/{dag_id}/dagRuns/~/taskInstances", "task_instances")

    def _pages(
        self, airflow: LocalAirflow, path: str, key: str, states: tuple[str, ...] = ()
    ) -> Iterator[Mapping[str, Any]]:
        query = {"state": list(states)} if states else {}
        offset, total = 0, 1
        while offset < total:
            page = airflow.get(path, limit=_PAGE, offset=offset, **query)
            yield from page[key]
            offset, total = offset + _PAGE, page["total_entries"]

    def _result(self, airflow: LocalAirflow, task: Task) -> Any:
        path = f"/dags/{task.dag_id}/dagRuns/{task.run_id}/taskInstances/{task.task_id}/xcomEntries/return_value"
        try:
            value = airflow.get(path, deserialize=True)["value"]
        except ServiceError as error:
            if "404" in str(error):  # a person's mark leaves none
                return None
            raise
        if isinstance(value, list):
            return [[change["path"], change["etag"]] for change in value]
        return value


def _told(parameters: Mapping[str, str]) -> Any:
    return json.loads(parameters.get("events") or parameters["versions"])


def _handovers(consumer: Task, found: Any, time: float, run: str | None) -> Iterator[Handover]:
    """What a consumer was given: a batch, or the changes of each event by its id."""
    groups = found if isinstance(found, dict) else {None: found or ()}
    for event, pairs in groups.items():
        yield Handover(time, consumer, tuple((path, etag.strip('"')) for path, etag in pairs), run, event)
