"""``schedules export``, against the local workspace."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.drivers.command_line import CommandLine

from aml_provider.client.models import DataPath, Recurrence
from aml_provider.hooks.azure_ml import AzureMLHook

DAILY = Recurrence("Day", 1, start_time="2026-01-01T00:00:00", time_zone="Asia/Seoul", time_of_day="7:00")
NASTY = ['"); import os', "{{ 1 }}\n    start_date=datetime(2026, 1, 1, tzinfo=UTC),", "'''\"\"\"\\", "../../x"]


@pytest.fixture
def cli(workspace, monkeypatch, capsys):
    """Run commands against the local workspace."""
    return CommandLine(monkeypatch, capsys)


@pytest.fixture
def export(cli, tmp_path):
    """Export to a folder; the rows."""

    def run(*options, code=0):
        answer = cli("schedules", "export", "--dag-dir", str(tmp_path), "-o", "json", *options)
        assert answer.code == code, answer.err
        return answer.json

    return run


@pytest.fixture
def nightly(workspace):
    """A schedule of v1."""
    return make("nightly")


def make(name, **arguments):
    defaults = {"experiment_name": "work", "pipeline_id": "quick", "recurrence": DAILY, "parameters": {"count": 7}}
    return AzureMLHook().create_schedule(name, **{**defaults, **arguments})


def make_job_schedule(name, **arguments):
    defaults = {"experiment_name": "work", "component_name": "quick", "cron": "0 7 * * 1-5", "time_zone": "Asia/Seoul"}
    return AzureMLHook().create_job_schedule(name, start_time="2099-01-01T00:00:00", **{**defaults, **arguments})


def test_each_schedule_becomes_a_file(export, tmp_path, nightly):
    make_job_schedule("weekdays", parameters={"count": 8}, data_paths={"input": "store/in"})
    make(
        "on change",
        recurrence=None,
        datastore="store",
        path_on_datastore="in",
        polling_interval=10,
        data_path_parameter_name="input",
    )
    rows = export()
    assert {row["name"]: (row["api"], row["result"], row["dag_id"]) for row in rows} == {
        "nightly": ("v1", "written", "azureml_nightly"),
        "on change": ("v1", "written", "azureml_on_change"),
        "weekdays": ("v2", "written", "azureml_weekdays"),
    }
    texts = {row["name"]: Path(row["file"]).read_text() for row in rows}
    assert 'TIMES = CronTriggerTimetable("0 7 * * *", timezone="Asia/Seoul")' in texts["nightly"]
    assert 'pipeline_id="quick"' in texts["nightly"]
    assert 'CronTriggerTimetable("0 7 * * 1-5", timezone="Asia/Seoul")' in texts["weekdays"]
    assert '"input": DataPath("store", "in")' in texts["weekdays"]
    assert "poke_interval=600" in texts["on change"]
    assert 'lambda change: {"input": change}' in texts["on change"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "azureml_nightly.py",
        "azureml_on_change.py",
        "azureml_weekdays.py",
    ]


def test_a_second_export_changes_nothing(export, tmp_path, nightly):
    export()
    before = (tmp_path / "azureml_nightly.py").stat()
    (row,) = export()
    assert row["result"] == "unchanged"
    assert (tmp_path / "azureml_nightly.py").stat().st_mtime_ns == before.st_mtime_ns


def test_a_schedule_that_has_changed_updates_its_file(export, tmp_path, workspace):
    make_job_schedule("weekdays", parameters={"count": 8})
    export()
    make_job_schedule("weekdays", parameters={"count": 9}, if_exists="update")
    (row,) = export()
    assert row["result"] == "updated"
    assert '"count": "9"' in (tmp_path / "azureml_weekdays.py").read_text()


def test_a_schedule_that_a_task_manages_is_exported_only_by_its_name(export, workspace):
    make_job_schedule("managed")
    own = {"airflow.schedule_key": "k", "airflow.schedule_dag_id": "a_dag", "airflow.schedule_task_id": "a_task"}
    workspace.state.job_schedules.get("managed").properties["properties"] = own
    (row,) = export(code=1)
    assert row["result"] == "not exported"
    assert "managed by task 'a_task' of DAG 'a_dag'" in row["notes"][0]
    (row,) = export("--schedule", "managed")
    assert row["result"] == "written"


def test_an_edited_file_stays_as_it_is(export, tmp_path, nightly):
    export()
    path = tmp_path / "azureml_nightly.py"
    path.write_text(path.read_text() + "# mine\n")
    before = path.read_bytes()
    (row,) = export()
    assert row["result"] == "edited"
    assert "Delete it" in row["notes"][0]
    assert path.read_bytes() == before


def test_the_file_of_somebody_else_stays_as_it_is(export, tmp_path, nightly):
    (tmp_path / "azureml_nightly.py").write_text("mine\n")
    (row,) = export()
    assert row["result"] == "written"
    assert row["dag_id"].startswith("azureml_nightly_")
    assert (tmp_path / "azureml_nightly.py").read_text() == "mine\n"


@pytest.mark.parametrize("name", NASTY)
def test_a_name_is_harmless(export, tmp_path, name):
    make(name, parameters={"count": 7}, description=name)
    (row,) = export()
    assert [path.parent for path in tmp_path.iterdir()] == [tmp_path]
    imported = [node for node in ast.walk(ast.parse(Path(row["file"]).read_text())) if isinstance(node, ast.Import)]
    assert imported == []


def test_a_schedule_that_airflow_cannot_have_is_named_with_the_reason(export, tmp_path):
    make("odd", recurrence=DAILY._replace(interval=3, time_zone="Europe/Berlin"))
    (row,) = export(code=1)
    assert (row["result"], row["file"]) == ("not exported", None)
    assert "fires every 3 days at 07:00 in Europe/Berlin" in row["notes"][0]
    assert list(tmp_path.iterdir()) == []


def test_a_difference_at_a_clock_change_can_be_accepted(export, tmp_path):
    make("night", recurrence=DAILY._replace(time_zone="Europe/Berlin", time_of_day="2:30"))
    (row,) = export(code=1)
    assert "--accept-clock-changes" in row["notes"][0]
    (row,) = export("--accept-clock-changes")
    assert row["result"] == "written"
    assert "around a clock change" in row["notes"][0]
    assert "around a clock change" in (tmp_path / "azureml_night.py").read_text().replace("\n#   ", " ")


def test_a_dry_run_writes_nothing_and_prints_the_files(cli, tmp_path, nightly):
    answer = cli("schedules", "export", "--dag-dir", str(tmp_path), "--dry-run")
    assert answer.code == 0
    assert "would be written" in answer.out
    assert "AzureMLRunPipelineOperator(" in answer.out
    assert list(tmp_path.iterdir()) == []


def test_one_schedule_is_chosen_by_its_name_or_id(export, nightly):
    other = make("other")
    assert [row["name"] for row in export("--schedule", "nightly")] == ["nightly"]
    assert [row["name"] for row in export("--schedule", other.id)] == ["other"]
    assert [row["name"] for row in export("--api", "v1")] == ["nightly", "other"]
    assert export("--api", "v2") == []


def test_a_schedule_that_does_not_exist_is_an_error(cli, tmp_path):
    answer = cli("schedules", "export", "--dag-dir", str(tmp_path), "--schedule", "nihgtly")
    assert (answer.code, answer.out) == (1, "")
    assert "no native schedule 'nihgtly'" in answer.err


def test_disabled_schedules_are_exported_only_on_request(export, nightly):
    AzureMLHook().disable_schedule(nightly.id)
    assert export() == []
    (row,) = export("--all")
    assert row["result"] == "written"
    assert "neither of them starts runs" in row["notes"][-1]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--dag-dir", "/nowhere"), "is not a folder"),
        (("--dag-dir", "/", "--dry-run", "--disable"), "not both"),
    ],
)
def test_options_that_do_not_fit_are_refused(cli, options, reason):
    answer = cli("schedules", "export", *options)
    assert answer.code == 2
    assert reason in answer.err


def test_a_connection_with_another_name_is_written(cli, tmp_path, nightly, workspace, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(workspace.connection()))
    answer = cli("schedules", "export", "--dag-dir", str(tmp_path), "--conn-id", "other")
    assert answer.code == 0
    assert 'azureml_conn_id="other"' in (tmp_path / "azureml_nightly.py").read_text()


def test_data_paths_and_a_signature(export, tmp_path):
    make("signed", data_paths={"input": DataPath("store", "in/a?sv=1&sig=abcdefghijklmnop")})
    (row,) = export()
    assert "has a signature" in row["notes"][0]
    assert "abcdefghijklmnop" not in (tmp_path / "azureml_signed.py").read_text()


def test_without_a_database_nothing_is_disabled(tmp_path, nightly):
    # A process of its own: this one may have a database by now.
    folder = tmp_path / "dags"
    folder.mkdir()
    options = ["schedules", "export", "--dag-dir", str(folder), "--disable", "--yes"]
    done = subprocess.run(
        [sys.executable, "-m", "aml_provider", *options],
        env=os.environ | {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/empty.db"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Airflow's database cannot be read" in done.stderr
    assert AzureMLHook().get_schedule(nightly.id).is_active
