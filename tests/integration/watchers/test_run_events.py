"""Asset watchers of pipeline runs, run as Airflow's triggerer does, against the local workspace over HTTP."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime, timedelta

import airflow
import pytest

from aml_provider.client import calls
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.triggers.run_event import AzureMLPipelineRunEventTrigger

VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))

if VERSION >= (3, 3):
    from airflow.triggers.shared_stream import AckTimeout
    from support.airflow.triggerer import Database, Triggerer

shared = pytest.mark.skipif(VERSION < (3, 3), reason="Airflow shares streams from 3.3 on")
watching = pytest.mark.skipif(VERSION < (3, 0), reason="Airflow has watchers from 3.0 on")


@pytest.fixture
def database(monkeypatch, no_retries):
    return Database(monkeypatch)


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No client or socket outlives the watchers."""
    from aml_provider.triggerer import shared_clients

    yield
    assert not any(shared_clients._CLIENTS._values.values())
    gc.collect()


def watcher(**arguments):
    if not {"pipeline_id", "pipeline_name", "component_name", "schedule_name", "job_schedule_name"} & arguments.keys():
        arguments.setdefault("experiment_name", "exp")
    return AzureMLPipelineRunEventTrigger(**{"poll_interval": 0.1, **arguments})


def submit(pipeline="p0", experiment="exp", **arguments):
    return AzureMLHook().submit_pipeline(pipeline, experiment_name=experiment, **arguments).id


def submit_job(component="train", experiment="exp", **arguments):
    return AzureMLHook().submit_job(component_name=component, experiment_name=experiment, **arguments).id


def finish(workspace, run_id):
    """End a run, and wait until it has ended: it is queued for a moment."""
    workspace.finish(run_id)
    ended = workspace.state.view(workspace.state.runs[run_id]).ended
    if ended is None:
        workspace.clock.advance(10)


def queries(workspace, path="runs:query"):
    return len(workspace.requests(path_contains=path))


def fired(database, asset="asset"):
    return [event["run_id"] for event in database.events.get(asset, ())]


async def polled(triggerer, workspace, more=2):
    wanted = queries(workspace, "") + more + 1
    await triggerer.until(lambda: queries(workspace, "") >= wanted)


@shared
async def test_an_event_carries_the_run_and_its_id(workspace, database):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: database.states)
        run_id = await asyncio.to_thread(submit)
        workspace.finish(run_id)
        await triggerer.until(lambda: database.events)
        await polled(triggerer, workspace)
    (event,) = database.events["asset"]
    ended = workspace.state.view(workspace.state.runs[run_id]).ended
    assert datetime.fromisoformat(event["ended"]).timestamp() == pytest.approx(ended, abs=0.001)
    assert event == {
        "id": event["id"],
        "run_id": run_id,
        "status": "Finished",
        "pipeline_id": "p0",
        "pipeline_name": "p0",
        "experiment_name": "exp",
        "ended": event["ended"],
        "link": AzureMLHook().settings().run_url(run_id),
    }
    assert len(event["id"]) == 64


@shared
@pytest.mark.parametrize("quirks", [(), ("page_size=2",), ("v1_gone",)], ids=str, indirect=True)
async def test_a_job_of_a_component_is_a_run_too(workspace, database):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(), "experiment")
        triggerer.start(watcher(component_name="train", experiment_name="exp"), "both")
        triggerer.start(watcher(component_name="train"), "component")
        await triggerer.until(lambda: len(database.states) == 3)
        jobs = [await asyncio.to_thread(submit_job, component) for component in ("train", "score", "train")]
        for job_id in jobs:
            workspace.finish(job_id)
        await triggerer.until(lambda: all(asset in database.events for asset in ("experiment", "both", "component")))
        await triggerer.until(lambda: len(fired(database, "experiment")) == 3 and len(fired(database, "both")) == 2)
        await triggerer.until(lambda: len(fired(database, "component")) == 2)
    assert sorted(fired(database, "experiment")) == sorted(jobs)
    assert sorted(fired(database, "both")) == sorted(fired(database, "component")) == sorted((jobs[0], jobs[2]))
    events = {event["run_id"]: event for event in database.events["component"]}
    for event in database.events["both"]:
        assert events[event["run_id"]] == event
        assert (event["status"], event["pipeline_name"]) == ("Finished", "train")
        assert event["pipeline_id"].endswith("/components/train/versions/1")
        assert event["ended"]


@shared
@pytest.mark.parametrize(
    "arguments",
    [
        {"pipeline_id": "p0"},
        {"pipeline_name": "p0"},
        {"pipeline_id": "p0", "experiment_name": "exp"},
        {"pipeline_name": "p0", "experiment_name": "exp"},
    ],
    ids=" ".join,
)
async def test_runs_of_a_pipeline(arguments, workspace, database):
    before = submit()
    finish(workspace, before)
    active = submit()
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(**arguments))
        await triggerer.until(lambda: database.states)
        other, elsewhere, child = (
            await asyncio.to_thread(submit, "p1"),
            await asyncio.to_thread(submit, "p0", "elsewhere"),
            await asyncio.to_thread(submit, parent_run_id=active),
        )
        await polled(triggerer, workspace)
        for run_id in (other, elsewhere, child, active):
            workspace.finish(run_id)
        await triggerer.until(lambda: active in fired(database))
        await polled(triggerer, workspace, 4)
    assert set(fired(database)) == ({active} if "experiment_name" in arguments else {active, elsewhere})


def hourly(workspace, name):
    start = (datetime.fromtimestamp(workspace.clock.now(), UTC) + timedelta(hours=1)).replace(microsecond=0)
    if name == "job_schedule_name":
        AzureMLHook().create_job_schedule(
            "hourly",
            component_name="train",
            experiment_name="exp",
            recurrence={"frequency": "Hour", "interval": 1},
            start_time=start.replace(tzinfo=None),
        )
        return
    body = {
        "Name": "hourly",
        "PipelineId": "p0",
        "PipelineSubmissionInfo": {"ExperimentName": "exp", "Properties": {}},
        "Recurrence": {
            "Frequency": "Hour",
            "Interval": 1,
            "StartTime": start.replace(tzinfo=None).isoformat(),
            "TimeZone": "UTC",
        },
        "ScheduleType": "0",
    }
    with AzureMLHook().client() as client:
        client.call(calls.create_schedule(body))


@shared
@pytest.mark.parametrize("name", ["schedule_name", "job_schedule_name"])
async def test_runs_that_a_schedule_started(name, workspace, database):
    hourly(workspace, name)
    workspace.clock.advance(3660)
    (first,) = workspace.state.runs
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(**{name: "hourly"}, statuses=["Failed", "Finished"]))
        await triggerer.until(lambda: database.states)
        other = await asyncio.to_thread(submit)
        workspace.finish(other)
        workspace.clock.advance(3600)
        (second,) = workspace.state.runs.keys() - {first, other}
        workspace.finish(second, fails="row 2 is empty")
        await triggerer.until(lambda: fired(database))
        workspace.finish(first)
        await triggerer.until(lambda: len(fired(database)) == 2)
    assert [(event["run_id"], event["status"]) for event in database.events["asset"]] == [
        (second, "Failed"),
        (first, "Finished"),
    ]


@shared
async def test_a_schedule_or_pipeline_that_does_not_exist_yet_is_waited_for(workspace, database, said):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(schedule_name="hourly"), "schedule")
        triggerer.start(watcher(job_schedule_name="hourly"), "jobs")
        triggerer.start(watcher(pipeline_name="pp0"), "pipeline")
        triggerer.start(watcher(experiment_name="expp"), "experiment")
        await triggerer.until(lambda: len(database.states) == 4)
        texts = ("no schedule named 'hourly'", "no job schedule", "did you mean 'p0'?", "no such experiment yet")
        await triggerer.until(lambda: all(text in str(said) for text in texts))
        for name in ("schedule_name", "job_schedule_name"):
            await asyncio.to_thread(hourly, workspace, name)
        workspace.clock.advance(3660)
        for run_id in list(workspace.state.runs):
            workspace.finish(run_id)
        await triggerer.until(lambda: len(database.events) == 2)
    assert set(database.events) == {"schedule", "jobs"}
    assert str(said).count("no such experiment yet") == 1


@shared
@pytest.mark.parametrize("quirks", [("history_lag=30s", "page_size=2")], indirect=True)
async def test_runs_that_the_history_lists_late_and_in_pages_are_fired_once(workspace, database):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: database.states)
        early = [await asyncio.to_thread(submit) for _ in range(5)]
        for run_id in early:
            workspace.finish(run_id)
        await polled(triggerer, workspace, 3)
        assert not database.events
        workspace.clock.advance(20)
        late = [await asyncio.to_thread(submit) for _ in range(5)]
        for run_id in late[1:]:
            workspace.finish(run_id)
        workspace.clock.advance(15)
        await triggerer.until(lambda: len(fired(database)) == 5)
        workspace.clock.advance(30)
        await triggerer.until(lambda: len(fired(database)) == 9)
        workspace.clock.advance(3 * 86400)
        workspace.finish(late[0])
        await triggerer.until(lambda: len(fired(database)) == 10)
        await polled(triggerer, workspace, 5)
    assert sorted(fired(database)) == sorted(early + late)


@shared
async def test_a_thousand_watchers_of_an_experiment_cost_what_one_costs(workspace, database):
    wanted = await asyncio.to_thread(submit, tags={"number": "6"})
    other = await asyncio.to_thread(submit)
    async with Triggerer(database) as triggerer:
        for number in range(1000):
            only = ({"pipeline_name": "p0"}, {"statuses": ["Failed"]}, {"tags": {"number": str(number)}}, {})
            triggerer.start(watcher(experiment_name="exp", **only[number % 4], poll_interval=1), f"asset{number}")
        await triggerer.until(lambda: len(database.states) == 1000)
        # Those that joined late had a first poll of their own.
        await polled(triggerer, workspace, 3)
        loop = asyncio.get_running_loop()
        before, writes, begun = queries(workspace, ""), database.writes, loop.time()
        await triggerer.until(lambda: queries(workspace, "") >= before + 4)
        assert queries(workspace, "") - before <= (loop.time() - begun) / 1.0 + 1
        assert database.writes == writes
        before, begun = queries(workspace, ""), loop.time()
        workspace.finish(other)
        workspace.finish(wanted)
        await triggerer.until(lambda: len(database.events) == 250 + 1 + 250)
        assert queries(workspace, "") - before <= (loop.time() - begun) / 1.0 + 2
    assert fired(database, "asset6") == [wanted]
    assert sorted(fired(database, "asset0")) == sorted([wanted, other])
    assert "asset1" not in database.events


@shared
async def test_watchers_share_a_query_if_they_need_the_same_runs(workspace):
    one = watcher()
    for same in ({"pipeline_id": "p"}, {"component_name": "c"}, {"statuses": ["Failed"]}, {"tags": {"a": "b"}}):
        assert one.shared_stream_key() == watcher(experiment_name="exp", **same).shared_stream_key()
    for other in ({"poll_interval": 2}, {"azureml_conn_id": "b"}, {"experiment_name": "x"}, {"pipeline_id": "exp"}):
        assert one.shared_stream_key() != watcher(**other).shared_stream_key()
    assert watcher(component_name="a").shared_stream_key() == watcher(component_name="b").shared_stream_key()


@shared
async def test_a_watcher_killed_before_its_event_is_stored_fires_it_again(workspace, database):
    async with Triggerer(database, storing=False) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: database.states)
        first = await asyncio.to_thread(submit)
        workspace.finish(first)
        (lost,) = await triggerer.until(lambda: triggerer.fired)
    assert database.events == {}
    second = submit()
    workspace.finish(second)
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: len(fired(database)) == 2)
    assert database.events["asset"][0] == lost
    assert fired(database) == [first, second]


@shared
async def test_a_watcher_killed_before_it_learns_that_its_event_is_stored_fires_the_same_event_again(
    workspace, database
):
    async with Triggerer(database, storing=False) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: database.states)
        workspace.finish(await asyncio.to_thread(submit))
        await triggerer.until(lambda: triggerer.fired)
        triggerer.store()
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: len(fired(database)) == 2)
        await polled(triggerer, workspace, 3)
    first, again = database.events["asset"]
    assert first == again


@shared
async def test_a_watcher_killed_after_it_learnt_that_its_event_is_stored_repeats_nothing(workspace, database):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: database.states)
        run_id = await asyncio.to_thread(submit)
        workspace.finish(run_id)
        await triggerer.until(lambda: fired(database))
        await triggerer.until(lambda: not any(run_id in text for text in database.states.values()))
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        await polled(triggerer, workspace, 3)
    assert fired(database) == [run_id]


@shared
async def test_a_watcher_that_airflow_gave_up_does_not_take_its_events_for_stored(workspace, database):
    async with Triggerer(database, storing=False, ack_timeout=0.3) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: database.states)
        run_id = await asyncio.to_thread(submit)
        workspace.finish(run_id)
        with pytest.raises(AckTimeout):
            await triggerer.until(lambda: False)
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: fired(database))
    assert fired(database) == [run_id]


@shared
async def test_what_ended_while_nobody_watched_is_fired_later(workspace, database):
    active = submit()
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: database.states)
    meanwhile = submit()
    for run_id in (active, meanwhile):
        workspace.finish(run_id)
    workspace.clock.advance(30 * 86400)
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: len(fired(database)) == 2)
    assert fired(database) == [active, meanwhile]


@shared
@pytest.mark.parametrize(("status", "level"), [(403, "ERROR"), (503, "WARNING")])
async def test_a_history_that_cannot_be_read_ends_nothing(status, level, workspace, database, caplog):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        await triggerer.until(lambda: database.states)
        workspace.faults.add("status", path="*/runs:query", status=status, times=2)
        run_id = await asyncio.to_thread(submit)
        workspace.finish(run_id)
        await triggerer.until(lambda: fired(database))
    told = [record for record in caplog.records if "This poll failed and was discarded" in record.getMessage()]
    assert [record.levelname for record in told] == [level] * 2
    assert "Runs of experiment_name 'exp': This poll failed" in told[0].getMessage()
    assert "experiment_name 'exp': It works again" in caplog.text


@shared
@pytest.mark.parametrize(
    "fault",
    [("status", 403), ("status", 404), ("status", 400), ("status", 500), ("html", 200), ("malformed_json", None)],
    ids=str,
)
async def test_a_job_that_cannot_be_read_is_fired_later_and_delays_no_other(fault, workspace, database, said):
    kind, status = fault
    details = {} if status is None else {"status": status}
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher())
        triggerer.start(watcher(component_name="train", experiment_name="exp"), "component")
        await triggerer.until(lambda: len(database.states) == 2)
        bad = await asyncio.to_thread(submit_job)
        workspace.faults.add(kind, method="GET", path=f"*/jobs/{bad}", times=10**6, **details)
        workspace.finish(bad)
        await triggerer.until(lambda: queries(workspace, f"/jobs/{bad}") >= 3)
        good = await asyncio.to_thread(submit_job)
        workspace.finish(good)
        await triggerer.until(lambda: good in fired(database) and good in fired(database, "component"))
        assert bad not in fired(database)
        workspace.faults.clear()
        await triggerer.until(lambda: len(fired(database)) == 2 and len(fired(database, "component")) == 2)
    assert fired(database) == fired(database, "component") == [good, bad]
    assert {event["pipeline_name"] for event in database.events["asset"]} == {"train"}
    assert f"their events follow when all facts about them can be read: {bad} (" in str(said)


@shared
async def test_the_name_of_a_pipeline_that_was_refused_once_is_read_again(workspace, database):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(pipeline_name="p0", experiment_name="exp"))
        await triggerer.until(lambda: database.states)
        workspace.faults.add("status", path="*/Pipelines/p0", status=403, times=2)
        runs = []
        for _ in range(2):
            runs.append(await asyncio.to_thread(submit))
            workspace.finish(runs[-1])
            await triggerer.until(lambda: fired(database) == runs)


@shared
async def test_a_wrong_workspace_is_no_first_poll(workspace, database, said):
    before = submit()
    finish(workspace, before)
    workspace.faults.add("status", status=404, times=10**6)
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(on_first_poll="report"))
        await triggerer.until(lambda: "This poll failed and was discarded" in str(said))
        assert not database.states
        workspace.faults.clear()
        await triggerer.until(lambda: fired(database))
    assert fired(database) == [before]


@shared
async def test_two_watchers_that_share_a_record_are_an_error(workspace, database):
    from aml_provider.durable.handover import CursorMoved

    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(statuses=["Failed"]))
        triggerer.start(watcher())
        with pytest.raises(CursorMoved, match="give each its own state_key"):
            await triggerer.until(lambda: False)


@shared
async def test_two_watchers_of_one_asset_with_other_runs_or_keys_share_no_record(workspace, database):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(statuses=["Failed"], state_key="failed"))
        triggerer.start(watcher())
        triggerer.start(watcher(pipeline_id="p1", experiment_name="exp"))
        await triggerer.until(lambda: len(database.states) == 3)
        good, bad = await asyncio.to_thread(submit, "p1"), await asyncio.to_thread(submit, "p0")
    del good, bad


@watching
async def test_a_watcher_without_shared_streams_or_asset_state_uses_a_variable(workspace, monkeypatch, no_retries):
    """As on Airflow 3.0 to 3.2: no stream is shared, no asset has a state, and no trigger learns of stored events."""
    from aml_provider.state import variables
    from aml_provider.triggerer import watch_stream

    monkeypatch.setattr(watch_stream, "_STORING", 0.2)
    kept = {}
    monkeypatch.setattr(variables, "read", kept.get)
    monkeypatch.setattr(variables, "write", lambda key, value, description: kept.__setitem__(key, value))

    async def first():
        events = watcher(on_first_poll="report").run()
        async with asyncio.timeout(240):
            return (await anext(events)).payload, events

    run_id = await asyncio.to_thread(submit)
    workspace.finish(run_id)
    payload, events = await first()
    await events.aclose()
    assert payload["run_id"] == run_id
    # Killed immediately: the same event again.
    again, events = await first()
    assert again == payload
    second = await asyncio.to_thread(submit)
    workspace.finish(second)
    async with asyncio.timeout(240):
        assert (await anext(events)).payload["run_id"] == second
    await events.aclose()
    (key,) = kept
    assert key.startswith("azureml_cursor_watcher_")
