"""Asset watchers in a real triggerer that is killed with SIGKILL at every moment that matters.

The database says which moment it was: an event that a watcher has decided on is in its record from before it is fired
until it is known to be stored.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import sqlite3
import time
from pathlib import Path

import pytest
from airflow import __version__
from local_airflow import LocalAirflow
from processes import Guard
from support.services.folder import ContainerServer

if tuple(map(int, __version__.split(".")[:2])) < (3, 3):
    pytest.skip("assets have a state since Airflow 3.3", allow_module_level=True)

from support.airflow.triggerer import latest_records

DAGS = Path(__file__).parent / "watcher_dags"
PATIENCE = 600
SETTINGS = {
    # A dead triggerer's watchers are given to another one after so many seconds.
    "triggerer": {"job_heartbeat_sec": 1, "triggerer_health_check_threshold": 6},
    "core": {"parallelism": 8},
}
ASSETS = {"every": "", "csv": ".csv"}


class Watched:
    """A real Airflow whose assets watch a folder."""

    def __init__(self, airflow, container):
        self.airflow = airflow
        self.container = container
        self.triggerers = itertools.count(2)
        self.triggerer = "triggerer"
        self._numbers = itertools.count()
        self._dice = random.Random(7)
        self._database = sqlite3.connect(airflow.database, timeout=30)

    def ask(self, query, *arguments):
        return self._database.execute(query, arguments).fetchall()

    def records(self):
        """What is stored of each watcher, by asset."""
        query = "SELECT a.name, s.key, s.value FROM asset_state_store s JOIN asset a ON a.id = s.asset_id"
        kept = {(name, key): value for name, key, value in self.ask(query) if key != "taken"}
        return {name: json.loads(text) for (name, _), text in latest_records(kept).items()}

    def events(self, asset):
        """What an asset's events carry, oldest first."""
        query = "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = ? ORDER BY e.id"
        return [json.loads(extra)["payload"] for (extra,) in self.ask(query, asset)]

    def versions(self, asset):
        """The ids of the events of each version."""
        found = {}
        for event in self.events(asset):
            for change in event["changes"]:
                found.setdefault((change["path"], change["etag"]), []).append(event["id"])
        return found

    def open(self, asset="every"):
        """The ids in a watcher's outbox."""
        return [event["id"] for event in self.records()[asset]["outbox"]]

    def write(self):
        """Write and overwrite some blobs; one of them is new and is named."""
        new = f"in/{next(self._numbers):03}.csv"
        self.container.write(new)
        for _ in range(self._dice.randrange(3)):
            self.container.write(f"in/{self._dice.choice('abc')}.{self._dice.choice(['csv', 'txt'])}")
        return new

    def wait(self, condition, what):
        return self.airflow.wait(condition, what, timeout=PATIENCE, log=self.airflow.database.parent / "triggerer.log")

    def at_once(self, condition):
        """Wait in very small steps."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.002)

    def kill(self):
        self.airflow.kill(self.triggerer)

    def start(self):
        self.triggerer = f"triggerer-{next(self.triggerers)}"
        self.airflow.start(self.triggerer)

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
        for asset in ASSETS:
            world.wait(lambda asset=asset: _is_loaded(world, f"consumes_{asset}"), f"the DAG for {asset} is loaded")
            airflow.unpause(f"consumes_{asset}")
        world.wait(lambda: set(world.records()) == set(ASSETS), "both watchers have looked")
        yield world


def _is_loaded(world, dag_id):
    return world.ask("SELECT 1 FROM dag WHERE dag_id = ?", dag_id)


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
    query = (
        "SELECT s.value FROM asset_state_store s JOIN asset a ON a.id = s.asset_id WHERE s.key = 'taken' AND a.name = ?"
    )
    for asset in ASSETS:
        assert all(len(set(ids)) == 1 for ids in watched.versions(asset).values())
        fired = {event["id"] for event in watched.events(asset)}

        def all_taken(asset=asset, fired=fired):
            return any(fired == set(json.loads(value)) for (value,) in watched.ask(query, asset))

        # Although Airflow 3.3 starts no run for an event that comes while another one waits for its run.
        watched.wait(all_taken, "every event is taken")
