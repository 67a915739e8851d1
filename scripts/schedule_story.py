"""The third part of the demo: a DAG creates a native schedule, follows its run and disables it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from watched_dag import WatchedDag, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from leaks import LeakSearch
    from local_airflow import LocalAirflow
    from local_workspace import LocalWorkspace

DAG_ID = "azureml_demo_schedule"
_HOURS_AFTER = 3


class ScheduleChapter(NamedTuple):
    """The life of a native schedule.

    Attributes:
        dag_run_id: The DAG run.
        schedule_id: The schedule.
        due: The time that the workspace announced for its first run.
        run_id: The one pipeline run that it started.
        status: How that run ended.
        hours_after: The hours of the workspace's time, after it was disabled, in which it started nothing.
    """

    dag_run_id: str
    schedule_id: str
    due: datetime
    run_id: str
    status: str
    hours_after: int


class ScheduleStory:
    """Plays this part and checks it.

    Args:
        airflow: Airflow, with the demo's DAGs paused.
        workspace: The workspace.
        search: Searches for secrets.
        report: Prints the progress.
    """

    def __init__(
        self, airflow: LocalAirflow, workspace: LocalWorkspace, *, search: LeakSearch, report: Callable[[str], None]
    ) -> None:
        self._airflow = airflow
        self._dag = WatchedDag(airflow, DAG_ID)
        self._workspace = workspace
        self._search = search
        self._report = report

    def tell(self) -> ScheduleChapter:
        """Play the story.

        Raises:
            StoryError: Something else happened.
            ServiceError: A service ended, or something did not happen in time.
        """
        self._dag.unpause()
        # Else the schedule might fire while we wait.
        self._workspace.hold_clock(held=True)
        dag_run_id = self._dag.trigger()
        self._dag.wait_for(dag_run_id, "wait_for_a_run", "deferred", "the sensor waits for a run of the schedule")
        (schedule,) = self._workspace.schedules()
        log = self._dag.task_log(dag_run_id, "create")
        created = self._dag.returned(dag_run_id, "create")
        require(schedule["id"] == created, f"the schedule is {schedule['id']}, not {created}", log)
        require(schedule["runs"] == [], f"creating the schedule started {schedule['runs']}", log)
        due = datetime.fromisoformat(schedule["next_fires"][0])
        self._report(
            f"the schedule {schedule['name']} is created and due at {due:%H:%M}; a task waits deferred for its run"
        )
        self._search.read_database(self._airflow.database)

        self._workspace.move_clock((due - self._workspace.now()).total_seconds())
        self._report(f"the workspace's clock was moved to {due:%H:%M}")
        self._workspace.hold_clock(held=False)
        self._dag.wait_for_success(dag_run_id)
        self._search.read_database(self._airflow.database)
        return self._check(dag_run_id, due)

    def _check(self, dag_run_id: str, due: datetime) -> ScheduleChapter:
        self._workspace.move_clock(_HOURS_AFTER * 3600)
        (schedule,) = self._workspace.schedules()
        log = self._dag.task_log(dag_run_id, "disable")
        require(schedule["status"] == "Disabled", f"the schedule ended as {schedule['status']}", log)
        runs = [run for run in self._workspace.runs() if run["schedule_id"] == schedule["id"]]
        require(len(runs) == 1, f"the schedule started {len(runs)} runs instead of one", log)
        (run,) = runs
        started, ended = (self._dag.returned(dag_run_id, name) for name in ("wait_for_a_run", "wait_for_its_end"))
        require(started == ended == run["id"], f"the DAG followed {started} and {ended}, the run is {run['id']}", log)
        require(run["status"] == "Finished", f"the run ended as {run['status']}", log)
        self._report(f"its run {run['id']} was followed to its end, and the schedule was disabled")
        return ScheduleChapter(dag_run_id, schedule["id"], due, run["id"], run["status"], _HOURS_AFTER)
