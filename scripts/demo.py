"""The whole story on this machine: files arrive in a folder, Airflow sees them and runs a published pipeline on each.

``make demo`` runs it: Azurite, the emulated workspace and Airflow with the three demo DAGs of ``example_dags/``.
Everything in the summary at the end was checked. ``KEEP=1`` leaves everything up until Ctrl-C.
"""

from __future__ import annotations

import sys
from itertools import zip_longest
from pathlib import Path

from azurite import Azurite
from cancel_story import CancelChapter, CancelStory
from component_metrics import ComponentMetrics
from cryptography.fernet import Fernet
from job_story import JobChapter, JobStory
from leaks import LeakSearch
from local_airflow import LocalAirflow
from local_workspace import LocalWorkspace
from program import Program, shown
from schedule_story import ScheduleChapter, ScheduleStory
from story import CONTAINER, DAG_ID, FILE, STRAYS, Story
from visit import prepare

_ROOT = Path(__file__).resolve().parents[1]

# What each component must have counted. Two runs and a job ended, and another job was cancelled; the schedule's run was
# submitted by the workspace. Two replies to submissions were lost.
_COUNTED = {
    "worker": {"submissions": 4, "looked_up": 2, "run_ended.finished": 3, "changes": 2},
    "API server": {"cancelled.state_changed": 1},
}
# What must have arrived, with any value.
_SENT = {
    "triggerer": ("waiting", "poll.age", "poll.requests", "listing.requests", "listing.blobs", "listing.duration"),
}


def main() -> int:
    """Run the demo; returns the exit code."""
    program = Program("demo")
    return program.main(lambda: _run(program))


def _run(program: Program) -> None:
    home = program.home
    with program.services() as (resources, guard):
        access_log = home / "azurite.log"
        azurite = resources.enter_context(Azurite(log=access_log))
        container = azurite.container(CONTAINER)
        program.say(f"Azurite, a local blob storage, is up at {azurite.blob_endpoint}")
        workspace = resources.enter_context(
            LocalWorkspace(guard, blob_endpoint=azurite.blob_endpoint, log=home / "workspace.log")
        )
        program.say(f"the emulated workspace is up at {workspace.url}")
        fernet_key = Fernet.generate_key()
        metrics = resources.enter_context(ComponentMetrics())
        airflow = resources.enter_context(
            LocalAirflow(
                guard,
                home,
                dags=_ROOT / "example_dags",
                connections={},
                report=program.say,
                settings={"core": {"fernet_key": fernet_key.decode()}},
                component_settings=metrics.settings,
                # The demo unpauses DAGs while tasks of others run.
                serve_tasks_apart=True,
            )
        )
        airflow.add_connection("azureml_default", workspace.connection())
        program.say(f"Airflow is up at {airflow.url}, with the connection azureml_default")
        search = LeakSearch(
            {"the workspace's token": workspace.token, "the account key": azurite.account_key},
            fernet_key=fernet_key,
        )
        story = Story(airflow, workspace, container, access_log=access_log, search=search, report=program.say)
        story.tell()
        job = JobStory(airflow, workspace, container, search=search, report=program.say).tell()
        scheduled = ScheduleStory(airflow, workspace, search=search, report=program.say).tell()
        cancelled = CancelStory(airflow, workspace, search=search, report=program.say).tell()
        metrics.check(_COUNTED, sent=_SENT)
        program.say("each component of Airflow has sent its metrics")
        chapters = (story, job, scheduled, cancelled, [*metrics.lines()])
        if program.keep:
            _conclude(*chapters, search, home, stopped=False)
            program.wait_for_interrupt(
                "\nEverything is up; a CSV file put into incoming/ starts the next run. Ctrl-C stops it all.\n",
                f"Airflow       {airflow.url}/dags/{DAG_ID}",
                f"Connection    {airflow.url}/connections",
                f"Workspace     {workspace.url}",
                f"Blob storage  {azurite.blob_endpoint}/{CONTAINER}",
                f"\n{prepare(workspace, home)}",
            )
    if not program.keep:
        _conclude(*chapters, search, home, stopped=True)


def _conclude(
    story: Story,
    job: JobChapter,
    scheduled: ScheduleChapter,
    cancelled: CancelChapter,
    metrics: list[str],
    search: LeakSearch,
    home: Path,
    *,
    stopped: bool,
) -> None:
    """Search for secrets, then print the summary."""
    search.read_files(home)
    story.check_leaks()
    print()
    for number, chapter in enumerate(story.chapters, 1):
        lost = "" if chapter.reply == "arrived" else ", so the run was looked up by its key"
        print(
            f"DAG run {number}    {chapter.state}: {FILE} was {chapter.change} ({chapter.dag_run_id})\n"
            f"  submitted  once; the reply {chapter.reply}{lost}\n"
            f"  data path  {chapter.data_path}, as the workspace received it\n"
            f"  run        {chapter.run_id} {chapter.status}\n"
            f"  result     {chapter.rows} rows, amount {chapter.amount:.2f}; the DAG compared it with the file\n"
        )
    print(
        f"DAG run {len(story.chapters) + 1}    success: a component of Azure ML v2 ({job.dag_run_id})\n"
        "  submitted  once; the reply was lost, so the job was read by its id\n"
        f"  component  {job.component}\n"
        f"  job        {job.job_id} {job.status}\n"
        f"  result     {job.rows} rows, as in the file\n"
    )
    print(
        f"DAG run {len(story.chapters) + 2}    success: a native schedule ({scheduled.dag_run_id})\n"
        f"  schedule   {scheduled.schedule_id}, due at {scheduled.due:%H:%M} UTC, started one run and was disabled\n"
        f"  run        {scheduled.run_id} {scheduled.status}\n"
        f"  after it   no run in {scheduled.hours_after} more hours of the workspace's time\n"
    )
    print(
        f"DAG run {len(story.chapters) + 3}    {cancelled.state}, as intended: its task was marked as failed, "
        f"as a person does ({cancelled.dag_run_id})\n"
        f"  job        {cancelled.job_id} {cancelled.status}, by Airflow's API server\n"
    )
    for title, line in zip_longest(["Metrics"], metrics, fillvalue=""):
        print(f"{title:13}{line}")
    print()
    print("No run       " + ", ".join(f"{path} ({where})" for path, where in STRAYS.items()))
    print("Requests     " + ", ".join(f"{count} {kind}" for kind, count in story.requests.items()))
    rows = sum(search.rows.values())
    print(f"Secrets      none in {search.files} files and {rows} database rows: {', '.join(search.secrets)}")
    print(f"Logs         {shown(home)}")
    if stopped:
        print("Processes    all stopped")


if __name__ == "__main__":
    sys.exit(main())
