"""The example DAGs for native schedules, run whole inside this process against the emulator."""

from __future__ import annotations

import json
import os

import pytest

from aml_provider.emulator.server import EmulatorServer

pytestmark = [
    pytest.mark.usefixtures("azureml_default"),
    # Airflow 2.11 itself copies the whole context to render a map_index_template.
    pytest.mark.filterwarnings("ignore:Accessing '.*' from the template is deprecated"),
]


def run(dag_bag, dag_id):
    dag_run = dag_bag.dags[dag_id].test()
    assert str(dag_run.state) == "success"
    return dag_run


def result(dag_run, task_id):
    (ti,) = [ti for ti in dag_run.get_task_instances() if ti.task_id == task_id]
    return ti.xcom_pull(task_ids=task_id)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    from aml_provider.worker import create_schedule

    monkeypatch.setattr(create_schedule, "_POLL_INTERVAL", 0.2)


@pytest.mark.parametrize("kind", ["time", "change"])
def test_a_schedule_is_made_once_and_disabled(dag_bag, emulator, kind):
    # Whatever the time of day is, seven o'clock in Korea does not come meanwhile.
    emulator.clock.hold()
    for _ in range(2):
        made = run(dag_bag, f"azureml_native_schedule_{kind}_based")
        (schedule,) = emulator.state.schedules.all()
        assert result(made, "schedule") == schedule.id
        assert schedule.status == "Active"
    if kind == "time":
        assert (schedule.recurrence.hours, schedule.recurrence.time_zone) == ((7,), "Korea Standard Time")
    else:
        assert (schedule.trigger.path, schedule.trigger.data_path_parameter) == ("incoming", "input_datapath")
    run(dag_bag, f"azureml_native_schedule_{kind}_based_stop")
    assert [item.status for item in emulator.state.schedules.all()] == ["Disabled"]
    assert list(emulator.state.runs) == []


def test_a_task_that_defers_while_the_schedule_is_set_up_ends_with_it(dag_bag, azurite, monkeypatch):
    with EmulatorServer(seed="demo", blob_endpoint=azurite.blob_endpoint, quirks=["provisioning=2s"]) as emulator:
        connection = json.loads(os.environ["AIRFLOW_CONN_AZUREML_DEFAULT"])
        connection["extra"]["endpoint"] = emulator.url
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        made = run(dag_bag, "azureml_native_schedule_time_based")
        (schedule,) = emulator.state.schedules.all()
        assert result(made, "schedule") == schedule.id
        assert emulator.state.schedules.provisioning(schedule) == "Completed"
