"""Many deferred runs in one event loop: they share requests and a client, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from support.drivers.driving import one
from support.drivers.held_loop import held, passed_until
from support.drivers.watching import Said
from support.services.local_workspace import serving
from support.services.recorded_workspace import TOKEN

from aml_provider.client import calls
from aml_provider.client.errors import InvalidArgument, PermissionDenied
from aml_provider.client.http.clients import Client
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.settings import WorkspaceSettings
from aml_provider.triggerer import run_poller, shared_clients
from aml_provider.triggerer.run_poller import shared_poller
from aml_provider.triggerer.shared_clients import shared_client
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger

INTERVAL = 0.2


@pytest.fixture(autouse=True)
def short_budget(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.6")


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No client, poller, socket or task outlives the waits; an unclosed one is a warning, and so an error."""
    yield
    assert not any(shared_clients._CLIENTS._values.values())
    assert not any(run_poller._POLLERS._values.values())
    gc.collect()


def settings_of(workspace, **changes):
    return WorkspaceSettings(
        **{
            "subscription_id": "00000000-0000-0000-0000-000000000000",
            "resource_group": "local",
            "workspace_name": "local",
            "auth_method": "static_token",
            "endpoint": workspace.url,
            "secret": TOKEN,
            **changes,
        }
    )


def submit(workspace, times, *, pipeline="long", experiment="exp"):
    """Start runs; their ids."""
    with Client(settings_of(workspace)) as client:
        return [
            client.run(one(calls.submit_pipeline(pipeline, {"ExperimentName": experiment}))).id for _ in range(times)
        ]


def connect(monkeypatch, workspace, conn_id, **changes):
    extra = {
        "subscription_id": "00000000-0000-0000-0000-000000000000",
        "resource_group": "local",
        "workspace_name": "local",
        "auth_method": "static_token",
        "endpoint": workspace.url,
    }
    connection = {"conn_type": "azureml", "password": TOKEN, **changes, "extra": extra}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
    return conn_id


async def fire(run_id, experiment="exp", **arguments):
    """Run a trigger to its event."""
    trigger = AzureMLPipelineRunTrigger(run_id, experiment, **{"poll_interval": INTERVAL} | arguments)
    (event,) = [event.payload async for event in trigger.run()]
    return event


@asynccontextmanager
async def waiting(run_ids, experiment="exp", **arguments):
    """Triggers that wait; those that have not fired at the end are cancelled."""
    tasks = {run_id: asyncio.create_task(fire(run_id, experiment, **arguments)) for run_id in run_ids}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def until(condition):
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - what it waits for is on another thread
            await asyncio.sleep(0.01)


def count(workspace):
    """How many requests of each kind there were."""

    def kind(entry):
        path = entry["path"]
        if path.endswith("runs:query"):
            return "steps" if "ParentRunId" in entry["body"]["filter"] else "query"
        if path.endswith("/children"):
            return "children"
        return "get" if "/PipelineRuns/" in path and entry["method"] == "GET" else path

    return Counter(kind(entry) for entry in workspace.requests())


def refused(workspace, status):
    return any(entry["status"] == status for entry in workspace.requests())


def read_since(workspace, status):
    """The runs that were read since the service first answered with a status."""
    entries = workspace.requests()
    first = next(at for at, entry in enumerate(entries) if entry["status"] == status)
    return [entry["path"].rpartition("/")[2] for entry in entries[first:] if "/PipelineRuns/" in entry["path"]]


def queries(workspace):
    return [entry for entry in workspace.requests("POST", "runs:query") if "ParentRunId" not in entry["body"]["filter"]]


@held
async def test_hundreds_of_runs_end_after_a_handful_of_requests(workspace):
    run_ids = submit(workspace, 300)
    workspace.clock.advance(10)
    workspace.clock.hold()
    async with waiting(run_ids, poll_interval=1.0) as tasks:
        await passed_until(lambda: asked_for(workspace) == set(run_ids), step=0.1)
        # First polls may have rounds of their own.
        seen = count(workspace)["query"]
        await passed_until(lambda: count(workspace)["query"] >= seen + 2, step=0.1)
        before = count(workspace)
        # Two queries for 300 runs: four rounds.
        passed = await passed_until(lambda: count(workspace)["query"] >= before["query"] + 8, step=0.1)
        assert passed >= 3.0
        assert (count(workspace) - before).total() <= 5 * 5
        workspace.clock.advance(40000)
        ended = asyncio.gather(*tasks.values())
        await passed_until(ended.done, step=0.1)
        events = await ended
    assert [event["run_id"] for event in events] == run_ids
    assert {event["outcome"] for event in events} == {"ended"}
    assert {event["message"] for event in events} == {"Finished"}
    # Each run is read when it has ended, and two of them in each round before.
    assert 300 <= count(workspace)["get"] <= 300 + 2 * len(queries(workspace))


def asked_for(workspace):
    return {run_id for entry in queries(workspace) for run_id in entry["body"]["filter"].strip("()").split()[2::4]}


@pytest.mark.parametrize("quirk", ["page_size=3", "history_lag=1000000s", "int_enums", "slow_cancel=20s"])
async def test_with_each_quirk_of_the_service_each_end_is_noticed(monkeypatch, quirk):
    with serving(monkeypatch, quirks=[quirk]) as workspace:
        run_ids = submit(workspace, 12)
        async with waiting(run_ids) as tasks:
            await until(lambda: len(queries(workspace)) >= 2)
            for run_id in run_ids[:6]:
                workspace.state.cancel(run_id)
            events = await asyncio.gather(*(tasks[run_id] for run_id in run_ids[:6]))
            assert {(event["outcome"], event["message"]) for event in events} == {("ended", "Canceled")}
            assert not any(tasks[run_id].done() for run_id in run_ids[6:])


async def test_runs_of_two_experiments_share_the_client_and_not_the_queries(workspace):
    own, others = submit(workspace, 5), submit(workspace, 5, experiment="other")
    async with waiting(own), waiting(others, "other"):
        await until(lambda: len({entry["path"] for entry in queries(workspace)}) == 2)
        (of_loop,) = shared_clients._CLIENTS._values.values()
        (shared,) = of_loop.values()
        assert shared.users == 2
    for entry in queries(workspace):
        runs = own if "/experiments/exp/" in entry["path"] else others
        assert all(run_id in entry["body"]["filter"] for run_id in runs)
    assert shared._client._http.is_closed


async def test_identities_never_share(workspace, monkeypatch):
    runs = submit(workspace, 8)
    connect(monkeypatch, workspace, "stranger", password="another-token")
    connect(monkeypatch, workspace, "twin")
    async with (
        waiting(runs) as mine,
        waiting(runs, azureml_conn_id="twin"),
        waiting(runs, azureml_conn_id="stranger") as strangers,
    ):
        events = await asyncio.gather(*strangers.values())
        assert {event["outcome"] for event in events} == {"unwatched"}
        assert "401" in events[0]["message"]
        (of_loop,) = run_poller._POLLERS._values.values()
        assert len(of_loop) == 2
        workspace.state.cancel(runs[0])
        assert (await mine[runs[0]])["outcome"] == "ended"


async def test_a_connection_that_was_changed_has_a_poller_of_its_own(workspace, monkeypatch):
    first, second = submit(workspace, 3), submit(workspace, 3)
    async with waiting(first) as old:
        await until(lambda: queries(workspace))
        connect(monkeypatch, workspace, "azureml_default", password="revoked")
        async with waiting(second) as new:
            events = await asyncio.gather(*new.values())
        assert {event["outcome"] for event in events} == {"unwatched"}
        assert not any(task.done() for task in old.values())


async def test_a_poller_that_cannot_begin_fails_all_waits_also_those_that_join_meanwhile():
    settings = WorkspaceSettings(
        subscription_id="s",
        resource_group="g",
        workspace_name="w",
        tenant_id="t",
        client_id="c",
        auth_method="client_certificate",
        certificate_path="/nowhere.pem",
    )
    poller = run_poller.RunPoller(run_poller._Key("c", settings, "exp"), RetryPolicy())
    late = []

    async def failure_of(number):
        try:
            await poller.wait(f"run-{number}", poll_interval=1.0, deadline=None, log=print)
        except Exception as error:  # noqa: BLE001 - the test checks it
            if number == 0:
                late.append(asyncio.create_task(failure_of(3)))
            return type(error)

    async with asyncio.timeout(120):
        kinds = await asyncio.gather(*map(failure_of, range(3)))
        kinds.append(await late[0])
    assert kinds == [InvalidArgument] * 4
    assert poller.is_over


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
    event = await asyncio.wait_for(anext(trigger.run()), 10)
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
        (of_loop,) = run_poller._POLLERS._values.values()
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
    waits = [
        asyncio.create_task(poller.wait(run_id, poll_interval=0.05, deadline=None, log=log))
        for run_id, log in ((blocked, lambda level, text: is_read.wait()), (other, lambda level, text: None))
    ]
    try:
        workspace.clock.advance(4000)
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
    await until(lambda: refused(workspace, 403))
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


async def test_an_experiment_that_is_not_the_run_s_costs_a_request_per_run_and_nothing_else(workspace):
    runs = submit(workspace, 4)
    submit(workspace, 1, experiment="wrong")
    async with waiting(runs, "wrong") as tasks:
        await until(lambda: len(queries(workspace)) >= 2)
        for run_id in runs:
            workspace.state.cancel(run_id)
        events = await asyncio.gather(*tasks.values())
    assert {event["outcome"] for event in events} == {"ended"}


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("status", {"status": 503}),
        ("status", {"status": 500}),
        ("status", {"status": 403}),
        ("status", {"status": 404}),
        ("drop", {}),
        ("broken_json", {}),
        ("empty", {}),
        ("html", {}),
    ],
)
async def test_without_the_history_the_runs_are_read(workspace, kind, details):
    runs = submit(workspace, 6)
    async with waiting(runs) as tasks:
        await until(lambda: queries(workspace))
        workspace.faults.add(kind, method="POST", path="*runs:query", times=10_000, **details)
        seen = count(workspace)["get"]
        await until(lambda: count(workspace)["get"] >= seen + 3 * len(runs))
        assert not any(task.done() for task in tasks.values())
        workspace.state.cancel(runs[0])
        assert (await tasks[runs[0]])["outcome"] == "ended"


async def test_a_failing_page_fails_no_wait(monkeypatch):
    with serving(monkeypatch, quirks=["page_size=4"]) as workspace:
        runs = submit(workspace, 10)
        workspace.faults.add(
            "status", method="POST", path="*runs:query", body="*continuationToken*", status=500, times=10_000
        )
        async with waiting(runs) as tasks:
            await until(lambda: len([entry for entry in queries(workspace) if entry["status"] == 500]) >= 4)
            assert not any(task.done() for task in tasks.values())
            workspace.state.cancel(runs[9])
            assert (await tasks[runs[9]])["outcome"] == "ended"


async def test_a_service_that_is_down_ends_the_waits_when_the_budget_is_spent(workspace):
    runs = submit(workspace, 6)
    async with waiting(runs) as tasks:
        await until(lambda: queries(workspace))
        workspace.faults.add("status", status=500, times=10_000)
        events = await asyncio.gather(*tasks.values())
    assert {event["outcome"] for event in events} == {"unwatched"}
    assert all("500" in event["message"] for event in events)


@held
async def test_a_history_with_retry_after_is_not_queried_before_and_the_runs_are_read(workspace, monkeypatch):
    # The clock of the loop moves during requests too, so the budget is longer than any test can take.
    budget = 3000.0
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", str(budget))
    loop = asyncio.get_running_loop()
    runs = submit(workspace, 6)

    def all_are_read(times):
        return Counter(read_since(workspace, 503)) >= Counter(dict.fromkeys(runs, times))

    async with waiting(runs, poll_interval=10.0) as tasks:
        # From then on they are polled together.
        await passed_until(lambda: asked_for(workspace) == set(runs), step=0.2)
        # It asks for longer than the retry budget, for which the history is left alone.
        workspace.faults.add("status", status=503, retry_after=3600, times=1, path="*runs:query", body='*"(RunId *')
        await passed_until(lambda: refused(workspace, 503), step=0.2)
        # Time stands until the failure has been noticed: then the runs are read.
        await passed_until(lambda: all_are_read(1), step=0.0)
        failed_at, asked = loop.time(), count(workspace)["query"]
        await passed_until(lambda: all_are_read(3), step=0.2)
        loop.advance(failed_at + budget - 100.0 - loop.time())
        assert count(workspace)["query"] == asked
        await passed_until(lambda: count(workspace)["query"] > asked, step=1.0)
        assert loop.time() >= failed_at + budget - 0.3
        assert not any(task.done() for task in tasks.values())


@held
async def test_throttling_is_heeded_and_fails_no_wait(workspace):
    runs = submit(workspace, 6)
    async with waiting(runs) as tasks:
        await passed_until(lambda: queries(workspace), step=0.1)
        workspace.faults.add("status", status=429, retry_after=2, times=1, path="*runs:query")
        await passed_until(lambda: refused(workspace, 429), step=0.1)
        seen = len(workspace.requests())
        # For three times the budget nothing more is asked than what was under way.
        assert await passed_until(lambda: len(workspace.requests()) > seen + 1, step=0.1) >= 1.8
        assert not any(task.done() for task in tasks.values())


async def test_under_endless_throttling_each_wait_ends_at_its_deadline(workspace):
    runs = submit(workspace, 3)
    workspace.faults.add("status", status=429, retry_after=3600, times=10_000)
    events = await asyncio.gather(*(fire(run_id, deadline=time.time() + 1.0) for run_id in runs))
    assert {event["outcome"] for event in events} == {"deadline"}


async def test_a_client_that_cannot_be_built_fails_all_waits(workspace, monkeypatch):
    connect(monkeypatch, workspace, "azureml_default", password="")
    events = await asyncio.gather(*(fire(f"run-{n}-of-five") for n in range(5)))
    assert {event["outcome"] for event in events} == {"unwatched"}
    assert all("password" in event["message"] for event in events)


async def test_a_client_is_built_once_also_if_its_first_user_is_cancelled(workspace):
    settings = settings_of(workspace)
    policy = run_poller.retry_policy()

    async def use():
        async with shared_client("c", settings, policy) as client:
            return client, (await client.call(calls.get_workspace())).name

    first = asyncio.create_task(use())
    others = [asyncio.create_task(use()) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    used = await asyncio.gather(*others)
    assert len({id(client) for client, _ in used}) == 1
    with pytest.raises(asyncio.CancelledError):
        await first
    alone = asyncio.create_task(use())
    await asyncio.sleep(0)
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone


async def test_a_client_sends_only_a_few_requests_at_the_same_time(workspace):
    workspace.faults.add("delay", seconds=0.2, times=10_000)
    settings = settings_of(workspace)

    async def use(client):
        await client.call(calls.get_workspace())

    async with shared_client("c", settings, run_poller.retry_policy()) as client:
        began = time.monotonic()
        await asyncio.gather(*(use(client) for _ in range(20)))
        took = time.monotonic() - began
    assert took >= 0.6


def test_each_event_loop_has_its_own(workspace):
    (run_id,) = submit(workspace, 1, pipeline="quick")
    for _ in range(2):
        assert asyncio.run(fire(run_id))["outcome"] == "ended"


def test_a_failure_is_in_the_log_of_each_task_that_waits(monkeypatch, unused_tcp_port, caplog, capsys):
    """The poller's own log belongs to no task."""
    connect(monkeypatch, SimpleNamespace(url=f"http://127.0.0.1:{unused_tcp_port}"), "away")

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
