"""Many deferred runs in one event loop: they share requests and a client."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest
from support.drivers.held_loop import held, passed_until
from support.drivers.shared_polls import (
    assert_nothing_is_left,
    connect,
    fire,
    queries,
    refused,
    submit,
    until,
    waiting,
)
from support.services.local_workspace import LONG, serving

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.settings import WorkspaceSettings
from aml_provider.triggerer import run_poller, shared_clients


@pytest.fixture(autouse=True)
def short_budget(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.6")


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert_nothing_is_left()


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


def read_since(workspace, status):
    """The runs that were read since the service first answered with a status."""
    entries = workspace.requests()
    first = next(at for at, entry in enumerate(entries) if entry["status"] == status)
    return [entry["path"].rpartition("/")[2] for entry in entries[first:] if "/PipelineRuns/" in entry["path"]]


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
        workspace.clock.advance(LONG + 100)
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
        # Waits begin one after another, so a first query may have some of them only.
        await until(lambda: asked_for(workspace) >= {*own, *others})
        of_loop = shared_clients._CLIENTS.here
        (shared,) = of_loop.values()
        assert shared.users == 2
    for entry in queries(workspace):
        strangers = others if "/experiments/exp/" in entry["path"] else own
        assert not any(run_id in entry["body"]["filter"] for run_id in strangers)
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
        of_loop = run_poller._POLLERS.here
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


def test_each_event_loop_has_its_own(workspace):
    (run_id,) = submit(workspace, 1, pipeline="quick")
    for _ in range(2):
        assert asyncio.run(fire(run_id))["outcome"] == "ended"
