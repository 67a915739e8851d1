"""The sensor for a run that was started elsewhere, on a worker and deferred."""

from __future__ import annotations

import contextlib
import logging
import time

import pytest
from support.drivers.ending import FLAGS, MODES, end, modes
from support.drivers.watching import context_of

from aml_provider.client.errors import RunFailed
from aml_provider.compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger
from aml_provider.worker.poke_run import RunPoke


@pytest.fixture
def started(workspace, kept_in_memory):
    def submit(pipeline_id="quick"):
        return AzureMLHook().submit_pipeline(pipeline_id, experiment_name="others").id

    return submit


def run_sensor(run_id, **arguments):
    defaults = {"task_id": "wait", "run_id": run_id, "poke_interval": 0.1, "timeout": 60}
    return AzureMLPipelineRunSensor(**{**defaults, **arguments})


@modes
def test_a_run_that_finishes_is_returned(mode, started, workspace):
    if mode == "deferrable":
        workspace.clock.hold()  # until it has deferred
    run_id = started()
    result, deferrals = end(run_sensor(run_id, **MODES[mode]), workspace.clock.release)
    assert result == run_id
    assert len(deferrals) == (mode == "deferrable")


@modes
def test_a_run_that_failed_says_why(mode, started):
    with pytest.raises(RunFailed, match=r"failed.*score.*row 2 is empty[\s\S]*oh no[\s\S]*See http"):
        end(run_sensor(started("fails"), **MODES[mode]))


@modes
def test_a_run_that_was_cancelled_fails_for_good(mode, started, workspace):
    run_id = started("long")

    def cancel():
        AzureMLHook().cancel_run(run_id)

    if mode == "poke":
        cancel()
    with pytest.raises(AirflowFailException, match=f"Run {run_id} was cancelled"):
        end(run_sensor(run_id, **MODES[mode]), cancel)


@modes
def test_a_run_that_does_not_exist_fails_for_good(mode, started):
    with pytest.raises(AirflowFailException, match="404"):
        end(run_sensor("no-such-run", **MODES[mode]))


@modes
@pytest.mark.parametrize("flag", FLAGS)
def test_a_timeout_leaves_the_run_alone(mode, flag, started, workspace):
    run_id = started("long")
    before = len(workspace.sent())
    with pytest.raises(AirflowSensorTimeout if flag == "plain" else AirflowSkipException):
        end(run_sensor(run_id, timeout=0.4, **FLAGS[flag], **MODES[mode]))
    assert workspace.status(run_id) == "Running"
    assert len(workspace.sent()) == before


@modes
def test_an_outage_does_not_end_the_wait(mode, started, workspace):
    run_id = started()
    workspace.faults.add("status", status=503, times=2)
    assert end(run_sensor(run_id, **MODES[mode]))[0] == run_id


def test_a_busy_workspace_is_left_to_the_next_poll(started, workspace, pauses, monkeypatch):
    """It would hold a worker for an hour."""
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "120")
    task, context = run_sensor(started()), context_of()
    workspace.faults.add("status", status=429, retry_after=45, times=3)
    assert not task.poke(context).is_done
    assert pauses == [45.0, 45.0]


@modes
def test_the_timeout_includes_outages(mode, started, workspace):
    run_id = started("long")
    with contextlib.ExitStack() as faults:
        faults.callback(workspace.faults.clear)
        with pytest.raises(AirflowSensorTimeout):
            end(
                run_sensor(run_id, timeout=0.5, **MODES[mode]),
                lambda: workspace.faults.add("status", status=503, times=1000),
            )


TRIGGER_TIMEOUTS = pytest.mark.parametrize(
    "error", ["Trigger timeout", "Trigger/execution timeout"], ids=["3.3", "2.11"]
)


def abandoned(workspace, run_id, **arguments):
    """A sensor that has deferred, as the process that resumes it has it."""
    workspace.clock.hold()
    with pytest.raises(TaskDeferred):
        run_sensor(run_id, deferrable=True, **arguments).execute(context_of())
    workspace.clock.release()
    return run_sensor(run_id, deferrable=True, **arguments)


# github.com/apache/airflow/issues/44759
@TRIGGER_TIMEOUTS
def test_a_run_that_finished_is_found_although_no_triggerer_answered_in_time(error, started, workspace):
    run_id = started()
    task = abandoned(workspace, run_id)
    workspace.clock.advance(3600)
    assert task.resume_execution("__fail__", {"error": error}, context_of()) == run_id


@TRIGGER_TIMEOUTS
@pytest.mark.parametrize("flag", FLAGS)
def test_a_wait_that_no_triggerer_answered_in_time_is_a_timeout(flag, error, started, workspace):
    task = abandoned(workspace, started("long"), **FLAGS[flag])
    with pytest.raises(AirflowSensorTimeout if flag == "plain" else AirflowSkipException):
        task.resume_execution("__fail__", {"error": error}, context_of())


def test_the_sensors_trigger_never_cancels_the_run(started):
    with pytest.raises(TaskDeferred) as caught:
        run_sensor(started("long"), deferrable=True).execute(context_of())
    assert isinstance(caught.value.trigger, AzureMLPipelineRunTrigger)
    assert caught.value.trigger.cancel_on_kill is False


class Paced(AzureMLPipelineRunSensor):
    """Counts the pauses that it makes on a worker."""

    log = logging.getLogger("tests.sensor")

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.pauses = 0

    def _get_next_poke_interval(self, *args, **kwargs):
        self.pauses += 1
        return super()._get_next_poke_interval(*args, **kwargs)


def test_a_triggerer_that_cannot_read_the_run_does_not_make_the_sensor_spin(started, workspace, caplog):
    """For example if only the workers have the connection, or the permission."""
    workspace.clock.hold()
    sensor = Paced(task_id="wait", run_id=started(), poke_interval=0.1, timeout=60, deferrable=True)
    deferrals = []

    def meanwhile():
        if len(deferrals) <= 3:
            workspace.faults.add("status", status=403, times=1)
        else:
            workspace.clock.release()

    end(sensor, meanwhile, deferrals)
    assert len(deferrals) == 4
    assert sensor.pauses == 3
    lines = [record.getMessage() for record in caplog.records if "The triggerer could not read" in record.getMessage()]
    assert len(lines) == 3
    assert all("403" in line for line in lines)


def test_a_run_without_an_experiment_is_polled_on_the_worker(started, workspace):
    """Triggers share polls by experiment, so such a trigger would fire immediately, again and again."""
    poke = RunPoke(started("long"), "azureml_default", logging.getLogger("tests.sensor"), time.time() + 60)
    workspace.only_run().experiment = ""
    assert poke.poll() is None
    assert poke.trigger(0.1, time.time() + 60) is None
