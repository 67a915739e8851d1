"""A StatsD server that gets the metrics of Airflow's stats in this process."""

from __future__ import annotations

import asyncio
import threading

import pytest
from support.airflow.stats import sending_to
from support.services.statsd import StatsdServer

from aml_provider import metric_sender


@pytest.fixture
def statsd(monkeypatch):
    with StatsdServer() as running, sending_to(running, monkeypatch):
        yield running


@pytest.fixture
def all_sent():
    """Waits until the metrics of an event loop are sent."""

    async def wait():
        sent = threading.Event()
        metric_sender._SENDER.put(sent.set)
        assert await asyncio.to_thread(sent.wait, 30)

    return wait
