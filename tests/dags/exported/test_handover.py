"""Exported DAGs in Airflow take over from the native schedules, or the reason why not is printed."""

from __future__ import annotations

import io
import os
import re
from datetime import UTC, datetime, timedelta

import pytest
from support.airflow.native_schedules import is_active, make, make_job_schedule, make_polling
from support.drivers.command_line import CommandLine

from aml_provider.cli.export.dag_files import DagFolder as Files
from aml_provider.cli.export.dag_files import key_of
from aml_provider.cli.export.dag_text import DagPlan, is_started, start_of, with_start
from aml_provider.cli.export.handover import hand_over
from aml_provider.cli.export.native_times import NativeTimes
from aml_provider.cli.export.run_arguments import RunArguments
from aml_provider.cli.export.timing import Crons, Every
from aml_provider.client.models import Recurrence
from aml_provider.compat import AIRFLOW_V_3_0_PLUS
from aml_provider.hooks.azure_ml import AzureMLHook


class Meanwhile(io.StringIO):
    """A person who takes a while to answer with yes, while somebody else acts."""

    def __init__(self, act):
        super().__init__("y\n")
        self.act = act

    def readline(self, *arguments):
        self.act()
        return super().readline(*arguments)


class TestHandover:
    def test_in_order(self, export, folder):
        schedule = make("nightly")
        dag_id = export()["dag_id"]
        folder.parse()
        assert folder.known(dag_id).is_paused
        assert folder.known(dag_id).next_dagrun_create_after is None
        before = datetime.now(UTC).replace(microsecond=0)
        row = export("--disable", "--yes")
        after = datetime.now(UTC)
        assert row["result"] == "disabled"
        assert f"airflow dags unpause {dag_id}" in row["notes"][-1]
        assert not is_active(schedule)
        # The first run of the DAG is the first that the native schedule has not started.
        file = next(folder.path.glob("*.py"))
        assert before <= start_of(file.read_text()) <= after
        folder.parse()
        due = folder.known(dag_id).next_dagrun_create_after
        assert due - after < timedelta(hours=6, minutes=1)
        assert due > after

    def test_runs_that_are_due_before_the_dag_is_unpaused_are_not_lost(self, export, folder):
        make("made up")
        dag_id = export()["dag_id"]
        (path,) = folder.path.glob("*.py")
        # The handover was three days ago.
        moment = (datetime.now(UTC) - timedelta(days=3)).replace(microsecond=0)
        path.write_text(with_start(path.read_text(), moment))
        folder.parse()
        due = folder.known(dag_id).next_dagrun_create_after
        assert moment < due <= moment + timedelta(days=1)

    def test_a_length_of_time_starts_at_a_fire(self, export, folder):
        start = (datetime.now(UTC) - timedelta(minutes=25)).replace(tzinfo=None, microsecond=0)
        make("each 50 minutes", recurrence=Recurrence("Minute", 50, start_time=start.isoformat()))
        dag_id = export()["dag_id"]
        folder.parse()
        export("--disable", "--yes")
        folder.parse()
        wanted = start.replace(tzinfo=UTC) + timedelta(minutes=50)
        assert folder.known(dag_id).next_dagrun_create_after == wanted

    def test_not_before_airflow_knows_the_dag(self, export, folder):
        schedule = make("unknown")
        row = export("--disable", "--yes", code=1)
        assert (row["result"], is_active(schedule)) == ("not disabled", True)
        assert "does not know DAG 'azureml_unknown'" in row["notes"][-1]
        folder.parse()
        assert export("--disable", "--yes")["result"] == "disabled"

    def test_not_before_airflow_has_parsed_the_last_change(self, export, folder):
        schedule = make("nightly_2")
        export()
        folder.parse()
        (path,) = folder.path.glob("*.py")
        path.write_text(path.read_text() + "# mine\n")
        row = export("--disable", "--yes", code=1)
        assert "has not parsed azureml_nightly_2.py since" in row["notes"][-1]
        assert is_active(schedule)
        folder.parse()
        # Only the start date of an edited file is written.
        assert export("--disable", "--yes")["result"] == "disabled"
        assert path.read_text().endswith("# mine\n")
        assert is_started(path.read_text())

    def test_not_with_the_old_times_in_an_edited_file(self, export, folder):
        make_job_schedule(6)
        export()
        (path,) = folder.path.glob("*.py")
        path.write_text(path.read_text() + "# mine\n")
        make_job_schedule(8, if_exists="update")
        before = path.read_bytes()
        folder.parse()
        row = export("--disable", "--yes", code=1)
        assert "has changed since this file was written" in row["notes"][-1]
        assert AzureMLHook().get_job_schedule("moving").is_active
        assert path.read_bytes() == before

    def test_not_with_other_times_in_an_edited_file(self, export, folder):
        schedule = make("retimed")
        export()
        (path,) = folder.path.glob("*.py")
        path.write_text(
            re.sub(r'TIMES = CronTriggerTimetable\("\d+ \d+', 'TIMES = CronTriggerTimetable("7 7', path.read_text())
        )
        folder.parse()
        assert export()["result"] == "edited"
        row = export("--disable", "--yes", code=1)
        assert "are not those of the native schedule" in row["notes"][-1]
        assert is_active(schedule)

    def test_an_edited_file_that_was_handed_over_is_not_to_be_deleted(self, export, folder):
        make("edited later")
        export()
        (path,) = folder.path.glob("*.py")
        path.write_text(path.read_text() + "# mine\n")
        folder.parse()
        export("--disable", "--yes")
        row = export("--all")
        assert row["result"] == "edited"
        assert "Delete it" not in " ".join(row["notes"])

    def test_the_text_is_the_same_after_a_further_run(self, export, folder, workspace):
        schedule = AzureMLHook().create_schedule(
            "no start", experiment_name="work", pipeline_id="quick", recurrence=Recurrence("Minute", 50)
        )
        export()
        (path,) = folder.path.glob("*.py")
        before = path.read_text()
        assert "no start time" in before.replace("\n#   ", " ")
        folder.parse()
        last = AzureMLHook().get_last_run_of_schedule(schedule.id).created
        workspace.clock.advance(50 * 60)
        assert AzureMLHook().get_last_run_of_schedule(schedule.id).created > last
        assert export()["result"] == "unchanged"
        assert path.read_text() == before

    def test_a_length_of_time_follows_a_schedule_that_was_set_up_again(self, export, folder, workspace):
        schedule = AzureMLHook().create_schedule(
            "set up again", experiment_name="work", pipeline_id="quick", recurrence=Recurrence("Minute", 50)
        )
        export()
        AzureMLHook().disable_schedule(schedule.id)
        workspace.clock.advance(20 * 60)
        workspace.state.schedules.run_now(schedule.id)
        AzureMLHook().enable_schedule(schedule.id)
        assert export()["result"] == "updated"

    def test_not_for_the_file_of_another_folder(self, export, folder, tmp_path_factory):
        schedule = make("in two folders")
        export()
        (path,) = folder.path.glob("*.py")
        own = path.read_text()
        # Of the same name, from the schedule of another workspace; the file of this one is newer in no way.
        path.write_text(
            re.sub(r"(native schedule: )[0-9a-f]{16}", rf"\g<1>{key_of('dev', 'v1', schedule.id)}", own, count=1)
        )
        folder.parse()
        other = tmp_path_factory.mktemp("prod")
        (other / path.name).write_text(own)
        os.utime(other / path.name, (0, 0))
        row = export("--disable", "--yes", code=1, to=other)
        assert "comes from another file" in row["notes"][-1]
        assert is_active(schedule)

    def test_not_if_somebody_else_has_disabled_it_during_the_question(self, export, folder):
        schedule = make("stopped")
        export()
        folder.parse()
        stop = Meanwhile(lambda: AzureMLHook().disable_schedule(schedule.id))
        row = export("--disable", code=1, typed=stop)
        assert row["result"] == "not disabled"
        assert "Somebody else has disabled" in row["notes"][-1]
        assert not is_started(next(folder.path.glob("*.py")).read_text())

    def test_not_if_somebody_else_has_changed_it_during_the_question(self, export, folder):
        make_job_schedule(6)
        export()
        folder.parse()
        row = export("--disable", code=1, typed=Meanwhile(lambda: make_job_schedule(8, if_exists="update")))
        assert "has changed since" in row["notes"][-1]
        assert AzureMLHook().get_job_schedule("moving").is_active
        assert not is_started(next(folder.path.glob("*.py")).read_text())

    @pytest.mark.parametrize("timing", ["cron", "length"])
    def test_a_slow_request_is_not_certain(self, export, folder, timing):
        make(f"slow {timing}")
        export()
        folder.parse()
        fire = (datetime.now(UTC) + timedelta(hours=6)).replace(second=0, microsecond=0)
        step = timedelta(days=1)
        times = NativeTimes(frequency="Day", interval=1, zone="UTC", anchor=fire.replace(tzinfo=None))
        clock = iter([fire - timedelta(hours=1), fire + timedelta(seconds=5)])
        plan = DagPlan(
            dag_id="x",
            subject="x",
            when="x",
            run=RunArguments(subject="x", arguments={}),
            start=fire,
            timing=Crons((f"{fire.minute} {fire.hour} * * *",), "UTC") if timing == "cron" else Every(step, fire),
            times=times,
        )
        (file,) = Files(folder.path)._found.values()
        done = hand_over(file, lambda: plan, lambda: True, lambda: next(clock))
        assert not done.is_certain
        later = fire + (timedelta(seconds=1) if timing == "cron" else step)
        assert f"{fire:%H:%M:%S}Z" in done.notes[0]
        assert f"set start_date=datetime({later.year}, {later.month}, {later.day}, {later.hour}" in done.notes[0]

    def test_one_that_somebody_else_disables_in_the_same_moment_says_so(self, export, folder):
        schedule = make("together")
        export()
        folder.parse()
        fire = datetime.now(UTC) + timedelta(hours=6)
        times = NativeTimes(frequency="Day", interval=1, zone="UTC", anchor=fire.replace(tzinfo=None))
        plan = DagPlan(
            dag_id="x",
            subject="x",
            when="x",
            run=RunArguments(subject="x", arguments={}),
            start=fire,
            timing=Crons(("0 0 * * *",), "UTC"),
            times=times,
        )
        hook = AzureMLHook()
        file = Files(folder.path).find(key_of(hook.settings().identity, "v1", schedule.id))
        done = hand_over(file, lambda: plan, lambda: False)
        assert "Somebody else has disabled" in done.notes[0]
        assert done.is_certain

    def test_one_that_is_disabled_already_says_so(self, export, folder):
        make("done before")
        export()
        folder.parse()
        export("--disable", "--yes")
        row = export("--disable", "--yes", "--schedule", "done before")
        assert "disabled already" in row["notes"][-1]
        assert f"unpause DAG '{row['dag_id']}'" in row["notes"][-1]

    def test_a_renamed_file_is_named(self, export, folder):
        make("renamed")
        export()
        (path,) = folder.path.glob("*.py")
        mine = path.rename(path.with_name("mine.py"))
        folder.parse()
        row = export("--disable", "--yes")
        assert row["file"] == str(mine)
        assert f"only in {mine}: commit or deploy this file" in row["notes"][-1]

    @pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="only Airflow 3 writes import errors when a bag is synchronised")
    def test_not_with_an_import_error(self, export, folder):
        schedule = make("broken")
        export()
        folder.parse()
        (path,) = folder.path.glob("*.py")
        path.write_text(path.read_text() + "import nowhere\n")
        folder.parse()
        row = export("--disable", "--yes", code=1)
        assert "has an import error" in row["notes"][-1]
        assert is_active(schedule)

    def test_not_while_the_dag_is_not_paused(self, export, folder):
        schedule = make("unpaused")
        dag_id = export()["dag_id"]
        folder.parse()
        folder.pause(dag_id, paused=False)
        row = export("--disable", "--yes", code=1)
        assert f"airflow dags pause {dag_id}" in row["notes"][-1]
        assert is_active(schedule)

    def test_not_close_to_a_fire(self, export, folder):
        # In one to two minutes, at a whole one: the command may come a minute after it, too.
        at = datetime.now(UTC) + timedelta(seconds=115)
        schedule = make("soon", recurrence=Recurrence("Day", 1, start_time=f"2026-01-01T{at:%H:%M}:00"))
        export()
        folder.parse()
        row = export("--disable", "--yes", code=1)
        assert f"fires at {at:%H:%M}:00Z" in row["notes"][-1]
        assert is_active(schedule)

    def test_not_without_a_confirmation(self, workspace, folder, export, monkeypatch, capsys):
        schedule = make("asked")
        export()
        folder.parse()
        answer = CommandLine(monkeypatch, capsys)(
            "schedules", "export", "--dag-dir", str(folder.path), "--disable", typed="n\n"
        )
        assert answer.code == 1
        assert is_active(schedule)
        assert not is_started(next(folder.path.glob("*.py")).read_text())

    def test_an_interrupted_one_is_completed(self, export, folder, workspace):
        schedule = make("interrupted")
        dag_id = export()["dag_id"]
        folder.parse()
        workspace.faults.add("status", status=403, method="PUT", path="*/Schedules/*", times=9)
        row = export("--disable", "--yes", code=1)
        assert "Run this command again" in row["notes"][-1]
        assert is_active(schedule)
        first = start_of(next(folder.path.glob("*.py")).read_text())
        assert is_started(next(folder.path.glob("*.py")).read_text())
        workspace.faults.clear()
        folder.parse()
        assert export("--disable", "--yes")["result"] == "disabled"
        assert start_of(next(folder.path.glob("*.py")).read_text()) >= first
        assert folder.known(dag_id).is_paused

    def test_a_later_export_keeps_the_start(self, export, folder):
        make("kept")
        export()
        folder.parse()
        export("--disable", "--yes")
        (path,) = folder.path.glob("*.py")
        before = path.read_bytes()
        assert export("--all")["result"] == "unchanged"
        assert path.read_bytes() == before

    def test_a_dag_that_has_started_runs_is_not_handed_over_again(self, export, folder):
        from airflow.models import DagRun
        from airflow.utils.session import create_session
        from airflow.utils.types import DagRunType

        schedule = make("again")
        dag_id = export()["dag_id"]
        dag_run = folder.parse()[dag_id].test()
        with create_session() as session:
            found = session.get(DagRun, dag_run.id)
            found.run_type = DagRunType.SCHEDULED
        row = export("--disable", "--yes", code=1)
        assert "has started runs on its schedule before" in row["notes"][-1]
        assert is_active(schedule)

    def test_a_change_based_one_waits_for_the_first_poll(self, export, folder):
        schedule = make("blobs", recurrence=None, datastore="store", path_on_datastore="in")
        dag_id = export()["dag_id"]
        folder.parse()
        row = export("--disable", "--yes", code=1)
        assert f"airflow dags unpause {dag_id}" in row["notes"][-1]
        folder.pause(dag_id, paused=False)
        row = export("--disable", "--yes", code=1)
        assert "has not polled the folder yet" in row["notes"][-1]
        assert is_active(schedule)

    def test_a_change_based_one_needs_a_recorded_poll_of_a_scheduled_run(
        self, airflow_db, folder, emulator, azureml_default, write, monkeypatch, capsys
    ):
        from airflow.models import DagRun
        from airflow.models.variable import Variable
        from airflow.utils.session import create_session
        from airflow.utils.types import DagRunType
        from sqlalchemy import select

        schedule = make_polling("polled", emulator)
        write("in/old.csv")
        cli = CommandLine(monkeypatch, capsys)

        def disable():
            options = ("--disable", "--yes", "--schedule", "polled", "-o", "json")
            (row,) = cli("schedules", "export", "--dag-dir", str(folder.path), *options).json
            return row

        assert "does not know" in disable()["notes"][-1]
        path = folder.path / "azureml_polled.py"
        path.write_text(path.read_text().replace("ignore_empty=False,", 'ignore_empty=False, on_first_poll="report",'))
        dag_run = folder.parse()["azureml_polled"].test()
        assert str(dag_run.state) == "success"
        # Its cursor is of a trial: blobs that change from now on would be reported when the DAG is unpaused.
        note = disable()["notes"][-1]
        assert re.search(r"Delete the Variable with `airflow variables delete azureml_cursor_azureml_polled\S*`", note)
        assert is_active(schedule)
        folder.pause("azureml_polled", paused=False)
        # A run that a person started proves nothing.
        assert "in a run on its schedule" in disable()["notes"][-1]
        with create_session() as session:
            session.get(DagRun, dag_run.id).run_type = DagRunType.SCHEDULED
            (record,) = session.scalars(select(Variable).where(Variable.key.contains("azureml_polled")))
            key, record.key = record.key, "elsewhere"
        # Nor does a task whose polls have failed.
        assert f"Variable {key!r}" in disable()["notes"][-1]
        assert is_active(schedule)
        with create_session() as session:
            session.scalars(select(Variable).where(Variable.key == "elsewhere")).one().key = key
        assert disable()["result"] == "disabled"
        assert not is_active(schedule)

    def test_a_managed_schedule_is_not_disabled(self, export, folder, workspace):
        hook = AzureMLHook()
        hook.create_job_schedule(
            "managed",
            experiment_name="work",
            component_name="quick",
            cron="0 7 * * *",
            start_time="2099-01-01T00:00:00",
        )
        own = {"airflow.schedule_key": "k"}
        workspace.state.job_schedules.get("managed").properties["properties"] = own
        export("--schedule", "managed")
        folder.parse()
        row = export("--schedule", "managed", "--disable", "--yes", code=1)
        assert "Remove that task" in row["notes"][-1]
        assert hook.get_job_schedule("managed").is_active
