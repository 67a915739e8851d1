"""The metrics of sensors and watchers of a folder: listings, changes, events, and what is delivered again."""

from __future__ import annotations

import airflow
import pytest
from support.drivers.watching import context_of, deferred, fire, look

from aml_provider.triggers.blob import AzureBlobChangeTrigger

pytestmark = pytest.mark.usefixtures("variables", "no_retries")
VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))
CONN = "azureml_default"
TASK = (CONN, "dag", "watch", None)


def counts(statsd):
    return statsd.counts("conn_id", "dag_id", "task_id", "asset")


def test_a_sensor_counts_its_listings_and_changes(watch, container, statsd):
    container.write("incoming/old")
    look(watch())
    assert counts(statsd) == {
        ("listing.requests", CONN, None, None, None): 1,
        ("listing.blobs", CONN, None, None, None): 1,
    }
    for number in range(3):
        container.write(f"incoming/{number}")
    look(watch())
    assert counts(statsd) == {
        ("listing.requests", CONN, None, None, None): 2,
        ("listing.blobs", CONN, None, None, None): 5,
        ("changes", *TASK): 3,
    }
    durations = statsd.samples("airflow.azureml.listing.duration")
    assert [(sample.kind, sample.value > 0) for sample in durations] == [("ms", True)] * 2


def test_each_page_is_a_request_of_one_listing(watch, container, statsd):
    container.page_size = 2
    for number in range(5):
        container.write(f"incoming/{number}")
    look(watch())
    assert statsd.counts() == {"listing.requests": 3, "listing.blobs": 5}
    assert len(statsd.samples("airflow.azureml.listing.duration")) == 1


def test_a_retry_gets_its_batch_again_and_no_changes(watch, container, statsd):
    look(watch())
    container.write("incoming/a")
    assert look(watch()) == look(watch()) == [("incoming/a", "added")]
    assert counts(statsd)["changes", *TASK] == 1
    assert counts(statsd)["deliveries_repeated", *TASK] == 1


def test_a_batch_that_another_task_takes_over_counts_as_both(watch, container, statsd, states):
    look(watch(), context_of("run0"))
    container.write("incoming/a")
    look(watch(), context_of("run1"))
    states["run1"] = "failed"
    assert look(watch(), context_of("run2")) == [("incoming/a", "added")]
    assert counts(statsd)["changes", *TASK] == 2
    assert counts(statsd)["deliveries_repeated", *TASK] == 1


def test_a_poll_that_fails_is_an_error_and_no_listing(watch, container, statsd):
    look(watch())
    statsd.clear()
    container.failures = [503]
    assert look(watch()) == []
    assert statsd.counts("conn_id") == {
        ("listing.requests", CONN): 1,
        ("throttled", CONN): 1,
        ("errors.ServerFault", CONN): 1,
    }


def test_a_deferred_sensor_counts_its_listings_in_the_triggerer(watch, container, statsd):
    trigger = deferred(watch(deferrable=True))
    statsd.clear()
    container.write("incoming/a")
    fire(trigger)
    assert statsd.counts("conn_id") == {("listing.requests", CONN): 1, ("listing.blobs", CONN): 1}
    assert len(statsd.samples("airflow.azureml.listing.duration")) == 1


if VERSION >= (3, 3):
    from support.airflow.triggerer import Database, Triggerer


@pytest.fixture
def database(monkeypatch):
    return Database(monkeypatch)


def watcher(container, **arguments):
    return AzureBlobChangeTrigger(
        **{"path": "in", "poll_interval": 0.1, "container_url": container.url, "asset": "files"} | arguments
    )


@pytest.mark.skipif(VERSION < (3, 3), reason="Airflow shares streams since 3.3")
async def test_watchers_count_events_and_changes_and_share_a_listing(container, database, statsd):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(container), "files")
        triggerer.start(watcher(container, asset="others", pattern="no*"), "others")
        await triggerer.until(lambda: len(database.states) == 2)
        for number in range(4):
            container.write(f"in/{number}")
        await triggerer.until(lambda: len(database.changed("files")) == 4)
    found = counts(statsd)
    assert found["changes", CONN, None, None, "files"] == 4
    assert found["watcher.events", CONN, None, None, "files"] == len(database.events["files"])
    assert not [key for key in found if key[-1] == "others"]
    assert found["listing.requests", CONN, None, None, None] == len(container.asked)


@pytest.mark.skipif(VERSION < (3, 3), reason="Airflow shares streams since 3.3")
async def test_events_of_a_triggerer_that_died_are_repeated_and_their_changes_not(container, database, statsd):
    async with Triggerer(database, storing=False) as triggerer:
        triggerer.start(watcher(container), "files")
        await triggerer.until(lambda: database.states)
        container.write("in/a")
        await triggerer.until(lambda: triggerer.fired)
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(container), "files")
        await triggerer.until(lambda: database.changed("files"))
    tags = (CONN, None, None, "files")
    found = counts(statsd)
    assert (found["changes", *tags], found["watcher.events", *tags], found["deliveries_repeated", *tags]) == (1, 2, 1)
