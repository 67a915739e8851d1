"""Sensors and watchers with a wake queue, over Azurite's queue service; a server counts the listings."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import airflow
import pytest
from azure.storage.blob import generate_account_sas, generate_container_sas
from support.drivers.watching import context_of, deferred, fire, fires_within, sensor
from support.services.wake_queue import AzuriteQueues, event

from aml_provider.compat import AirflowFailException
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.state.slots import VariableSlot
from aml_provider.triggers.blob import AzureBlobChangeTrigger, AzureBlobLookTrigger

pytestmark = pytest.mark.usefixtures("variables", "no_retries", "right")

VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))
shared = pytest.mark.skipif(VERSION < (3, 3), reason="Airflow shares streams from 3.3 on")
SAVED = "the wake queue has no event for this folder"

if VERSION >= (3, 3):
    from support.airflow.triggerer import Database, Triggerer


@pytest.fixture(scope="module")
def queues():
    with AzuriteQueues() as running:
        yield running


@pytest.fixture
def queue(queues):
    return queues.queue()


@pytest.fixture
def right(queues, monkeypatch):
    """The connection whose account key lists the folder and reads the queue."""
    connection = {"conn_type": "wasb", "login": queues.account_name, "password": queues.account_key}
    monkeypatch.setenv("AIRFLOW_CONN_LANDING", json.dumps(connection))


@pytest.fixture
def woken(container, queue):
    """A sensor of the container with the queue, each time as if new in its process."""
    # The first poll of an empty folder would also list the one above it.
    container.write("incoming/old.csv")

    def make(kind=AzureBlobChangeSensor, **arguments):
        place = {"container_url": container.url, "wasb_conn_id": "landing", "wake_queue": queue.url}
        made = sensor(kind, **{**place, **arguments})
        # In reschedule mode Airflow knows when the first process started.
        made._deadline = time.time() + 600
        return made

    return make


def poll(watcher, context=None):
    """Poll once; the names of what it takes."""
    return [change["path"] for change in watcher.poke(context or context_of()).xcom_value or ()]


def listings(container):
    return len(container.asked)


def quiet(poll_once, container):
    """Poll until a poll lists nothing: just after an event, a reader lists once more."""
    for _ in range(100):
        before = listings(container)
        assert poll_once() == []
        if listings(container) == before:
            return
        time.sleep(0.1)
    raise AssertionError("each poll lists")


def saved_polls(caplog):
    return [line for line in caplog.messages if SAVED in line]


def written(container, queue, name, **facts):
    container.write(name)
    queue.put(event(name, container="landing", account="account", **facts))


def test_a_sensor_that_pokes_lists_after_events_only(woken, container, queue):
    watcher, context = woken(), context_of()
    assert poll(watcher, context) == []
    assert listings(container) == 1
    for _ in range(5):
        assert poll(watcher, context) == []
    queue.put(event("elsewhere/x", container="landing"))
    for _ in range(3):
        assert poll(watcher, context) == []
    quiet(lambda: poll(watcher, context), container)
    written(container, queue, "incoming/a.csv", schema="grid")
    assert poll(watcher, context) == ["incoming/a.csv"]


def test_an_event_alone_reports_nothing(woken, container, queue):
    watcher, context = woken(), context_of()
    poll(watcher, context)
    queue.put(event("incoming/never.csv"), event("incoming/never.csv"), "forged")
    assert poll(watcher, context) == []
    assert listings(container) == 2
    quiet(lambda: poll(watcher, context), container)


def test_a_blob_without_an_event_is_found_after_the_resync(woken, container, queue):
    watcher, context = woken(resync=1.5), context_of()
    began = time.monotonic()
    poll(watcher, context)
    container.write("incoming/a.csv")
    found = []
    while not found:
        found = poll(watcher, context)
        assert time.monotonic() - began < 240
    assert found == ["incoming/a.csv"]
    assert listings(container) == 2
    assert time.monotonic() - began > 1


def test_a_rescheduled_sensor_remembers_its_last_listing(woken, container, queue, variables):
    def once():
        return poll(woken(mode="reschedule"))

    assert once() == []
    stored = dict(variables)
    assert sorted(key.rpartition("_")[0] for key in stored) == ["azureml_cursor_dag_watch", "azureml_wake_dag_watch"]
    for _ in range(5):
        assert once() == []
    assert listings(container) == 1
    assert variables == stored, "an idle poll writes nothing"
    written(container, queue, "incoming/a.csv")
    assert once() == ["incoming/a.csv"]


@pytest.mark.parametrize("change", [{"pattern": "*.txt"}, {"settle": 5}, {"ignore_empty": False}, {"resync": 7200}])
def test_a_rescheduled_sensor_with_other_arguments_lists(change, woken, container):
    poll(woken(mode="reschedule"))
    poll(woken(mode="reschedule"))
    assert listings(container) == 1
    poll(woken(mode="reschedule", **change))
    assert listings(container) == 2


def test_a_rescheduled_sensor_whose_listing_failed_lists_again(woken, container, queue):
    poll(woken(mode="reschedule"))
    written(container, queue, "incoming/a.csv")
    container.failures = [503]
    assert poll(woken(mode="reschedule")) == []
    assert poll(woken(mode="reschedule")) == ["incoming/a.csv"]


def test_a_stored_state_that_is_damaged_costs_a_listing(woken, container, variables):
    poll(woken(mode="reschedule"))
    for damaged in ("{", "[]", '{"serial": 1}'):
        [key] = [key for key in variables if key.startswith("azureml_wake_")]
        variables[key] = damaged
        before = listings(container)
        poll(woken(mode="reschedule"))
        assert listings(container) == before + 1


class Contested(VariableSlot):
    """Another process, with the same cursor_key, writes between this one's write and its check."""

    def _write(self, text):
        super()._write(text)
        super()._write("of another process")


class AtTheSameTime(AzureBlobChangeSensor):
    def _new_wait(self, context, deadline):
        wait = super()._new_wait(context, deadline)
        wait._wake_slot = Contested(wait._wake_slot.key, "")
        return wait


def test_a_state_that_another_process_overwrites_costs_a_listing_and_no_try(woken, container, said):
    for number in (1, 2):
        assert poll(woken(AtTheSameTime, mode="reschedule")) == []
        assert listings(container) == number
    assert "could not be stored; the next poll may list the folder. The Variable azureml_wake_dag_watch_" in str(said)


def test_a_deferred_sensor_lists_after_events_only(woken, container, queue, said):
    queue.put(event("elsewhere/x", container="landing"))
    context = context_of()
    trigger = deferred(woken(deferrable=True), context)
    assert json.loads(json.dumps(trigger.serialize()[1])) == trigger.serialize()[1]
    assert not fires_within(trigger, lambda: SAVED in str(said))
    # The triggerer was restarted, and a blob has arrived meanwhile.
    written(container, queue, "incoming/a.csv")
    event_of_trigger = fire(AzureBlobLookTrigger(**trigger.serialize()[1]))
    [change] = woken(deferrable=True).execute_complete(context, event_of_trigger)
    assert change["name"] == "a.csv"


def test_a_row_of_a_version_without_wake_queues_lists_with_each_poll(watch, container):
    stored = deferred(watch(deferrable=True)).serialize()[1]
    for name in ("wake_queue", "resync", "wake_state"):
        del stored[name]
    before = listings(container)
    assert not fires_within(AzureBlobLookTrigger(**stored), lambda: listings(container) >= before + 3)


def test_with_settle_a_blob_is_listed_until_it_is_settled(woken, container, queue):
    watcher, context = woken(settle=60), context_of()
    poll(watcher, context)
    written(container, queue, "incoming/a.csv")
    assert poll(watcher, context) == []
    container.now += timedelta(seconds=60)
    assert poll(watcher, context) == ["incoming/a.csv"]


def test_many_messages_are_deleted_once_they_are_covered(woken, container, queue):
    watcher, context = woken(), context_of()
    poll(watcher, context)
    queue.put(*(event(f"incoming/{number}") for number in range(20)))
    poll(watcher, context)
    assert queue.count() == 20
    poll(watcher, context)
    assert queue.count() == 1
    queue.clear()
    container.write("incoming/a.csv")
    # What somebody else has deleted may have concerned the folder.
    assert poll(watcher, context) == ["incoming/a.csv"]


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_a_queue_that_is_missing_costs_listings_and_a_warning(mode, woken, container, queue, said):
    made = {"wake_queue": f"{queue.url}-missing", "mode": mode}
    watcher, context = woken(**made), context_of()
    for number in range(4):
        assert poll(watcher if mode == "poke" else woken(**made), context) == []
        assert listings(container) == number + 1
    text = str(said)
    assert "Each poll lists the folder" in text
    assert f"Is there a queue {queue.url}-missing?" in text
    container.write("incoming/a.csv")
    assert poll(watcher if mode == "poke" else woken(**made), context) == ["incoming/a.csv"]


@pytest.mark.parametrize(
    ("sas", "reason"),
    [
        (
            lambda account: generate_account_sas(**account, resource_types="co", permission="rl", services="bq"),
            "lacks p",
        ),
        (lambda account: generate_account_sas(**account, resource_types="co", permission="rl", services="b"), "ss=b"),
        (lambda account: generate_container_sas(**account, container_name="landing", permission="rl"), "sr=c"),
    ],
)
def test_a_sas_that_is_not_enough_is_named(sas, reason, woken, container, queue, queues, monkeypatch, said):
    account = {"account_name": queues.account_name, "account_key": queues.account_key}
    token = sas({**account, "expiry": datetime.now(UTC) + timedelta(hours=1)})
    monkeypatch.setenv("AIRFLOW_CONN_LANDING", json.dumps({"conn_type": "wasb", "extra": {"sas_token": token}}))
    queue.put(*(event("elsewhere/x") for _ in range(20)))
    watcher, context = woken(), context_of()
    for _ in range(3):
        poll(watcher, context)
    assert reason in str(said)
    assert "sig=" not in str(said).replace("sig=***", "")
    container.write("incoming/a.csv")
    queue.put(event("incoming/a.csv"))
    assert poll(watcher, context) == ["incoming/a.csv"]


def test_a_queue_of_another_account_is_refused_with_a_key(woken, container):
    with pytest.raises(AirflowFailException, match=r"wake_queue: .*key of 'devstoreaccount1'"):
        poll(woken(wake_queue="https://other.queue.core.windows.net/events"))
    assert container.asked == []


def test_the_polls_that_listed_nothing_are_counted(woken, container, queue, statsd):
    watcher, context = woken(), context_of()
    for _ in range(4):
        poll(watcher, context)
    assert statsd.counts() == {
        "listing.requests": 1,
        "listing.blobs": 1,
        "wake_queue.requests": 4,
        "listing.saved": 3,
    }


def test_the_log_says_why_a_folder_is_listed(woken, container, queue, said):
    watcher, context = woken(), context_of()
    poll(watcher, context)
    poll(watcher, context)
    written(container, queue, "incoming/a.csv")
    poll(watcher, context)
    text = str(said)
    assert "1 remembered (nothing was listed yet)" in text
    assert SAVED in text
    assert "1 new, 0 modified, 1 unchanged (an event concerns the folder)" in text


@shared
async def test_watchers_list_after_events_only(container, queue, monkeypatch, caplog):
    caplog.set_level("INFO")

    def watcher(**arguments):
        return AzureBlobChangeTrigger(
            container_url=container.url,
            path="in",
            wasb_conn_id="landing",
            wake_queue=queue.url,
            poll_interval=0.1,
            **arguments,
        )

    database = Database(monkeypatch)
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(), "one")
        triggerer.start(watcher(pattern="*.csv"), "two")
        await triggerer.until(lambda: len(database.states) == 2)
        before = listings(container)
        container.write("in/lost.csv")
        # Polls go on meanwhile: one of them could list.
        await triggerer.until(lambda: saved_polls(caplog))
        assert listings(container) == before
        written(container, queue, "in/a.csv")
        await triggerer.until(lambda: len(database.changed("one")) == 2 and len(database.changed("two")) == 2)
        # A watcher that joins later gets the listing that it needs.
        triggerer.start(watcher(on_first_poll="report"), "late")
        await triggerer.until(lambda: len(database.changed("late")) == 2)
    assert database.changed("one") == database.changed("two") == ["a.csv", "lost.csv"]


@shared
def test_watchers_with_other_queues_share_no_listing(container, queue):
    def key(**arguments):
        return AzureBlobChangeTrigger(container_url=container.url, path="in", **arguments).shared_stream_key()

    assert key(wake_queue="events") == key(wake_queue="events", resync=3600, pattern="x")
    assert len({key(), key(wake_queue="events"), key(wake_queue="other"), key(wake_queue="events", resync=60)}) == 4
    assert key() == key(resync=60)
