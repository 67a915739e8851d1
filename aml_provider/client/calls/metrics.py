"""The operations on metrics: what runs and steps have logged as numbers, texts and tables."""

from __future__ import annotations

from typing import Any

from aml_provider.client.calls.call import RIGHTS, Call, each, segment
from aml_provider.client.entities import MetricValue

_READ = f"{RIGHTS}/experiments/runs/read"


def list_metrics(run_id: str) -> Call[tuple[str, ...]]:
    """List the names of the metrics that a run, or a step's run, has logged."""
    return Call(
        operation=f"list the metrics of run {run_id!r}",
        method="POST",
        service="metric",
        path=f"/runs/{segment('run_id', run_id)}/list",
        body={},
        parse=lambda wire: each(_name, wire),
        page_key="continuationToken",
        right=_READ,
    )


def _name(wire: dict[str, Any]) -> str:
    name = wire["metricKey"]["name"]
    if not isinstance(name, str):
        raise TypeError(f"a name was expected, not {type(name).__name__}")
    return name


def get_metric(run_id: str, name: str) -> Call[tuple[MetricValue, ...]]:
    """Read all values of one metric."""
    return Call(
        operation=f"get metric {name!r} of run {run_id!r}",
        method="POST",
        service="metric",
        path=f"/runs/{segment('run_id', run_id)}/full",
        body={"metricName": name},
        parse=lambda wire: each(MetricValue.from_wire, wire),
        page_key="continuationToken",
        right=_READ,
    )
