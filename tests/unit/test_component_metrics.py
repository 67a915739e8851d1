"""The demo's check of metrics: it must notice what is missing, or its table means nothing."""

from __future__ import annotations

import socket

import component_metrics
import pytest
from component_metrics import ComponentMetrics
from watched_dag import StoryError


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(component_metrics, "_TIMEOUT", 0)
    with ComponentMetrics() as running:
        yield running


def send(measured, component, line):
    """Send a line of StatsD's protocol, as a process of this component does."""
    address = measured.settings[component]["metrics"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(f"airflow.{line}".encode(), (address["statsd_host"], address["statsd_port"]))


def test_what_each_component_has_sent_is_a_table(measured):
    for line in ("azureml.submissions,conn_id=c:1|c", "azureml.submissions:2|c", "scheduler.heartbeat:1|c|@0.5"):
        send(measured, "scheduler", line)
    for line in ("azureml.waiting:3|g", "azureml.waiting:0|g", "azureml.listing.duration:4|ms"):
        send(measured, "triggerer", line)
    send(measured, "api-server", "azureml.cancelled.state_changed:1|c")
    measured.check({"worker": {"submissions": 3}}, sent={"triggerer": ("waiting", "listing.duration")})
    assert [line.split() for line in measured.lines()] == [
        ["azureml.", "worker", "triggerer", "API", "server"],
        ["cancelled.state_changed", "1"],
        ["listing.duration", "4", "ms"],
        ["submissions", "3"],
        ["waiting", "up", "to", "3"],
    ]


@pytest.mark.parametrize(
    ("component", "line"), [(None, ""), ("triggerer", "azureml.changes:2|c"), ("scheduler", "azureml.changes:1|c")]
)
def test_a_sum_that_is_missing_or_wrong_fails(measured, component, line):
    if component:
        send(measured, component, line)
    with pytest.raises(StoryError, match=r"azureml\.changes of the worker is \d, not 2"):
        measured.check({"worker": {"changes": 2}}, sent={})


@pytest.mark.parametrize("line", [None, "azureml.waiting:0|g"])
def test_a_gauge_that_never_rose_fails(measured, line):
    if line:
        send(measured, "triggerer", line)
    with pytest.raises(StoryError, match=r"azureml\.waiting of the triggerer has not arrived"):
        measured.check({}, sent={"triggerer": ("waiting",)})


@pytest.mark.parametrize(
    ("component", "name"),
    [
        ("api-server", "submissions"),
        ("api-server", "run_ended.finished"),
        ("triggerer", "unheard"),
        ("scheduler", "poll.age"),
    ],
)
def test_a_metric_of_a_component_that_the_documentation_does_not_name_fails(measured, component, name):
    send(measured, component, f"azureml.{name}:1|c")
    with pytest.raises(StoryError, match=rf"sent azureml\.{name}"):
        measured.check({}, sent={})


def test_a_metric_that_all_may_send_may_come_from_each(measured):
    for component in measured.settings:
        send(measured, component, "azureml.errors.Throttled:1|c")
    measured.check({}, sent={})
