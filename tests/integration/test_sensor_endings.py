"""How sensors end, on a worker and deferred: time, flags, faults; and the sensor for a run that others started."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from support.folder import ContainerServer
from support.watching import context_of, fire, sensor, variables_in_memory

from aml_provider.client.errors import RunFailed
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.state.cursor import VariableCursorStore
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger

MODES = {"poke": {}, "deferrable": {"deferrable": True}}
FLAGS = {"plain": {}, "soft_fail": {"soft_fail": True}, "never_fail": {"never_fail": True}}
modes = pytest.mark.parametrize("mode", MODES)


def end(task, meanwhile=lambda: None, deferrals=None):
    """Run a sensor to its end, each trigger from what Airflow stores of it; the result and the deferrals."""
    context, deferrals = context_of(), [] if deferrals is None else deferrals
    step = task.execute
    while True:
        try:
            return step(context), deferrals
        except TaskDeferred as deferral:
            deferrals.append(deferral)
            meanwhile()
            _, arguments = deferral.trigger.serialize()
            event = fire(type(deferral.trigger)(**json.loads(json.dumps(arguments))))
            kwargs = {**(deferral.kwargs or {}), "event": event}

            def step(context, method=deferral.method_name, kwargs=kwargs):
                return task.resume_execution(method, kwargs, context)


@pytest.fixture
def folder(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")
    variables_in_memory(monkeypatch)
    with ContainerServer() as server:
        names = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w", "region": "westeurope"}
        extra = names | {"auth_method": "static_token", "blob_endpoint": server.url}
        connection = {"conn_type": "azureml", "password": "static-token", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        container = server.container("landing")
        container.url = f"{server.url}/landing"
        yield container


def watch(folder, **arguments):
    return sensor(**{"container_url": folder.url, "timeout": 0.3, **arguments})


def nothing(folder, monkeypatch):
    """Time passes, and nothing arrives."""


def refused(folder, monkeypatch):
    folder.failures = [200] + [403] * 1000


def store_away(folder, monkeypatch):
    def read(store):
        raise RuntimeError("the database is away")

    monkeypatch.setattr(VariableCursorStore, "_read", read)


ENDINGS = {
    (nothing, "plain"): AirflowSensorTimeout,
    (nothing, "soft_fail"): AirflowSkipException,
    # Airflow's own loop on a worker does not apply never_fail to the timeout, its way back from a deferral does.
    (nothing, "never_fail"): {"poke": AirflowSensorTimeout, "deferrable": AirflowSkipException},
    (refused, "plain"): AirflowFailException,
    (refused, "soft_fail"): AirflowSkipException,
    (refused, "never_fail"): AirflowSkipException,
    (store_away, "plain"): RuntimeError,
    (store_away, "soft_fail"): RuntimeError,
    (store_away, "never_fail"): AirflowSkipException,
}


@modes
@pytest.mark.parametrize(("cause", "flag"), ENDINGS, ids=lambda part: getattr(part, "__name__", part))
def test_a_cause_ends_the_sensor_alike_in_both_modes(cause, flag, mode, folder, monkeypatch):
    ending = ENDINGS[cause, flag]
    cause(folder, monkeypatch)
    with pytest.raises(ending if isinstance(ending, type) else ending[mode]):
        # Only where nothing else ends it, time does: a slow machine must not be faster than the cause.
        end(watch(folder, **FLAGS[flag], **MODES[mode], timeout=0.3 if cause is nothing else 60))


@modes
@pytest.mark.parametrize("interval", [0.2, timedelta(milliseconds=200)], ids=["seconds", "timedelta"])
def test_what_arrives_in_time_is_taken(mode, interval, folder):
    task = watch(folder, timeout=60, poke_interval=interval, **MODES[mode])
    folder.arrivals = {2: "incoming/a"}
    taken, deferrals = end(task)
    assert [change["name"] for change in taken] == ["a"]
    assert len(deferrals) == (mode == "deferrable")


def test_a_timeout_of_nothing_looks_once(folder):
    with pytest.raises(AirflowSensorTimeout):
        end(watch(folder, timeout=0, deferrable=True))
    assert len(folder.asked) == 1


def test_the_timeout_spans_all_deferrals(folder):
    """The first look fails again and again, so the trigger hands over again and again."""
    folder.failures = [503] * 1000
    deferrals = []
    with pytest.raises(AirflowSensorTimeout):
        end(watch(folder, timeout=0.7, poke_interval=0.1, deferrable=True), deferrals=deferrals)
    assert len(deferrals) > 1
    assert len({deferral.trigger.deadline for deferral in deferrals}) == 1


def test_airflow_ends_the_deferral_only_when_no_triggerer_did(folder):
    begin = time.time()
    with pytest.raises(TaskDeferred) as caught:
        watch(folder, timeout=1000, deferrable=True).execute(context_of())
    assert begin + 1000 <= caught.value.trigger.deadline <= time.time() + 1000
    assert 1000 < caught.value.timeout.total_seconds() < 1200


def test_a_poke_interval_too_short_for_a_trigger_is_named(folder):
    with pytest.raises(AirflowFailException, match=r"poke_interval: is 0\.01 s; it must be at least 0.1 s"):
        watch(folder, poke_interval=0.01, deferrable=True).execute(context_of())


# --- a run that somebody else started ---


@pytest.fixture
def started(workspace, kept_in_memory):
    def submit(pipeline_id="quick"):
        return AzureMLHook().submit_pipeline(pipeline_id, experiment_name="others").id

    return submit


def run_sensor(run_id, **arguments):
    defaults = {"task_id": "wait", "run_id": run_id, "poke_interval": 0.1, "timeout": 60}
    return AzureMLPipelineRunSensor(**{**defaults, **arguments})


@modes
def test_a_run_that_ends_well_is_returned(mode, started, workspace):
    run_id = started()
    if mode == "deferrable":
        workspace.clock.hold()  # until it has deferred
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
@pytest.mark.parametrize("flag", ["plain", "soft_fail"])
def test_time_up_leaves_the_run_alone(mode, flag, started, workspace):
    run_id = started("long")
    before = len(workspace.sent())
    expected = (
        AirflowSensorTimeout if flag == "plain" or (flag, mode) == ("never_fail", "poke") else AirflowSkipException
    )
    with pytest.raises(expected):
        end(run_sensor(run_id, timeout=0.4, **FLAGS[flag], **MODES[mode]))
    assert workspace.status(run_id) == "Running"
    assert len(workspace.sent()) == before


@modes
def test_an_outage_says_nothing_about_the_run(mode, started, workspace):
    run_id = started()
    workspace.faults.add("status", status=503, times=2)
    assert end(run_sensor(run_id, **MODES[mode]))[0] == run_id


@modes
def test_an_outage_does_not_stop_the_time(mode, started, workspace):
    run_id = started("long")
    with contextlib.ExitStack() as faults:
        faults.callback(workspace.faults.clear)
        with pytest.raises(AirflowSensorTimeout):
            end(
                run_sensor(run_id, timeout=0.5, **MODES[mode]),
                lambda: workspace.faults.add("status", status=503, times=1000),
            )


def test_the_trigger_of_a_run_that_is_not_ours_never_cancels_it(started):
    with pytest.raises(TaskDeferred) as caught:
        run_sensor(started("long"), deferrable=True).execute(context_of())
    assert isinstance(caught.value.trigger, AzureMLPipelineRunTrigger)
    assert caught.value.trigger.cancel_on_kill is False
