"""Exported DAGs in Airflow: they start the runs of the native schedules, and take over from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.airflow.dag_folder import DagFolder
from support.drivers.command_line import CommandLine

from aml_provider.cli.export.dag_text import is_started, start_of, with_start
from aml_provider.client.models import Recurrence
from aml_provider.compat import AIRFLOW_V_3_0_PLUS
from aml_provider.hooks.azure_ml import AzureMLHook

NAME = '"); import os'


@pytest.fixture
def folder(airflow_db, tmp_path):
    """An empty folder for DAG files."""
    return DagFolder(tmp_path)


@pytest.fixture
def export(workspace, folder, monkeypatch, capsys):
    """Export to the folder; the only row."""
    cli = CommandLine(monkeypatch, capsys)

    def run(*options, code=0):
        answer = cli("schedules", "export", "--dag-dir", str(folder.path), "-o", "json", *options)
        assert answer.code == code, answer.err
        (row,) = answer.json
        return row

    return run


def make(name, **arguments):
    """A native schedule of v1 that fires in six hours, and each day at that time."""
    at = datetime.now(UTC) + timedelta(hours=6)
    daily = Recurrence("Day", 1, start_time="2026-01-01T00:00:00", hours=[at.hour], minutes=[at.minute])
    return AzureMLHook().create_schedule(
        name, **{"experiment_name": "work", "pipeline_id": "quick", "recurrence": daily, **arguments}
    )


def is_active(schedule):
    return AzureMLHook().get_schedule(schedule.id).is_active


class TestRuns:
    def test_of_a_published_pipeline(self, export, folder, workspace):
        make(NAME, parameters={"count": 7}, data_paths={"input": "store/{{ 1 }}"}, description="{{ 2 }}")
        dag_id = export()["dag_id"]
        dag_run = folder.parse()[dag_id].test()
        assert str(dag_run.state) == "success"
        run = workspace.only_run()
        assert run.parameters == {"count": "7"}
        assert run.data_paths["input"].path == "{{ 1 }}"
        assert run.description == "{{ 2 }}"

    def test_of_a_component(self, export, folder, workspace):
        AzureMLHook().create_job_schedule(
            "weekdays",
            experiment_name="work",
            component_name="quick",
            component_version="1",
            cron="0 7 * * 1-5",
            start_time="2099-01-01T00:00:00",
            parameters={"count": 7},
        )
        dag_id = export()["dag_id"]
        dag_run = folder.parse()[dag_id].test()
        assert str(dag_run.state) == "success"
        assert workspace.only_run().component_id == "quick:1"

    def test_of_each_changed_blob(self, airflow_db, folder, emulator, azureml_default, write, monkeypatch, capsys):
        (pipeline,) = [item for item in emulator.state.pipelines.values() if item.name == "score-files"]
        make(
            "on change",
            pipeline_id=pipeline.id,
            recurrence=None,
            datastore="landing",
            path_on_datastore="in",
            data_path_parameter_name="input_datapath",
        )
        write("in/old.csv")
        cli = CommandLine(monkeypatch, capsys)
        assert cli("schedules", "export", "--dag-dir", str(folder.path)).code == 0
        path = folder.path / "azureml_on_change.py"
        # A first run that would wait for an hour is skipped: the blobs that exist are reported to the first poll.
        path.write_text(path.read_text().replace("ignore_empty=False,", 'ignore_empty=False, on_first_poll="report",'))
        write("in/a{{ 1 }}.csv")
        dag_run = folder.parse()["azureml_on_change"].test()
        assert str(dag_run.state) == "success"
        runs = [run for run in emulator.state.runs.values() if not run.schedule_id]
        assert sorted(run.data_paths["input_datapath"].path for run in runs) == [
            "in/a{{ 1 }}.csv",
            "in/old.csv",
        ]


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
        at = datetime.now(UTC) + timedelta(seconds=70)
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
