"""Metrics on their way to Airflow's stats: what a backend does, whatever it is, never reaches the code that counts."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from statsd_server import Sample, StatsdServer
from support.airflow.stats import backend, metrics_server, wait_until_sent

from aml_provider import metric_sender, metrics


@pytest.fixture
def server(monkeypatch):
    with metrics_server(monkeypatch) as running:
        yield running


class Backend:
    """A backend that does what a test says."""

    def __init__(self, act):
        self._act = act

    def incr(self, *args, **kwargs):
        self._act()


def test_a_counter_arrives_with_its_tags(server):
    metrics.count(metrics.SUBMISSIONS, 3, conn_id="azureml_default", dag_id="d", task_id="group.t")
    tags = {"conn_id": "azureml_default", "dag_id": "d", "task_id": "group.t"}
    assert server.samples() == [Sample("airflow.azureml.submissions", 3, "c", tags)]


def test_a_duration_arrives_in_milliseconds(server):
    metrics.timing(metrics.LISTING_DURATION, 1.25, conn_id="c")
    assert server.samples() == [Sample("airflow.azureml.listing.duration", 1250, "ms", {"conn_id": "c"})]


def test_a_gauge_names_its_host(server):
    metrics.gauge(metrics.WAITING, 7, conn_id="c")
    (sample,) = server.samples()
    assert (sample.value, sample.kind, sample.tags["conn_id"]) == (7, "g", "c")
    assert sample.tags["hostname"]


def test_nothing_is_sent_for_zero_and_for_a_tag_without_a_value(server):
    metrics.count(metrics.CHANGES, 0, conn_id="c")
    metrics.count(metrics.CHANGES, 1, conn_id="c", asset=None)
    assert server.samples() == [Sample("airflow.azureml.changes", 1, "c", {"conn_id": "c"})]


@pytest.mark.parametrize("value", ["a,b=c:1|d#e f/g\n", "자료", "x" * 300, 5, {"not": "text"}])
def test_no_value_of_a_tag_breaks_the_line(server, value):
    """StatsD has no escapes, its client sends ASCII only, and Airflow refuses long names."""
    metrics.count(metrics.WATCHER_EVENTS, conn_id="c", asset=value)
    (sample,) = server.samples()
    assert (sample.name, set(sample.tags)) == ("airflow.azureml.watcher.events", {"conn_id", "asset"})


async def test_an_event_loops_metrics_arrive_too(server):
    metrics.count(metrics.POLL_REQUESTS, conn_id="c")
    assert server.counts() == {"poll.requests": 1}


async def test_a_backend_that_blocks_does_not_block_an_event_loop(monkeypatch):
    monkeypatch.setattr(metric_sender, "_SENDER", metric_sender._Sender())
    monkeypatch.setattr(metric_sender, "_MOST", 5)
    go_on, calls = threading.Event(), []

    def block():
        assert go_on.wait(240)
        calls.append(1)

    with backend(Backend(block)):
        for _ in range(20):
            metrics.count(metrics.POLL_REQUESTS, conn_id="c")
        go_on.set()
        metrics.count(metrics.POLL_REQUESTS, conn_id="c")
        monkeypatch.setattr(metric_sender, "_MOST", 100)
        wait_until_sent()
    # One is being sent, or not yet, while the others wait; what is beyond them is dropped.
    assert 5 <= len(calls) <= 7


def test_a_backend_that_raises_is_logged_once(caplog):
    def fail():
        raise RuntimeError("no such host")

    with backend(Backend(fail)):
        for _ in range(3):
            metrics.count(metrics.SUBMISSIONS)
    assert caplog.text.count("no such host") == 1


def test_a_backend_without_a_method_is_no_error(caplog):
    with backend(object()):
        metrics.gauge(metrics.WAITING, 1)
    assert "could not take a metric" in caplog.text


def in_a_process(server, program):
    """Run a program that only has Airflow's configuration, as a triggerer, a worker or an API server has."""
    variables = {f"AIRFLOW__METRICS__{name.upper()}": str(value) for name, value in server.settings.items()}
    command = [sys.executable, "-W", "ignore", "-c", program]
    subprocess.run(command, env=os.environ | variables, check=True, capture_output=True, timeout=300)


def test_a_new_process_sends_as_airflow_is_configured():
    """No component of Airflow has initialised its stats there."""
    with StatsdServer() as server:
        in_a_process(server, "from aml_provider import metrics; metrics.count(metrics.SUBMISSIONS, 2, conn_id='c')")
        assert server.samples() == [Sample("airflow.azureml.submissions", 2, "c", {"conn_id": "c"})]


def test_a_forked_process_sends_too():
    """A triggerer's event loop runs in a fork of the triggerer, an API server's workers are forks, and so are tasks."""
    program = """
import asyncio, os, threading
from aml_provider import metric_sender, metrics

async def count():
    metrics.count(metrics.POLL_REQUESTS, conn_id="c")
    sent = threading.Event()
    metric_sender._SENDER.put(sent.set)
    assert sent.wait(240)

asyncio.run(count())
child = os.fork()
if not child:
    asyncio.run(count())
    metrics.count(metrics.SUBMISSIONS, conn_id="c")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    with StatsdServer() as server:
        in_a_process(server, program)
        assert server.counts() == {"poll.requests": 2, "submissions": 1}
