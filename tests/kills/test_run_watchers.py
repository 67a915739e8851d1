"""Asset watchers of runs in a real triggerer that is killed with SIGKILL at every moment that matters.

The database says which moment it was: an event that a watcher has decided on is in its record from before it is fired
until it is known to be stored.
"""

from __future__ import annotations

import contextlib
import itertools
from datetime import datetime
from pathlib import Path

import pytest
from airflow import __version__
from local_airflow import LocalAirflow
from processes import Guard
from support.services.held_workspace import HeldWorkspace
from support.services.recorded_workspace import TOKEN

if tuple(map(int, __version__.split(".")[:2])) < (3, 3):
    pytest.skip("assets have a state since Airflow 3.3", allow_module_level=True)

from support.airflow.watched import SETTINGS, WatchedAirflow

from aml_provider.client import calls
from aml_provider.client.http.clients import Client
from aml_provider.client.settings import WorkspaceSettings

DAGS = Path(__file__).parent / "run_watcher_dags"
STATUSES = {"every": ("Finished", "Failed"), "failed": ("Failed",)}


class Watched(WatchedAirflow):
    """A real Airflow whose assets watch the runs of a workspace, and these runs, which end when the test says so."""

    def __init__(self, airflow, workspace, client):
        super().__init__(airflow)
        self.workspace = workspace
        self._client = client
        self.ended = {}

    def submit(self):
        return self._client.call(calls.submit_pipeline("p0", {"ExperimentName": "exp"})).id

    def end(self, run_id, fails=None):
        self.workspace.finish(run_id, fails=fails)
        self.ended[run_id] = "Finished" if fails is None else "Failed"
        return run_id

    def polls(self):
        return len(self.workspace.requests(path_contains="runs:query"))

    def ids(self, asset):
        """The ids of the events of each run."""
        found = {}
        for event in self.events(asset):
            found.setdefault(event["run_id"], []).append(event["id"])
        return found

    def settle(self):
        """Wait until the end of every run has arrived."""

        def has_all():
            return all(
                {run_id for run_id, status in self.ended.items() if status in statuses} <= set(self.ids(asset))
                for asset, statuses in STATUSES.items()
            )

        self.wait(has_all, "every run is in an event")
        self.wait(lambda: not any(self.open(asset) for asset in STATUSES), "all events are known to be stored")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    with contextlib.ExitStack() as resources:
        workspace = resources.enter_context(HeldWorkspace(1))
        settings = WorkspaceSettings(**workspace.connection()["extra"], secret=TOKEN)
        client = resources.enter_context(Client(settings))
        airflow = resources.enter_context(
            LocalAirflow(
                resources.enter_context(Guard()),
                tmp_path_factory.mktemp("airflow"),
                dags=DAGS,
                connections={"azureml_default": workspace.connection()},
                report=lambda what: None,
                settings=SETTINGS,
                serve_tasks_apart=True,
            )
        )
        world = Watched(airflow, workspace, client)
        # Had ended before: it is remembered.
        world.before = client.call(calls.submit_pipeline("p0", {"ExperimentName": "exp"})).id
        workspace.finish(world.before)
        # Was active before: it is reported when it ends, after all kills.
        world.active = world.submit()
        world.load([f"follows_{asset}" for asset in STATUSES], STATUSES)
        yield world


def test_a_run_is_reported_once_and_one_query_serves_both(watched):
    run_id = watched.end(watched.submit())
    watched.settle()
    (event,) = (event for event in watched.events("every") if event["run_id"] == run_id)
    assert (event["status"], event["pipeline_name"], event["experiment_name"]) == ("Finished", "p0", "exp")
    assert watched.before not in watched.ids("every")
    # Two watchers that asked alone would ask twice in each interval of two seconds.
    before = watched.polls()
    watched.at_once(lambda: watched.polls() >= before + 5)
    times = [datetime.fromisoformat(one["time"]) for one in watched.workspace.requests(path_contains="runs:query")]
    assert all((later - earlier).total_seconds() > 1.5 for earlier, later in itertools.pairwise(times[-5:]))


@pytest.mark.parametrize("times", range(3))
def test_a_triggerer_killed_between_poll_and_stored_record_loses_no_run(watched, times):
    first, second = watched.submit(), watched.submit()
    before = watched.polls()
    watched.end(first)
    watched.at_once(lambda: watched.polls() > before)
    watched.kill()
    watched.end(second, fails="row 2 is empty")
    watched.start()
    watched.settle()
    assert {first, second} <= set(watched.ids("every"))
    assert second in watched.ids("failed")


@pytest.mark.parametrize("times", range(3))
def test_a_triggerer_killed_between_record_and_event_stores_the_event_once(watched, times):
    first = watched.submit()
    watched.end(first)
    watched.at_once(watched.open)
    watched.kill()
    (lost,) = watched.open()
    assert lost not in [event["id"] for event in watched.events("every")], "the kill came too late"
    later = watched.end(watched.submit())
    watched.start()
    watched.settle()
    assert [event["run_id"] for event in watched.events("every") if event["id"] == lost] == [first]
    assert len(watched.ids("every")[later]) == 1


@pytest.mark.parametrize("times", range(3))
def test_a_triggerer_killed_between_event_and_cursor_repeats_the_same_event(watched, times):
    before = len(watched.events("every"))
    watched.end(watched.submit())
    watched.at_once(lambda: len(watched.events("every")) > before)
    watched.kill()
    (stored,) = watched.open()
    watched.end(watched.submit())
    watched.start()
    watched.settle()
    first, again = (event for event in watched.events("every") if event["id"] == stored)
    assert first == again


def test_after_all_that_each_run_has_one_id_and_each_event_was_taken(watched):
    watched.end(watched.active, fails="no")
    watched.settle()
    for asset, statuses in STATUSES.items():
        assert all(len(set(ids)) == 1 for ids in watched.ids(asset).values())
        assert set(watched.ids(asset)) == {run for run, status in watched.ended.items() if status in statuses}
        fired = {event["id"] for event in watched.events(asset)}
        # Although Airflow 3.3 starts no run for an event that comes while another one waits for its run.
        watched.wait(lambda asset=asset, fired=fired: fired == watched.taken(asset), "every event is taken")
