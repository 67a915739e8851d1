"""A blob service, or a workspace, that is too busy: a poll is left to the next one, and none comes too soon."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.drivers.clocks import clock_standing
from support.drivers.watching import context_of, deferred, fire, look, sensor

from aml_provider.blobs.rules import Rules
from aml_provider.client.http import clients
from aml_provider.client.http.reply import Reply
from aml_provider.durable.handover import Commit, Owner
from aml_provider.emulator.workspace.models import Datastore
from aml_provider.hooks.blob_location import BlobLocation, FolderKey
from aml_provider.triggerer.folder_stream import make_stream
from aml_provider.watching.outbox import WatcherRecord

# Azure Storage says 503 and ServerBusy, other services 429.
busy = pytest.mark.parametrize("status", [429, 503])

pytestmark = pytest.mark.usefixtures("variables")


@pytest.fixture
def watch(container):
    def make(**arguments):
        return sensor(**{"container_url": container.url, "poke_interval": 60, **arguments})

    return make


@busy
def test_a_poll_waits_within_the_retry_budget_and_not_for_an_hour(status, watch, container, pauses, variables, said):
    watcher, context = watch(), context_of()
    watcher.poke(context)
    container.write("incoming/a")
    before = dict(variables)
    container.failures, container.retry_after = [status] * 1000, "30"
    assert watcher.poke(context).xcom_value is None
    assert pauses == [30.0] * 4, "retry_budget is 120 s, throttled_budget 3600 s"
    assert variables == before
    assert "This poll failed and was discarded; the sensor polls again. list blobs: " in str(said)
    container.failures = []
    [change] = watcher.poke(context).xcom_value
    assert change["name"] == "a"


def test_the_pages_of_a_poll_share_one_budget(watch, container, pauses):
    """Otherwise a folder of a thousand pages could occupy a worker for a day."""
    watcher, context = watch(), context_of()
    watcher.poke(context)
    container.page_size, container.retry_after = 1, "50"
    for number in range(5):
        container.write(f"incoming/{number}")
    container.failures = [503, 200] * 5
    assert watcher.poke(context).xcom_value is None
    assert pauses == [50.0, 50.0]
    container.failures, container.retry_after = [503, 200, 429, 200] * 3, None
    assert len(watcher.poke(context).xcom_value) == 5


@pytest.mark.parametrize(("timeout", "waits"), [(100, 3), (29, 0), (10_000, 4)])
def test_a_poll_does_not_outlast_the_sensors_timeout(timeout, waits, watch, container, pauses):
    container.failures, container.retry_after = [429] * 1000, "30"
    assert look(watch(timeout=timeout)) == []
    assert pauses == [30.0] * waits


def test_the_last_poll_of_a_deferred_sensor_is_not_repeated(watch, container, pauses):
    container.failures, container.retry_after = [429] * 1000, "10"
    watcher = watch()
    watcher._deadline = time.time() - 1
    assert look(watcher) == []
    assert pauses == []
    assert len(container.asked) == 1


def test_a_poll_does_not_wait_for_a_busy_workspace_either(emulator, azureml_default, variables, pauses, said):
    emulator.state.datastores["landing"] = Datastore("landing", "account", "landing", account_key="a2V5")
    emulator.faults.add("status", status=429, retry_after=45, times=1000)
    assert look(sensor(datastore="landing")) == []
    assert pauses == [45.0, 45.0]
    assert "the sensor polls again. get datastore" in str(said)


def test_a_record_in_a_blob_that_cannot_be_written_at_the_moment_is_written_with_the_next_poll(
    emulator, azurite, azureml_default, pauses, monkeypatch
):
    """The batch is returned only when it is known to be stored."""
    with azurite.container() as landing:
        store = Datastore("landing", azurite.account_name, landing.container_name, account_key=azurite.account_key)
        emulator.state.datastores["landing"] = store
        watcher, context = sensor(datastore="landing", cursor_store="landing/records"), context_of()
        watcher.poke(context)
        landing.upload_blob("incoming/a", b"x")
        act = clients.Client._act

        def refuse(client, step):
            answer = act(client, step) if getattr(step, "method", "") != "PUT" else None
            return answer or Reply(503, {"retry-after": "70"}, b"", "id")

        with monkeypatch.context() as refusing:
            refusing.setattr(clients.Client, "_act", refuse)
            assert watcher.poke(context).xcom_value is None
        assert pauses == [70.0]
        [change] = watcher.poke(context).xcom_value
        assert change["name"] == "a"


@busy
def test_a_sensor_polls_no_sooner_than_retry_after_allows(status, watch, container, pauses):
    watcher, context = watch(poke_interval=60), context_of()
    watcher.poke(context)

    def next_interval():
        return watcher._get_next_poke_interval(0.0, lambda: 0.0, 1)

    assert next_interval() == 60.0
    container.failures, container.retry_after = [status], "900"
    watcher.poke(context)
    assert pauses == [], "a wait beyond the budget is not begun"
    assert next_interval() == 900.0


@busy
def test_a_poll_that_succeeds_after_a_refusal_does_not_delay_the_next_one(status, watch, container, pauses):
    watcher = watch(poke_interval=60)
    container.failures, container.retry_after = [status], "90"
    watcher.poke(context_of())
    assert pauses == [90.0]
    assert watcher._get_next_poke_interval(0.0, lambda: 0.0, 1) == 60.0


def test_a_sensor_polls_at_its_timeout_even_if_retry_after_is_later(watch, container):
    container.failures, container.retry_after = [429], "86400"
    watcher = watch(timeout=600)
    with clock_standing():
        watcher.poke(context_of())
        assert watcher._get_next_poke_interval(0.0, lambda: 0.0, 1) == pytest.approx(600.0)


@pytest.mark.parametrize("asked", ["900", "inf"])
def test_a_deferral_after_a_refused_poll_waits_as_long_as_the_service_asked(asked, watch, container):
    watcher = watch(deferrable=True, timeout=600 if asked == "inf" else 3600)
    look_at_rest = deferred(watcher)
    assert (look_at_rest.poll_interval, look_at_rest.only_wait) == (60.0, False)
    container.failures, container.retry_after = [503], asked
    watcher = watch(deferrable=True, timeout=600 if asked == "inf" else 3600)
    with clock_standing():
        trigger = deferred(watcher)
    assert trigger.only_wait, "the worker looks again itself"
    assert trigger.poll_interval == pytest.approx(600.0 if asked == "inf" else 900.0)


@pytest.mark.parametrize("status", [429, 503])
def test_the_trigger_leaves_a_busy_service_alone(status, watch, container, monkeypatch, said):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.2")
    container.write("incoming/old")
    trigger = deferred(watch(deferrable=True, poke_interval=0.1))
    container.write("incoming/a")
    container.failures, container.retry_after = [status], "1"
    fire(trigger)
    _, refused, again = container.moments
    assert again - refused >= 1.0
    assert "the next one is in 1 s. list blobs" in str(said)


def test_the_trigger_waits_for_a_busy_workspace_without_waking_a_worker(
    emulator, azurite, azureml_default, variables, monkeypatch, said
):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.2")
    with azurite.container() as landing:
        store = Datastore("landing", azurite.account_name, landing.container_name, account_key=azurite.account_key)
        emulator.state.datastores["landing"] = store
        trigger = deferred(sensor(datastore="landing", deferrable=True))
        landing.upload_blob("incoming/a", b"x")
        emulator.faults.add("status", status=429, retry_after=1)
        begin = time.monotonic()
        fire(trigger)
    assert time.monotonic() - begin >= 1.1
    assert "the next one is in 1 s. get datastore" in str(said)
    [record] = variables.values()
    assert Commit.decode(record).owner.is_same(Owner.of(context_of()["ti"]))


@pytest.fixture
def stream(container, monkeypatch):
    """A watched folder, polled ten times a second."""
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.2")
    location = BlobLocation(None, container.url, "incoming", None, "azureml_default")

    def make():
        made = make_stream(FolderKey(location, ignore_empty=True, poll_interval=0.1))
        return made, made.join(Rules.of(), WatcherRecord())

    return make


@busy
async def test_watchers_leave_a_busy_service_alone(status, stream, container, said):
    container.write("incoming/old")
    container.failures, container.retry_after = [status], "1"
    folder, _watcher = stream()
    async with asyncio.timeout(120):
        await anext(folder.polls())
    await folder.close()
    refused, again = container.moments
    assert again - refused >= 1.0
    assert "the next one is in 1 s" in str(said)


async def test_watchers_poll_again_within_an_hour_whatever_a_service_asks_for(stream, container, said):
    """No one restarts a watcher."""
    container.failures, container.retry_after = [503], "inf"
    folder, _watcher = stream()
    looks = asyncio.ensure_future(anext(folder.polls()))
    async with asyncio.timeout(120):
        while "the next one is in" not in str(said):  # noqa: ASYNC110 - the log is all that tells
            await asyncio.sleep(0.05)
    looks.cancel()
    await asyncio.wait([looks])
    await folder.close()
    assert "the next one is in 3600 s" in str(said)
