"""Exported DAGs in Airflow start the runs of the native schedules."""

from __future__ import annotations

from support.airflow.native_schedules import make, make_polling
from support.drivers.command_line import CommandLine

from aml_provider.hooks.azure_ml import AzureMLHook

NAME = '"); import os'


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
        make_polling("on change", emulator)
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
