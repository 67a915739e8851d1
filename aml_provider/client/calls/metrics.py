"""The operations on metrics: what runs and steps have logged as numbers, texts and tables."""

from __future__ import annotations

from typing import Any

from aml_provider.client.calls.call import Call, Resource, segment
from aml_provider.client.entities import MetricValue

_METRICS = Resource("metric", "experiments/runs")


def list_metrics(run_id: str) -> Call[tuple[str, ...]]:
    """List the names of the metrics that a run, or a step's run, has logged."""
    path = f"/runs/{segment('run_id', run_id)}/list"
    return _METRICS.read_list(f"list the metrics of run {run_id!r}", path, _name, method="POST", body={})


def _name(wire: dict[str, Any]) -> str:
    name = wire["metricKey"]["name"]
    if not isinstance(name, str):
        raise TypeError(f"a name was expected, not {type(name).__name__}")
    return name


def get_metric(run_id: str, name: str) -> Call[tuple[MetricValue, ...]]:
    """Read all values of one metric."""
    return _METRICS.read_list(
        f"get metric {name!r} of run {run_id!r}",
        f"/runs/{segment('run_id', run_id)}/full",
        MetricValue.from_wire,
        method="POST",
        body={"metricName": name},
    )
