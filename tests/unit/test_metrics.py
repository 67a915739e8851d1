"""The names of the metrics: one table in the code, the same in the documentation, and no endless tags."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.airflow.stats import metrics_server

from aml_provider import metrics
from aml_provider.blobs.page_parser import LIST_BLOBS
from aml_provider.client.entities import RunState
from aml_provider.client.errors import AuthenticationRefused, AzureMLError, RunUnwatched, Throttled
from aml_provider.client.flows.cancel_run import CancelReason
from aml_provider.client.http.messages import Request
from aml_provider.compat import AirflowFailException
from aml_provider.connection import airflow_errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "reference" / "metrics.md"


@pytest.fixture
def server(monkeypatch):
    with metrics_server(monkeypatch) as running:
        yield running


def rows(text):
    """The cells of the rows of a page's tables that begin with a metric."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `azureml."):
            yield tuple(cells)


def test_the_table_of_the_documentation_is_that_of_the_code():
    expected = [
        (
            f"`azureml.{one.name}`",
            one.kind,
            one.unit,
            ", ".join(f"`{tag}`" for tag in one.tags),
            one.sent_by,
            one.meaning,
        )
        for one in metrics.METRICS
    ]
    assert [*rows(DOCS.read_text())] == expected


def test_the_table_has_every_metric_of_the_module():
    named = [value for value in vars(metrics).values() if isinstance(value, metrics.Metric)]
    assert named == [*metrics.METRICS]
    assert len({one.name for one in named}) == len(named)


def test_no_other_module_names_a_metric():
    """Else the table would miss it."""
    users = [
        path
        for path in (ROOT / "aml_provider").rglob("*.py")
        if re.search(r"\bstats\(\)|import metric_sender|metric_sender import", path.read_text())
    ]
    assert {path.name for path in users} == {"compat.py", "metrics.py", "metric_sender.py"}


def test_the_alerts_name_only_metrics_that_exist():
    known = {
        re.escape(f"azureml.{one.name}").replace("<state>", r"\w+").replace("<why>", r"\w+") for one in metrics.METRICS
    }
    known = {pattern.replace("<class>", r"\w+") for pattern in known}
    named = re.findall(r"`(azureml\.[\w.<>]+)`", (ROOT / "docs" / "how-to" / "alerting.md").read_text())
    assert len(set(named)) > 8
    for name in named:
        plain = re.sub("<.*>", "x", name)
        assert any(re.fullmatch(pattern, plain) for pattern in known), name


def test_the_documentation_lists_each_reason_and_state():
    whole = DOCS.read_text()
    for reason in CancelReason:
        assert f"`{reason.name.lower()}`" in whole
    for state in RunState:
        assert (f"`{state.value.lower()}`" in whole) == state.is_final


def test_no_tag_has_a_value_for_each_run():
    """A time series for each run would fill any store."""
    allowed = {"conn_id", "dag_id", "task_id", "hostname", "asset"}
    assert {tag for one in metrics.METRICS for tag in one.tags} == allowed


def test_an_error_counts_once_however_often_it_passes(server):
    error = Throttled("submit", status=429)
    with pytest.raises(Throttled), airflow_errors("outer"), airflow_errors("inner"):
        raise error
    metrics.failed(RunUnwatched("not read", run_id="r"), "c")
    metrics.failed(error, "c")
    assert server.counts("conn_id") == {("errors.Throttled", "inner"): 1, ("errors.RunUnwatched", "c"): 1}


def test_an_error_counts_by_its_own_class_also_as_airflows_own(server):
    with pytest.raises(AirflowFailException) as raised, airflow_errors("c"):
        raise AuthenticationRefused("submit", status=401)
    metrics.failed(raised.value, "c")
    assert server.counts() == {"errors.AuthenticationRefused": 1}


def test_errors_of_others_do_not_count(server):
    metrics.failed(ValueError("no"), "c")
    assert server.counts() == {}


def leaves(kind):
    return (
        [kind] if not kind.__subclasses__() else [kind, *(one for sub in kind.__subclasses__() for one in leaves(sub))]
    )


def test_each_class_of_error_makes_a_valid_name(server):
    for kind in leaves(AzureMLError):
        metrics.failed(kind.__new__(kind), "c")
    assert {f"errors.{kind.__name__}" for kind in leaves(AzureMLError)} == {*server.counts()}


@pytest.mark.parametrize(
    ("operation", "polls", "status", "expected"),
    [
        ("get a run", False, 200, {}),
        ("get a run", True, 200, {"poll.requests": 1}),
        ("get a run", True, None, {"poll.requests": 1}),
        ("get a run", True, 429, {"poll.requests": 1, "throttled": 1}),
        ("submit", False, 429, {"throttled": 1}),
        ("get a run", False, 503, {}),
        (LIST_BLOBS, False, 200, {"listing.requests": 1}),
        (LIST_BLOBS, False, 503, {"listing.requests": 1, "throttled": 1}),
    ],
)
def test_exchanges(server, operation, polls, status, expected):
    metrics.exchanges("c", polls=polls)(Request(operation, "GET", "https://x"), status)
    assert server.counts() == expected
