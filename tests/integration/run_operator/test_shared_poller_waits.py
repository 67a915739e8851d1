"""Deferred runs that share a poller disturb each other in nothing: deadlines, log lines, impossible values."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from support.drivers.held_loop import held, passed_until
from support.drivers.shared_polls import (
    assert_nothing_is_left,
    connect,
    fire,
    queries,
    submit,
    until,
    waiting,
)
from support.drivers.watching import Said
from support.services.local_workspace import LONG

from aml_provider.client.errors import PermissionDenied
from aml_provider.triggerer import run_poller
from aml_provider.triggerer.run_poller import shared_poller
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger


@pytest.fixture(autouse=True)
def short_budget(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.6")


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert_nothing_is_left()


NONSENSE = [
    *({"poll_interval": value} for value in ("1", 0, -1.0, float("nan"), None)),
    *({"deadline": value} for value in ("tomorrow", float("nan"))),
]


@pytest.mark.parametrize("arguments", [*NONSENSE, {"run_id": 5}, {"experiment_name": None}], ids=str)
async def test_a_stored_trigger_with_an_impossible_value_disturbs_no_other_wait(workspace, arguments):
    """An interval of zero polled 180 times a second, a negative one ended every wait."""
    (run_id,) = submit(workspace, 1)
    before = len(workspace.requests())
    trigger = AzureMLPipelineRunTrigger(**{"run_id": run_id, "experiment_name": "exp"} | arguments)
    event = await asyncio.wait_for(anext(trigger.run()), 120)
    assert event.payload["outcome"] == "unwatched"
    assert next(iter(arguments)) in event.payload["message"]
    # Refused before it joins the other waits.
    assert len(workspace.requests()) == before
    trigger.task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
    trigger.task_state = lambda: ("deferred", run_id)
    await trigger.on_kill()


@pytest.mark.parametrize("arguments", NONSENSE, ids=str)
async def test_a_wait_that_cannot_begin_leaves_nothing_behind(workspace, arguments):
    (run_id,) = submit(workspace, 1)
    assert (await fire(run_id, **arguments))["outcome"] == "unwatched"
    assert len(asyncio.all_tasks()) == 1


async def test_a_poller_that_has_ended_refuses_waits(workspace):
    (run_id,) = submit(workspace, 1)
    poller = await shared_poller("azureml_default", "exp")
    arguments = {"poll_interval": 1.0, "log": print}
    assert await poller.wait(run_id, deadline=time.time(), **arguments) is None
    with pytest.raises(RuntimeError, match="has ended"):
        await poller.wait(run_id, deadline=None, **arguments)


async def test_each_wait_has_its_own_deadline_and_ends_alone(workspace):
    run_ids = submit(workspace, 6)
    async with waiting(run_ids[3:]) as others:
        event = await fire(run_ids[0], deadline=time.time() + 0.5)
        assert event["outcome"] == "deadline"
        async with waiting(run_ids[1:3]):
            await until(lambda: any(run_ids[1] in entry["body"]["filter"] for entry in queries(workspace)))
        seen = len(queries(workspace))
        await until(lambda: len(queries(workspace)) > seen + 1)
        assert run_ids[1] not in queries(workspace)[-1]["body"]["filter"]
        assert not any(task.done() for task in others.values())
        of_loop = run_poller._POLLERS.here
        (poller,) = of_loop.values()
    assert poller.is_over
    assert len(asyncio.all_tasks()) == 1


async def test_a_deadline_that_has_passed_fires_at_once(workspace):
    (run_id,) = submit(workspace, 1)
    assert (await fire(run_id, deadline=time.time() - 1))["outcome"] == "deadline"


async def test_progress_is_logged_for_each_wait(workspace):
    ok, bad = submit(workspace, 3, pipeline="quick"), submit(workspace, 1, pipeline="fails")
    logged = {}

    def log_of(run_id):
        logged[run_id] = []
        return lambda level, text: logged[run_id].append((level, text))

    poller = await shared_poller("azureml_default", "exp")
    await asyncio.gather(
        *(poller.wait(run_id, poll_interval=0.05, deadline=None, log=log_of(run_id)) for run_id in ok + bad)
    )
    for run_id in ok:
        assert logged[run_id][-1] == (logging.INFO, f"Run {run_id}: Finished (work Completed)")
    assert logged[bad[0]][-1] == (logging.INFO, f"Run {bad[0]}: Failed (read Completed, score Failed)")


@held
async def test_a_wait_without_news_logs_a_line_after_ten_minutes(workspace):
    (run_id,) = submit(workspace, 1)
    lines = []
    poller = await shared_poller("azureml_default", "exp")
    wait = poller.wait(run_id, poll_interval=10.0, deadline=None, log=lambda _, text: lines.append(text))
    task = asyncio.create_task(wait)
    try:
        waited = await passed_until(lambda: lines and "unchanged" in lines[-1], step=10.0)
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert waited >= 600
    assert re.fullmatch(rf"Run {run_id}: Running \(work \w+\), unchanged for \d+ min", lines[-1])
    assert len(lines) < 8, "no line for each poll"


class InOneThread(ThreadPoolExecutor):
    """Has no threads: what is submitted has been done when that returns."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


async def test_hundreds_of_waits_with_news_are_not_notified_in_one_turn_of_the_loop(workspace):
    first, *run_ids = submit(workspace, 61)
    turns = 0
    logged_at = []

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    poller = await shared_poller("azureml_default", "exp")
    lines = []
    waits = [
        asyncio.create_task(poller.wait(first, poll_interval=1.0, deadline=None, log=lambda *line: lines.append(line)))
    ]
    await until(lambda: lines)
    # The client has been built, in a thread. From now on each line shows in which turn its waiter was notified.
    asyncio.get_running_loop().set_default_executor(InOneThread())
    waits += [
        asyncio.create_task(
            poller.wait(run_id, poll_interval=1.0, deadline=None, log=lambda level, text: logged_at.append(turns))
        )
        for run_id in run_ids
    ]
    await until(lambda: len(logged_at) >= 60)
    for task in (*waits, turning):
        task.cancel()
    await asyncio.gather(*waits, turning, return_exceptions=True)
    assert max(Counter(logged_at).values()) <= 8


async def test_a_line_that_blocks_blocks_only_its_own_wait(workspace):
    """As on Airflow 3 while the triggerer's supervisor is busy and reads no lines."""
    blocked, other = submit(workspace, 2)
    is_read = threading.Event()
    poller = await shared_poller("azureml_default", "exp")

    def block(level, text):
        assert threading.current_thread() is not threading.main_thread(), "it would block the event loop"
        is_read.wait()

    waits = [
        asyncio.create_task(poller.wait(run_id, poll_interval=0.05, deadline=None, log=log))
        for run_id, log in ((blocked, block), (other, lambda level, text: None))
    ]
    try:
        workspace.clock.advance(LONG + 100)
        assert (await waits[1]).id == other
        assert not waits[0].done()
    finally:
        is_read.set()
    # What happened while the line blocked is not lost.
    assert (await waits[0]).id == blocked


async def test_an_error_while_a_line_blocks_is_not_lost(workspace):
    (run_id,) = submit(workspace, 1)
    is_read, lines = threading.Event(), []
    poller = await shared_poller("azureml_default", "exp")

    def log(level, text):
        lines.append(text)
        is_read.wait()

    wait = asyncio.create_task(poller.wait(run_id, poll_interval=0.05, deadline=None, log=log))
    await until(lambda: lines)
    workspace.faults.add("status", status=403, path=f"*/PipelineRuns/{run_id}")
    # The wait has left the queue, but its waiter does not know that yet.
    await until(lambda: not len(poller.queue))
    is_read.set()
    with pytest.raises(PermissionDenied):
        await wait


async def test_a_wait_for_an_unknown_run_disturbs_no_other_wait(workspace):
    runs = submit(workspace, 3)
    async with waiting(runs) as tasks:
        event = await fire("00000000-0000-0000-0000-00000000dead")
        assert (event["outcome"], "404" in event["message"]) == ("unwatched", True)
        event = await fire("x or RunId ne null")
        assert event["outcome"] == "unwatched"
        assert not any(task.done() for task in tasks.values())


def test_a_failure_is_in_the_log_of_each_task_that_waits(monkeypatch, closed_port, caplog, capsys):
    """The poller's own log belongs to no task."""
    connect(monkeypatch, SimpleNamespace(url=f"http://127.0.0.1:{closed_port}"), "away")

    async def both():
        return await asyncio.gather(
            *(fire(run_id, azureml_conn_id="away") for run_id in ("run-00000001", "run-00000002"))
        )

    assert [event["outcome"] for event in asyncio.run(both())] == ["unwatched", "unwatched"]
    said = str(Said(caplog, capsys))
    for number in (1, 2):
        line = rf"Reading run run-0000000{number}: It failed, and is tried again .* no connection to .*?(\[x-ms\S+)"
        # Airflow 2 shows it twice.
        assert len(set(re.findall(line, said))) == 1
