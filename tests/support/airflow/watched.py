"""A real Airflow whose triggerer runs asset watchers and is killed, and what its database says of them."""

from __future__ import annotations

import itertools
import json
import sqlite3
import time

from support.airflow.triggerer import latest_records

PATIENCE = 600
SETTINGS = {
    # A dead triggerer's watchers are given to another one after so many seconds.
    "triggerer": {"job_heartbeat_sec": 1, "triggerer_health_check_threshold": 6},
    "core": {"parallelism": 8},
}


class WatchedAirflow:
    """A real Airflow and its watchers, by the names of their assets."""

    def __init__(self, airflow):
        self.airflow = airflow
        self.triggerers = itertools.count(2)
        self.triggerer = "triggerer"
        self._database = sqlite3.connect(airflow.database, timeout=30)

    def ask(self, query, *arguments):
        return self._database.execute(query, arguments).fetchall()

    def load(self, dag_ids, assets):
        """Wait until the DAGs are loaded, start their watchers, and wait until each has polled."""
        loaded = "SELECT 1 FROM dag WHERE dag_id = ?"
        for dag_id in dag_ids:
            self.wait(lambda dag_id=dag_id: self.ask(loaded, dag_id), f"the DAG {dag_id} is loaded")
            self.airflow.unpause(dag_id)
        self.wait(lambda: set(self.records()) == set(assets), "all watchers have polled")

    def records(self):
        """What is stored of each watcher, by asset."""
        query = "SELECT a.name, s.key, s.value FROM asset_state_store s JOIN asset a ON a.id = s.asset_id"
        kept = {(name, key): value for name, key, value in self.ask(query) if key != "taken"}
        return {name: json.loads(text) for (name, _), text in latest_records(kept).items()}

    def events(self, asset):
        """What an asset's events carry, oldest first."""
        query = "SELECT e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id WHERE a.name = ? ORDER BY e.id"
        return [json.loads(extra)["payload"] for (extra,) in self.ask(query, asset)]

    def taken(self, asset):
        """The ids of the events that an asset's DAG runs have taken."""
        query = (
            "SELECT s.value FROM asset_state_store s JOIN asset a ON a.id = s.asset_id "
            "WHERE s.key = 'taken' AND a.name = ?"
        )
        return {event_id for (value,) in self.ask(query, asset) for event_id in json.loads(value)}

    def open(self, asset="every"):
        """The ids in a watcher's outbox."""
        return [event["id"] for event in self.records()[asset]["outbox"]]

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
