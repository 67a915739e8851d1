"""Asset watchers of a folder, run as Airflow's triggerer does, over Azurite and over a service that misbehaves."""

from __future__ import annotations

import asyncio
import json
import os

import airflow
import pytest

from aml_provider.blobs.events import EVENT_BYTES, event_id
from aml_provider.client.errors import InvalidArgument
from aml_provider.triggers.blob import AzureBlobChangeTrigger

VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))

if VERSION >= (3, 3):
    from airflow.triggers.shared_stream import AckTimeout
    from support.airflow.triggerer import Database, Triggerer

shared = pytest.mark.skipif(VERSION < (3, 3), reason="Airflow shares streams from 3.3 on")
watching = pytest.mark.skipif(VERSION < (3, 0), reason="Airflow has watchers from 3.0 on")


def watcher(**arguments):
    defaults = {"path": "in", "poll_interval": 0.1}
    if "datastore" not in arguments:
        defaults["container_url"] = arguments.pop("url")
    return AzureBlobChangeTrigger(**defaults | arguments)


@pytest.fixture
def database(monkeypatch, no_retries):
    return Database(monkeypatch)


def polls_of(container):
    return len(container.asked)


async def polled(triggerer, container, more=1):
    """Wait for N polls that begin from now on, and for their events."""
    wanted = polls_of(container) + more + 1
    await triggerer.until(lambda: polls_of(container) >= wanted)


@shared
async def test_an_event_carries_the_changes_and_their_id(container, database):
    container.write("in/old.csv")
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: database.states)
        for name in ("in/a.csv", "in/deep/b.csv", "other.csv"):
            container.write(name)
        await triggerer.until(database.changed)
        container.write("in/old.csv")
        await triggerer.until(lambda: len(database.changed()) > 1)
    first, second = database.events["asset"]
    (change,) = first["changes"]
    assert first == {"id": event_id([change]), "changes": [change]}
    assert (change["name"], change["change"], change["container_url"]) == ("a.csv", "added", container.url)
    assert [(item["name"], item["change"]) for item in second["changes"]] == [("old.csv", "modified")]
    json.dumps(first)


@shared
async def test_all_watchers_of_a_folder_have_one_listing(container, database):
    async with Triggerer(database) as triggerer:
        for number in range(40):
            triggerer.start(watcher(url=container.url, pattern=f"{number}.csv", poll_interval=0.3), f"asset{number}")
        triggerer.start(watcher(url=container.url, settle=3600, poll_interval=0.3), "patient")
        await triggerer.until(lambda: len(database.states) == 41)
        before, begun = polls_of(container), asyncio.get_running_loop().time()
        for name in ("in/1.csv", "in/2.csv"):
            container.write(name)
        await triggerer.until(lambda: database.changed("asset1") and database.changed("asset2"))
        await asyncio.sleep(0.5)
        passed = asyncio.get_running_loop().time() - begun
        assert polls_of(container) - before <= passed / 0.3 + 1
    assert set(database.events) == {"asset1", "asset2"}


@shared
async def test_watchers_at_different_times_or_with_other_rights_share_nothing(container):
    one = watcher(url=container.url)
    assert (
        one.shared_stream_key() == watcher(url=container.url, pattern="x", settle=9, state_key="k").shared_stream_key()
    )
    assert one.shared_stream_key() == watcher(url=container.url, path="/in/").shared_stream_key()
    for other in ({"poll_interval": 2}, {"wasb_conn_id": "w"}, {"azureml_conn_id": "b"}, {"ignore_empty": False}):
        assert one.shared_stream_key() != watcher(url=container.url, **other).shared_stream_key()
    assert one.shared_stream_key() != watcher(datastore="landing").shared_stream_key()


def stored(asset):
    """The triggers of an asset as Airflow stores them, and by what Airflow distinguishes them."""
    from airflow.triggers.base import BaseEventTrigger
    from support.airflow.moved import encode_asset_like

    found = [watcher["trigger"] for watcher in encode_asset_like(asset)["watchers"]]
    return [(AzureBlobChangeTrigger(**one["kwargs"]), BaseEventTrigger.hash(**one)) for one in found]


def assets_of(*triggers):
    from airflow.sdk import Asset, AssetWatcher

    names = ("one", "two")
    return [
        Asset(name=name, watchers=[AssetWatcher(name="w", trigger=trigger)])
        for name, trigger in zip(names, triggers, strict=True)
    ]


@shared
@pytest.mark.parametrize("is_one_object", [True, False])
async def test_assets_with_equal_watchers_have_their_own_state(is_one_object, container, database):
    """After its DAG was paused, an asset gets the changes that it missed, and the other asset gets nothing twice."""
    trigger = watcher(url=container.url)
    assets = assets_of(trigger, trigger if is_one_object else watcher(url=container.url))
    (one, its_hash), (two, other_hash) = (stored(asset)[0] for asset in assets)
    assert its_hash != other_hash
    assert stored(assets[0])[0][1] == its_hash, "the same asset in another DAG file is one trigger"
    assert one.shared_stream_key() == two.shared_stream_key()
    async with Triggerer(database) as triggerer:
        triggerer.start(one, "one")
        pausing = triggerer.start(two, "two")
        await triggerer.until(lambda: len(database.states) == 2)
        pausing.cancel()
        await asyncio.wait([pausing])
        triggerer.tasks.remove(pausing)
        container.write("in/a.csv")
        await triggerer.until(lambda: database.changed("one"))
        triggerer.start(two, "two")
        await triggerer.until(lambda: database.changed("two"))
        container.write("in/b.csv")
        await triggerer.until(lambda: len(database.changed("one")) == len(database.changed("two")) == 2)
    assert database.changed("one") == database.changed("two") == ["a.csv", "b.csv"]


@shared
async def test_a_watcher_that_serves_several_assets_says_so_and_fires_nothing(container, database, said):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url), "one", "two")
        triggerer.start(watcher(url=container.url), "other")
        await triggerer.until(lambda: database.states and "serves several assets: " in str(said))
        container.write("in/a.csv")
        await triggerer.until(lambda: database.changed("other"))
    assert "give one of the watchers a state_key" in str(said)
    assert {asset for asset, _ in database.kept} == {"other"}


@shared
async def test_a_watcher_that_starts_late_loses_nothing(container, database):
    late = watcher(url=container.url, state_key="late")
    async with Triggerer(database) as triggerer:
        triggerer.start(late, "late")
        await triggerer.until(lambda: database.states)
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: len(database.states) == 2)
        container.write("in/a.csv")
        await triggerer.until(database.changed)
        triggerer.start(late, "late")
        await triggerer.until(lambda: database.changed("late"))
        container.write("in/b.csv")
        await triggerer.until(lambda: len(database.changed("late")) == 2)
    assert database.changed("late") == database.changed() == ["a.csv", "b.csv"]


@shared
async def test_a_watcher_killed_before_its_event_is_stored_fires_it_again(container, database):
    async with Triggerer(database, storing=False) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: database.states)
        container.write("in/a.csv")
        (lost,) = await triggerer.until(lambda: triggerer.fired)
    assert database.events == {}
    container.write("in/b.csv")
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: len(database.changed()) == 2)
    again, new = database.events["asset"]
    assert again == lost
    assert [change["name"] for change in new["changes"]] == ["b.csv"]


@shared
async def test_a_watcher_killed_before_it_learns_that_its_event_is_stored_fires_the_same_event_again(
    container, database
):
    async with Triggerer(database, storing=False) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: database.states)
        container.write("in/a.csv")
        await triggerer.until(lambda: triggerer.fired)
        triggerer.store()
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: len(database.changed()) == 2)
        await polled(triggerer, container, 3)
    first, again = database.events["asset"]
    assert first == again


@shared
async def test_a_watcher_killed_after_it_learnt_that_its_event_is_stored_repeats_nothing(container, database):
    async with Triggerer(database) as triggerer:
        # It is notified immediately, not with the next poll.
        triggerer.start(watcher(url=container.url, poll_interval=20))
        await triggerer.until(lambda: database.states)
        container.write("in/a.csv")
        triggerer.start(watcher(url=container.url, poll_interval=20, state_key="hurries the poll"), "other")
        await triggerer.until(database.changed)
        await triggerer.until(lambda: not any("a.csv" in text for text in database.states.values()))
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        await polled(triggerer, container, 3)
    assert database.changed() == ["a.csv"]


@shared
async def test_an_idle_folder_writes_nothing(container, database):
    container.write("in/a.csv")
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: database.states)
        await polled(triggerer, container, 5)
    assert database.writes == 1


@shared
async def test_a_watcher_that_airflow_gave_up_does_not_take_its_events_for_stored(container, database):
    async with Triggerer(database, storing=False, ack_timeout=0.3) as triggerer:
        task = triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: database.states)
        container.write("in/a.csv")
        with pytest.raises(AckTimeout):
            await triggerer.until(lambda: False)
        assert task.done()
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(database.changed)
    assert database.changed() == ["a.csv"]


@shared
async def test_many_changes_are_split_into_events(container, database):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: database.states)
        wanted = {f"{number:05}-{'x' * 100}.csv" for number in range(6000)}
        for number, name in enumerate(wanted):
            container.write(f"in/{name}", age=number)
        # More changes than one poll reports: the rest follows soon.
        await triggerer.until(lambda: len(database.changed()) >= 6000)
    assert sorted(database.changed()) == sorted(wanted)
    assert max(len(json.dumps(event)) for event in database.events["asset"]) <= EVENT_BYTES
    assert len({event["id"] for event in database.events["asset"]}) == len(database.events["asset"]) > 3


@shared
@pytest.mark.parametrize(("status", "level"), [(403, "ERROR"), (404, "ERROR"), (503, "WARNING"), (0, "WARNING")])
async def test_a_folder_that_cannot_be_listed_ends_nothing(status, level, container, database, caplog):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: database.states)
        container.failures = [status] * 2
        container.write("in/a.csv")
        await triggerer.until(database.changed)
    told = [record for record in caplog.records if "This poll failed and was discarded" in record.getMessage()]
    assert [record.levelname for record in told] == [level] * 2
    # At growing intervals.
    first, second = (record.args[1] for record in told)
    assert 0.08 <= first <= 0.1
    assert 0.16 <= second <= 0.2


@shared
async def test_a_missing_connection_ends_nothing(container, database, said, monkeypatch):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url, azureml_conn_id="comes_later"))
        await triggerer.until(lambda: "the next one is in" in str(said))
        assert "comes_later" in str(said)
        monkeypatch.setenv("AIRFLOW_CONN_COMES_LATER", os.environ["AIRFLOW_CONN_AZUREML_DEFAULT"])
        await triggerer.until(lambda: database.states)


@shared
async def test_a_record_that_cannot_be_read_fires_nothing_until_it_is_deleted(container, database, said):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        await triggerer.until(lambda: database.states)
    ((place, text),) = database.states.items()
    database.kept[place] = json.dumps({**json.loads(text), "format": 7})
    container.write("in/a.csv")
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url))
        triggerer.start(watcher(url=container.url), "other")
        await triggerer.until(lambda: f"Delete the keys that begin with {place[1]}" in str(said))
        await polled(triggerer, container, 2)
        assert "has format 7; this version reads 1" in str(said)
        for asset, key in [*database.kept]:
            if asset == place[0] and key.startswith(place[1]):
                del database.kept[asset, key]
        await triggerer.until(lambda: place in database.states)
        container.write("in/b.csv")
        await triggerer.until(database.changed)
    assert database.changed() == database.changed("other") == ["b.csv"]


@shared
async def test_two_watchers_that_share_a_record_are_an_error(container, database):
    from aml_provider.durable.handover import CursorMoved

    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url, pattern="*.csv"))
        triggerer.start(watcher(url=container.url, pattern="*.txt"))
        with pytest.raises(CursorMoved, match="give each its own state_key"):
            await triggerer.until(lambda: False)


@shared
async def test_two_watchers_with_their_own_keys_share_no_record(container, database):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url, pattern="*.csv", state_key="csv"))
        triggerer.start(watcher(url=container.url, pattern="*.txt", state_key="txt"))
        await triggerer.until(lambda: len(database.states) == 2)
        for name in ("in/a.csv", "in/a.txt"):
            container.write(name)
        await triggerer.until(lambda: len(database.changed()) == 2)
    assert sorted(database.changed()) == ["a.csv", "a.txt"]


@shared
async def test_another_pattern_or_interval_goes_on_from_the_same_record(container, database):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url, pattern="*.csv"))
        await triggerer.until(lambda: database.states)
    container.write("in/a.txt")
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(url=container.url, pattern="*.txt", poll_interval=0.2))
        await triggerer.until(database.changed)
    assert database.changed() == ["a.txt"]


@watching
async def test_a_watcher_without_shared_streams_or_asset_state_uses_a_variable(container, monkeypatch, said):
    """As on Airflow 3.0 to 3.2: no stream is shared, no asset has a state, and no trigger learns of stored events."""
    from aml_provider.state import variables
    from aml_provider.triggerer import watch_stream

    monkeypatch.setattr(watch_stream, "_STORING", 0.2)
    kept = {}
    monkeypatch.setattr(variables, "read", kept.get)
    monkeypatch.setattr(variables, "write", lambda key, value, description: kept.__setitem__(key, value))

    async def first(trigger):
        events = trigger.run()
        async with asyncio.timeout(120):
            event = await anext(events)
            follows = asyncio.ensure_future(anext(events))
            return event.payload, events, follows

    trigger = watcher(url=container.url, on_first_poll="report")
    container.write("in/a.csv")
    payload, events, follows = await first(trigger)
    assert [change["name"] for change in payload["changes"]] == ["a.csv"]
    follows.cancel()
    await asyncio.wait([follows])

    # Killed immediately: the same event again.
    again, events, follows = await first(trigger)
    assert again == payload
    async with asyncio.timeout(120):
        while "a.csv" in next(iter(kept.values())):  # noqa: ASYNC110 - a thread writes it
            await asyncio.sleep(0.02)
    container.write("in/b.csv")
    new = (await follows).payload
    await events.aclose()
    assert [change["name"] for change in new["changes"]] == ["b.csv"]
    (key,) = kept
    assert key.startswith("azureml_cursor_watcher_")


@watching
def test_without_assets_each_filter_has_its_own_record(container):
    def place(**arguments):
        return str(watcher(url=container.url, **arguments)._records())

    assert place() == place(poll_interval=9, on_first_poll="report")
    assert len({place(), place(pattern="a"), place(settle=1), place(path="b"), place(state_key="k")}) == 5
    assert place(pattern="a", state_key="k") == place(state_key="k")


@watching
async def test_without_asset_state_each_asset_has_a_variable_and_goes_on_from_the_shared_one(monkeypatch):
    from aml_provider.blobs.cursor import Cursor
    from aml_provider.state import variables
    from aml_provider.watching.outbox import WatcherRecord

    kept = {}
    monkeypatch.setattr(variables, "read", kept.get)
    monkeypatch.setattr(variables, "write", lambda key, value, description: kept.__setitem__(key, value))
    none, one, two = (AzureBlobChangeTrigger(datastore="d", asset=name)._records() for name in (None, "one", "two"))
    assert len({str(none), str(one), str(two)}) == 3
    before, after = (WatcherRecord(Cursor.of([(number, number)]).encode()) for number in (1, 2))
    await none.load()
    await none.save(before)
    assert await one.load() == before
    await one.save(after)
    assert (await one.load(), await two.load(), await none.load()) == (after, before, before)


@watching
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "a/../b"}, "path"),
        ({"pattern": []}, "pattern"),
        ({"settle": -1}, "settle"),
        ({"on_first_poll": "repeat"}, "on_first_poll"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": "1 minute"}, "poll_interval"),
        ({"state_key": ""}, "state_key"),
        ({"ignore_empty": "no"}, "ignore_empty"),
        ({"pattern": "sub/*.csv"}, "pattern"),
        ({"azureml_conn_id": None}, "azureml_conn_id"),
        ({"container_url": "https://acc.blob.core.windows.net/container?sv=1&sig=hush"}, "container_url"),
        ({"container_url": None, "datastore": "d", "wasb_conn_id": "w"}, "wasb_conn_id"),
    ],
)
def test_a_bad_argument_is_named_before_anything_is_stored(arguments, message):
    trigger = AzureBlobChangeTrigger(**{"container_url": "https://acc.blob.core.windows.net/container", **arguments})
    with pytest.raises(InvalidArgument, match=message) as raised:
        trigger.serialize()
    assert "hush" not in str(raised.value)


@watching
@pytest.mark.parametrize("arguments", [{}, {"datastore": "a", "container_url": "b"}])
def test_the_folder_must_be_given_exactly_once(arguments):
    with pytest.raises(ValueError, match="either datastore or container_url"):
        AzureBlobChangeTrigger(**arguments)


@pytest.mark.skipif(VERSION >= (3, 0), reason="Airflow 3 has watchers")
def test_airflow_2_is_told_to_use_the_sensor():
    with pytest.raises(RuntimeError, match="use AzureBlobChangeSensor"):
        AzureBlobChangeTrigger(datastore="a")


@watching
def test_a_serialised_trigger_makes_the_same_trigger_again():
    from datetime import timedelta

    from airflow.triggers.base import BaseEventTrigger

    one = AzureBlobChangeTrigger(datastore="d", path="/in/", pattern="*.csv", poll_interval=timedelta(minutes=1))
    other = AzureBlobChangeTrigger(datastore="d", path="/in/", pattern=["*.csv"], poll_interval=60)
    assert one.serialize() == other.serialize()
    path, arguments = one.serialize()
    assert AzureBlobChangeTrigger(**arguments).serialize() == (path, arguments)
    assert json.loads(json.dumps(arguments)) == arguments
    assert BaseEventTrigger.hash(path, arguments) == BaseEventTrigger.hash(*other.serialize())
