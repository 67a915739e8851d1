"""Lets Airflow's stats in this process send to a server, whichever Airflow it is."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from statsd_server import StatsdServer

from aml_provider import compat, metric_sender

AIRFLOW_V_3_2_PLUS = compat._VERSION >= (3, 2)

if TYPE_CHECKING:
    from collections.abc import Iterator


class _OwnServer(StatsdServer):
    """Gets the metrics of this process, where a thread sends those of an event loop: it is waited for, too."""

    def _catch_up(self) -> None:
        wait_until_sent()
        super()._catch_up()


def wait_until_sent() -> None:
    """Wait until the sender's thread has sent everything that was counted before."""
    sent = threading.Event()
    metric_sender._SENDER.put(sent.set)
    assert sent.wait(240)


@contextmanager
def metrics_server(monkeypatch: Any) -> Iterator[StatsdServer]:
    """A server that gets the metrics of this process, as Airflow's processes send them with this configuration."""
    with _OwnServer() as server:
        for name, value in server.settings.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__{name.upper()}", str(value))
        with backend(None):
            yield server


@contextmanager
def backend(logger: Any) -> Iterator[None]:
    """Replace Airflow's backend: by this one, or with None by the one that the configuration names."""
    found, before = compat.stats(), list(metric_sender._failures)
    metric_sender._failures.clear()
    made: list[Any] = []
    _initialise(found, made, logger)
    try:
        yield
        assert logger is not None or not metric_sender._failures, metric_sender._failures
    finally:
        metric_sender._failures[:] = before
        _initialise(found, [], _no_stats())
        for one in made:
            one.statsd.close()


def _initialise(stats: Any, made: list[Any], logger: Any) -> None:
    # Before 3.2, to ask the class for a name would make its backend.
    if not AIRFLOW_V_3_2_PLUS:
        from airflow.metrics import statsd_logger

        # Airflow calls it as a method of the class.
        type(stats).factory = lambda of=stats: logger or _kept(made, statsd_logger.get_statsd_logger(of))
        stats.instance = None
        return
    from airflow.sdk.observability.metrics import stats_utils

    if "incr" in vars(stats):
        options, arguments = {"export_legacy_names": False}, ()
    else:  # 3.2
        options, arguments = {}, (stats,)
    stats.initialize(factory=lambda: logger or _kept(made, stats_utils.get_stats_factory(*arguments)()), **options)


def _kept(made: list[Any], logger: Any) -> Any:
    made.append(logger)
    return logger


def _no_stats() -> Any:
    try:
        from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
    except ImportError:
        from airflow.metrics.base_stats_logger import NoStatsLogger
    return NoStatsLogger()
