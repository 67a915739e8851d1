"""Asset watchers in a real triggerer that is killed with SIGKILL at every moment that matters.

The database says which moment it was: an event that a watcher has decided on is in its record from before it is fired
until it is known to be stored.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from pathlib import Path

import pytest
from airflow import __version__
from local_airflow import LocalAirflow
from processes import Guard
from support.services.folder import ContainerServer

if tuple(map(int, __version__.split(".")[:2])) < (3, 3):
    pytest.skip("assets have a state since Airflow 3.3", allow_module_level=True)

from support.airflow.watched import SETTINGS, WatchedAirflow

DAGS = Path(__file__).parent / "watcher_dags"
ASSETS = {"every": "", "csv": ".csv"}


class Watched(WatchedAirflow):
    """A real Airflow whose assets watch a folder."""

    def __init__(self, airflow, container):
        super().__init__(airflow)
        self.container = container
        self._numbers = itertools.count()
        self._dice = random.Random(7)

    def versions(self, asset):
        """The ids of the events of each version."""
        found = {}
        for event in self.events(asset):
            for change in event["changes"]:
                found.setdefault((change["path"], change["etag"]), []).append(event["id"])
        return found

    def write(self):
        """Write and overwrite some blobs; one of them is new and is named."""
        new = f"in/{next(self._numbers):03}.csv"
        self.container.write(new)
        for _ in range(self._dice.randrange(3)):
            self.container.write(f"in/{self._dice.choice('abc')}.{self._dice.choice(['csv', 'txt'])}")
        return new

    def settle(self):
        """Wait until everything that is there has arrived."""

        def has_all():
            return all(
                (name, blob.etag) in self.versions(asset)
                for asset, ending in ASSETS.items()
                for name, blob in self.container.blobs.items()
                if name.endswith(ending)
            )

        self.wait(has_all, "every version is in an event")
        self.wait(lambda: not any(self.open(asset) for asset in ASSETS), "all events are known to be stored")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    extra = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w", "region": "westeurope"}
    with contextlib.ExitStack() as resources:
        server = resources.enter_context(ContainerServer())
        connection = {
            "conn_type": "azureml",
            "password": "static-token",
            "extra": extra | {"auth_method": "static_token", "blob_endpoint": server.url},
        }
        resources.enter_context(pytest.MonkeyPatch.context()).setenv("WATCHED_CONTAINER", f"{server.url}/landing")
        container = server.container("landing")
        airflow = resources.enter_context(
            LocalAirflow(
                resources.enter_context(Guard()),
                tmp_path_factory.mktemp("airflow"),
                dags=DAGS,
                connections={"azureml_default": connection},
                report=lambda what: None,
                settings=SETTINGS,
                serve_tasks_apart=True,
            )
        )
        world = Watched(airflow, container)
        world.load([f"consumes_{asset}" for asset in ASSETS], ASSETS)
        yield world


def test_a_change_arrives_once_and_one_listing_serves_both(watched):
    new = watched.write()
    watched.settle()
    (change,) = (change for event in watched.events("csv") for change in event["changes"] if change["path"] == new)
    assert change["change"] == "added"
    assert all(len(ids) == 1 for asset in ASSETS for ids in watched.versions(asset).values())
    # Two watchers that listed alone would ask twice in each interval of two seconds.
    before = len(watched.container.asked)
    time.sleep(10)
    assert len(watched.container.asked) - before <= 6


def test_what_arrives_while_the_dag_is_paused_is_found_later(watched):
    def pause(is_paused):
        watched.airflow.patch("/dags/consumes_csv", {"is_paused": is_paused})

    def is_watched():
        return watched.ask("SELECT 1 FROM asset_watcher w JOIN asset a ON a.id = w.asset_id WHERE a.name = 'csv'")

    pause(is_paused=True)
    watched.wait(lambda: not is_watched(), "the watcher is stopped")
    before = len(watched.events("csv"))
    watched.write()
    looked = len(watched.container.asked) + 2
    watched.wait(lambda: len(watched.container.asked) > looked, "the other watcher has looked")
    assert len(watched.events("csv")) == before
    pause(is_paused=False)
    watched.settle()


@pytest.mark.parametrize("times", range(3))
def test_a_triggerer_killed_between_poll_and_stored_record_loses_no_change(watched, times):
    before = len(watched.container.asked)
    new = watched.write()
    watched.at_once(lambda: len(watched.container.asked) > before)
    watched.kill()
    watched.write()
    watched.start()
    watched.settle()
    assert (new, watched.container.blobs[new].etag) in watched.versions("csv")


@pytest.mark.parametrize("times", range(3))
def test_a_triggerer_killed_between_poll_and_event_stores_the_event_once(watched, times):
    watched.write()
    watched.at_once(watched.open)
    watched.kill()
    (lost,) = watched.open()
    stored = [event["id"] for event in watched.events("every")]
    assert lost not in stored, "the kill came too late for what this test is about"
    # What comes meanwhile goes into another event.
    later = watched.write()
    watched.start()
    watched.settle()
    again = [event for event in watched.events("every") if event["id"] == lost]
    assert len(again) == 1
    assert later not in [change["path"] for change in again[0]["changes"]]


@pytest.mark.parametrize("times", range(3))
def test_killed_between_event_and_cursor(watched, times):
    before = len(watched.events("every"))
    watched.write()
    watched.at_once(lambda: len(watched.events("every")) > before)
    watched.kill()
    (stored,) = watched.open()
    assert [event["id"] for event in watched.events("every")].count(stored) == 1
    watched.write()
    watched.start()
    watched.settle()
    first, again = (event for event in watched.events("every") if event["id"] == stored)
    assert first == again


def test_after_all_that_each_version_has_one_id_and_each_event_was_taken(watched):
    watched.settle()
    for asset in ASSETS:
        assert all(len(set(ids)) == 1 for ids in watched.versions(asset).values())
        fired = {event["id"] for event in watched.events(asset)}
        # Although Airflow 3.3 starts no run for an event that comes while another one waits for its run.
        watched.wait(lambda asset=asset, fired=fired: fired == watched.taken(asset), "every event is taken")
