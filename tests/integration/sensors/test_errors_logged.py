"""The errors of a sensor are in its log, even if Airflow shows the task as skipped."""

from __future__ import annotations

import logging
from contextvars import copy_context

import pytest
from support.drivers.ending import end
from support.drivers.watching import context_of, variables_in_memory

from aml_provider.client.errors import RunFailed
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AirflowFailException, AirflowSkipException, TaskDeferred
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor

SENSORS = {
    AzureMLPipelineRunSensor: {"run_id": "no-such-run"},
    AzureMLScheduleRunSensor: {"schedule_name": "no-such-schedule", "since": "2026-01-01"},
    AzureBlobChangeSensor: {"datastore": "no-such-store"},
}
MODES = {"poke": {}, "reschedule": {"mode": "reschedule"}, "deferrable": {"deferrable": True}}
FLAGS = ("soft_fail", "never_fail")

each_sensor = pytest.mark.parametrize("kind", SENSORS, ids=lambda kind: kind.__name__)
each_mode = pytest.mark.parametrize("mode", MODES)
each_flag = pytest.mark.parametrize("flag", FLAGS)


@pytest.fixture(autouse=True)
def _workspace(workspace, kept_in_memory, monkeypatch):
    variables_in_memory(monkeypatch)
    if not AIRFLOW_V_3_0_PLUS:
        # It asks Airflow's database.
        monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **_: None)


def sensor(kind, mode, **arguments):
    # Airflow 3 logs past the standard library.
    logged = type(kind.__name__, (kind,), {"log": logging.getLogger("tests.sensor")})
    defaults = {"task_id": "watch", "poke_interval": 0.1, "timeout": 60}
    return logged(**{**defaults, **SENSORS[kind], **MODES[mode], **arguments})


def context(mode):
    found = context_of()
    if mode == "reschedule":
        found["ti"].get_first_reschedule_date = lambda _: None
    return found


def errors(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def run(task, mode):
    if mode == "reschedule":
        return task.execute(context(mode))
    return end(task)


@each_sensor
@each_mode
@each_flag
def test_an_error_of_configuration_is_logged_before_the_skip(kind, mode, flag, caplog):
    with pytest.raises(AirflowSkipException):
        run(sensor(kind, mode, **{flag: True}), mode)
    (said,) = errors(caplog)
    assert flag in said
    assert "no-such" in said


@each_sensor
@each_mode
@each_flag
def test_a_missing_connection_is_logged(kind, mode, flag, caplog):
    expected = AirflowSkipException if flag == "never_fail" else Exception
    with pytest.raises(expected):
        run(sensor(kind, mode, azureml_conn_id="nowhere", **{flag: True}), mode)
    assert any("nowhere" in line for line in errors(caplog))


@each_sensor
@each_flag
def test_an_error_after_a_deferral_is_logged_once(kind, flag, caplog):
    """On its way back Airflow turns more errors into a skip than on a worker, and passes each one twice."""
    task = sensor(kind, "deferrable", **{flag: True})
    with pytest.raises(AirflowSkipException):
        task.resume_execution("execute_complete", {"event": {}}, context("deferrable"))
    assert len(errors(caplog)) == 1
    assert "no-such" in errors(caplog)[0]


@each_mode
def test_a_run_that_failed_is_logged_with_its_reason(mode, caplog):
    run_id = AzureMLHook().submit_pipeline("fails", experiment_name="others").id
    task = sensor(AzureMLPipelineRunSensor, mode, run_id=run_id, never_fail=True)
    if mode == "reschedule":
        with pytest.raises(RunFailed):
            end(sensor(AzureMLPipelineRunSensor, "poke", run_id=run_id))
    with pytest.raises(AirflowSkipException):
        run(task, mode)
    assert any("row 2 is empty" in line for line in errors(caplog))


@each_sensor
@each_mode
def test_without_a_flag_airflow_itself_logs_the_error(kind, mode, caplog):
    with pytest.raises(AirflowFailException, match="no-such"):
        run(sensor(kind, mode), mode)
    assert errors(caplog) == []


@each_mode
@each_flag
def test_a_timeout_is_not_logged_as_an_error(flag, mode, caplog):
    run_id = AzureMLHook().submit_pipeline("long", experiment_name="others").id
    task = sensor(AzureMLPipelineRunSensor, mode, run_id=run_id, timeout=0, **{flag: True})
    with pytest.raises(AirflowSkipException) as skip, caplog.at_level(logging.INFO):
        run(task, mode)
    assert errors(caplog) == []
    said = [str(skip.value), *(record.getMessage() for record in caplog.records)]
    assert any("timeout of 0" in line for line in said)


@each_flag
def test_a_deferral_that_no_triggerer_answered_is_a_skip(flag):
    task = sensor(AzureMLPipelineRunSensor, "deferrable", **{flag: True})
    with pytest.raises(AirflowSkipException):
        task.resume_execution("__fail__", {"error": "Trigger timeout"}, context("deferrable"))


@each_sensor
@pytest.mark.parametrize("step", ["execute", "resume_execution"])
def test_airflow_takes_no_step_for_a_call_from_outside_the_task(kind, step, monkeypatch):
    """In its own test mode it lets everything pass."""
    task, context = sensor(kind, "deferrable", allow_nested_operators=False), context_of()
    arguments = ("execute_complete", {"event": {}}) if step == "resume_execution" else ()
    if AIRFLOW_V_3_0_PLUS:
        from airflow.sdk.bases.operator import ExecutorSafeguard

        sentinel = ExecutorSafeguard.sentinel_value
    else:
        from airflow.models.base import _sentinel as sentinel
        from airflow.models.baseoperator import ExecutorSafeguard
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", False)
    # As Airflow calls it.
    marked = {f"{type(task).__name__}__sentinel": sentinel} if step == "execute" else {}

    def call():
        if AIRFLOW_V_3_0_PLUS:
            ExecutorSafeguard.tracker.set(task)
        getattr(task, step)(*arguments, context, **marked)

    with pytest.raises(AirflowFailException, match="no-such"):
        copy_context().run(call)


@each_flag
def test_an_unexpected_error_is_logged_with_its_traceback(flag, caplog, monkeypatch):
    def broken(*_args):
        raise KeyError("odd")

    monkeypatch.setattr(AzureMLHook, "client", broken)
    with pytest.raises((AirflowSkipException, KeyError)):
        run(sensor(AzureMLPipelineRunSensor, "poke", **{flag: True}), "poke")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "KeyError('odd')" in record.getMessage()
    assert record.exc_info


def test_a_deferral_is_not_logged_as_an_error(caplog):
    run_id = AzureMLHook().submit_pipeline("long", experiment_name="others").id
    with pytest.raises(TaskDeferred):
        sensor(AzureMLPipelineRunSensor, "deferrable", run_id=run_id, soft_fail=True).execute(context("deferrable"))
    assert errors(caplog) == []
