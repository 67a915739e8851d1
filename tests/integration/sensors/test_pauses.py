"""When a sensor polls again on a worker after the service has asked for a longer pause: within its timeout."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.exceptions import AirflowRescheduleException
from support.drivers.clocks import clock_standing
from support.drivers.watching import context_of, variables_in_memory

from aml_provider.compat import AIRFLOW_V_3_0_PLUS, TaskDeferred
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor

SENSORS = {
    AzureMLPipelineRunSensor: {"run_id": "any"},
    AzureMLScheduleRunSensor: {"schedule_name": "any", "since": "2026-01-01"},
    AzureBlobChangeSensor: {"datastore": "any"},
}
each_sensor = pytest.mark.parametrize("kind", SENSORS, ids=lambda kind: kind.__name__)


@pytest.fixture(autouse=True)
def _busy(workspace, kept_in_memory, monkeypatch):
    """A workspace that asks for ten minutes, longer than a poll may wait."""
    variables_in_memory(monkeypatch)
    workspace.faults.add("status", status=429, retry_after=600, times=1000)
    yield
    workspace.faults.clear()


@pytest.fixture
def context(monkeypatch):
    """The context of a process that Airflow started after a pause, or that of the first process."""

    def make(first_start=None):
        found = context_of()
        if AIRFLOW_V_3_0_PLUS:
            found["ti"].get_first_reschedule_date = lambda _: first_start
        else:
            # It asks Airflow's database.
            monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **_: first_start)
        return found

    return make


def sensor(kind, **arguments):
    return kind(**{"task_id": "watch", "poke_interval": 60, "timeout": 3600, **SENSORS[kind], **arguments})


def next_poll(kind, context, **arguments):
    """The least and the most seconds after which Airflow starts the sensor again: it reads a clock meanwhile."""
    before = datetime.now(UTC)
    with pytest.raises(AirflowRescheduleException) as caught:
        sensor(kind, mode="reschedule", **arguments).execute(context)
    date = caught.value.reschedule_date
    return (date - datetime.now(UTC)).total_seconds(), (date - before).total_seconds()


@each_sensor
def test_a_pause_that_the_service_asks_for_is_kept_on_a_worker(kind, context):
    least, most = next_poll(kind, context())
    assert least <= 600 <= most


@each_sensor
def test_a_longer_interval_of_the_author_is_kept(kind, context):
    least, most = next_poll(kind, context(), poke_interval=900)
    assert least <= 900 <= most


@each_sensor
def test_a_pause_ends_with_the_timeout_which_began_with_the_first_process(kind, context):
    """Airflow starts a new process for each poll."""
    with clock_standing() as now:
        least, most = next_poll(kind, context(now - timedelta(minutes=56)))
    # Clocks of different precision were read.
    assert least - 0.001 <= 240 <= most + 0.001


@pytest.mark.parametrize("kind", [AzureMLScheduleRunSensor, AzureBlobChangeSensor], ids=lambda kind: kind.__name__)
def test_a_trigger_waits_as_long_as_the_service_asked_its_worker(kind, context):
    with pytest.raises(TaskDeferred) as caught:
        sensor(kind, deferrable=True).execute(context())
    assert caught.value.trigger.only_wait
    assert caught.value.trigger.poll_interval == 600
