"""The metrics of watchers of runs: events, requests of polls, and polls that fail."""

from __future__ import annotations

import asyncio

import airflow
import pytest

from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.triggers.run_event import AzureMLPipelineRunEventTrigger

VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))
pytestmark = pytest.mark.skipif(VERSION < (3, 3), reason="Airflow shares streams from 3.3 on")

if VERSION >= (3, 3):
    from support.airflow.triggerer import Database, Triggerer

CONN = "azureml_default"


@pytest.fixture
def database(monkeypatch, no_retries):
    return Database(monkeypatch)


def watcher():
    return AzureMLPipelineRunEventTrigger(experiment_name="exp", poll_interval=0.1, asset="runs")


def submit():
    return AzureMLHook().submit_pipeline("p0", experiment_name="exp").id


async def test_an_event_is_counted_and_is_no_change_of_blobs(workspace, database, statsd):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(), "runs")
        await triggerer.until(lambda: database.states)
        workspace.finish(await asyncio.to_thread(submit))
        await triggerer.until(lambda: database.events)
    found = statsd.counts("conn_id", "asset")
    assert found["watcher.events", CONN, "runs"] == len(database.events["runs"]) == 1
    assert found["poll.requests", CONN, None] >= len(workspace.requests(path_contains="runs:query"))
    assert {key[0] for key in found} == {"watcher.events", "poll.requests"}


async def test_an_event_of_a_triggerer_that_died_is_repeated(workspace, database, statsd):
    async with Triggerer(database, storing=False) as triggerer:
        triggerer.start(watcher(), "runs")
        await triggerer.until(lambda: database.states)
        workspace.finish(await asyncio.to_thread(submit))
        await triggerer.until(lambda: triggerer.fired)
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(), "runs")
        await triggerer.until(lambda: database.events)
    found = statsd.counts("conn_id", "asset")
    assert (found["watcher.events", CONN, "runs"], found["deliveries_repeated", CONN, "runs"]) == (2, 1)


async def test_a_poll_that_fails_is_an_error(workspace, database, statsd):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(), "runs")
        await triggerer.until(lambda: database.states)
        workspace.faults.add("status", status=503, path="*/runs:query")
        await triggerer.until(lambda: statsd.counts("conn_id").get(("errors.ServerFault", CONN)))
    assert statsd.counts("conn_id")["errors.ServerFault", CONN] == 1


async def test_a_run_that_cannot_be_read_is_an_error_in_each_poll(workspace, database, statsd):
    async with Triggerer(database) as triggerer:
        triggerer.start(watcher(), "runs")
        await triggerer.until(lambda: database.states)
        workspace.faults.add("status", status=403, path="*/Pipelines/*", times=2)
        workspace.finish(await asyncio.to_thread(submit))
        await triggerer.until(lambda: database.events)
    assert statsd.counts("conn_id")["errors.PermissionDenied", CONN] == 2
