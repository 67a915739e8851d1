"""The metrics of deferred runs in a triggerer: how many wait, how old their status is, and what polls cost."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref

from support.airflow.task import TaskInstance
from support.drivers.driving import one
from support.drivers.held_loop import held, passed_until
from support.services.local_workspace import serving
from support.services.recorded_workspace import TOKEN

from aml_provider.client import calls
from aml_provider.client.http.clients import Client
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.triggerer import run_poller
from aml_provider.triggers import pipeline
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger

INTERVAL = 10.0


def submit(times, pipeline="long", conn_id="azureml_default"):
    with Client(AzureMLHook(conn_id).settings()) as client:
        return [client.run(one(calls.submit_pipeline(pipeline, {"ExperimentName": "exp"}))).id for _ in range(times)]


def start(run_ids, conn_id="azureml_default"):
    async def fire(run_id):
        trigger = AzureMLPipelineRunTrigger(run_id, "exp", poll_interval=INTERVAL, azureml_conn_id=conn_id)
        return [event.payload async for event in trigger.run()]

    return [asyncio.create_task(fire(run_id)) for run_id in run_ids]


async def stop(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def connect(monkeypatch, workspace, conn_id, password=TOKEN):
    connection = {**workspace.connection(), "password": password}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    return conn_id


def values(statsd, name, **tags):
    return [sample.value for sample in statsd.samples(f"airflow.azureml.{name}") if tags.items() <= sample.tags.items()]


@held
async def test_the_runs_of_each_connection_are_gauged_until_none_is_left(workspace, statsd, monkeypatch):
    connect(monkeypatch, workspace, "other")
    here, there = start(submit(3)), start(submit(2, conn_id="other"), "other")
    try:
        await passed_until(lambda: values(statsd, "waiting", conn_id="azureml_default")[-1:] == [3], step=1.0)
        await passed_until(lambda: values(statsd, "waiting", conn_id="other")[-1:] == [2], step=1.0)
        await stop(there)
        await passed_until(lambda: values(statsd, "waiting", conn_id="other")[-1:] == [0], step=1.0)
        assert values(statsd, "waiting", conn_id="azureml_default")[-1] == 3
    finally:
        await stop([*here, *there])
    await passed_until(lambda: values(statsd, "waiting", conn_id="azureml_default")[-1:] == [0], step=1.0)
    assert not run_poller._GAUGES.here._is_running, "nothing is reported when nobody waits"


def test_a_loop_that_ends_before_its_gauges_are_due_is_freed(workspace):
    """``dag.test()`` and tests have a loop for each trigger."""

    async def wait():
        tasks = start(submit(1))
        while not run_poller._GAUGES.here._is_running:  # noqa: ASYNC110 - a connection is read on another thread
            await asyncio.sleep(0.01)
        await stop(tasks)
        return weakref.ref(asyncio.get_running_loop())

    # asgiref refers to the last loop.
    loop, _ = asyncio.run(wait()), asyncio.run(wait())
    gc.collect()
    assert loop() is None


@held
async def test_the_age_grows_while_no_poll_succeeds(workspace, statsd, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "100000")
    tasks = start(submit(2))
    try:
        await passed_until(lambda: values(statsd, "waiting"), step=1.0)
        await passed_until(lambda: len(values(statsd, "poll.age")) > 5, step=1.0)
        assert max(values(statsd, "poll.age")) < 3 * INTERVAL
        workspace.faults.add("status", status=503, times=100_000)
        await passed_until(lambda: max(values(statsd, "poll.age")) > 20 * INTERVAL, step=10.0)
        await passed_until(lambda: statsd.counts().get("errors.ServerFault", 0) >= 2, step=10.0)
        workspace.faults.clear()
        await passed_until(lambda: values(statsd, "poll.age")[-1] < 2 * INTERVAL, step=1.0)
    finally:
        await stop(tasks)


@held
async def test_a_throttled_service_is_counted_and_ages_the_status(workspace, statsd):
    tasks = start(submit(2))
    try:
        await passed_until(lambda: "poll.requests" in statsd.counts(), step=1.0)
        workspace.faults.add("status", status=429, retry_after=300, times=1)
        await passed_until(lambda: "throttled" in statsd.counts(), step=1.0)
        await passed_until(lambda: max(values(statsd, "poll.age")) > 200, step=10.0)
        assert statsd.counts("conn_id")[("errors.Throttled", "azureml_default")] == 1
    finally:
        await stop(tasks)


@held
async def test_each_request_of_a_poll_is_counted(workspace, statsd):
    run_ids = submit(5, "quick")
    before = len(workspace.requests())
    tasks = start(run_ids)
    await passed_until(lambda: all(task.done() for task in tasks), step=1.0)
    assert statsd.counts() == {"poll.requests": len(workspace.requests()) - before}


class Killed(AzureMLPipelineRunTrigger):
    """Airflow answers that the task has failed."""

    def task_state(self):
        return "failed", None


async def test_a_person_who_ends_a_deferred_task_cancels_one_run(statsd, monkeypatch):
    """The service takes its time, and Airflow calls on_kill more than once."""
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "tests")
    monkeypatch.setattr(pipeline, "_CANCEL_TIMEOUT", 0.0)
    with serving(monkeypatch, quirks=["slow_cancel=36000s"]) as workspace:
        (run_id,) = submit(1)
        trigger = Killed(run_id, "exp", poll_interval=INTERVAL, durable=False)
        trigger.task_instance = TaskInstance()
        await trigger.on_kill()
        await trigger.on_kill()
        assert len(workspace.requests("DELETE", "Execution")) == 2
    counts = statsd.counts("conn_id", "dag_id", "task_id")
    assert counts == {("cancelled.killed", "azureml_default", "dag", "run"): 1}
