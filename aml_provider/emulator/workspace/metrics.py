"""The metrics of runs and steps (numbers, texts and tables) in the form of the metric service."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.errors import bad_request
from aml_provider.emulator.workspace.models import Metric
from aml_provider.emulator.workspace.times import wire_time

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.body import Body, JsonObject

SCALAR = "azureml.v1.scalar"


def add(metrics: dict[str, Metric], given: Body, now: float) -> None:
    """Add the values of a ``MetricV2Dto`` to the metric with its name."""
    name = given.required("name")
    properties = given.object("properties")
    kind = (properties.text("uxMetricType") if properties else None) or SCALAR
    columns = given.texts("columns")
    values = [_value(value, columns, now) for value in given.objects("value")]
    metric = metrics.setdefault(name, Metric(name, columns, kind))
    if metric.type != kind:
        raise bad_request(f"Metric {name} is of type {metric.type}, not {kind}.", "MetricTypeMismatch")
    metric.columns |= columns
    metric.values += values


def add_scalar(metrics: dict[str, Metric], name: str, value: float | str, now: float) -> None:
    """Add one number or text."""
    metric = metrics.setdefault(name, Metric(name, {}, SCALAR))
    metric.columns[name] = "string" if isinstance(value, str) else "double"
    metric.values.append(_row({name: value}, now))


def metric_dto(metric: Metric, container: str) -> JsonObject:
    """``MetricV2Dto``, in one page."""
    return {
        "dataContainerId": container,
        "name": metric.name,
        "columns": metric.columns,
        "properties": {"uxMetricType": metric.type, "dataLocation": None},
        "namespace": None,
        "standardSchemaId": None,
        "value": metric.values,
        "continuationToken": None,
        "nextLink": None,
    }


def definition_dto(metric: Metric) -> JsonObject:
    """``MetricDefinitionDto``: the name and columns of a metric."""
    return {
        "metricKey": {"namespace": "", "name": metric.name, "labels": None},
        "columns": metric.columns,
        "properties": {"uxMetricType": metric.type},
    }


def _value(given: Body, columns: dict[str, str], now: float) -> JsonObject:
    data = given.mapping("data")
    if unknown := sorted(data.keys() - columns.keys()):
        raise bad_request(f"columns does not contain {', '.join(unknown)}.")
    row = _row(data, now)
    row["metricId"] = given.text("metricId") or row["metricId"]
    row["createdUtc"] = given.text("createdUtc") or row["createdUtc"]
    row["step"] = given.get("step")
    return row


def _row(data: JsonObject, now: float) -> JsonObject:
    return {"metricId": str(uuid.uuid4()), "createdUtc": wire_time(now), "step": None, "numSteps": None, "data": data}
