"""The arithmetic of ``make bench ARGS="--only cluster"``."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from cluster_counters import Counters, Writes, costs_of, cpu_seconds, percentile, polled, written


def counters(at, **counts):
    return Counters(
        at,
        *(counts.get(name, 0) for name in Counters._fields[1:4]),
        counts.get("tables", {}),
        *(counts.get(name, 0) for name in Counters._fields[5:]),
    )


def test_costs_are_those_of_one_interval_and_not_of_the_window():
    before = counters(1000.0, loops=5.0, supervisors=7.0, commits=100, requests=3, listings=10)
    after = counters(1060.0, loops=8.0, supervisors=7.5, commits=340, requests=17, listings=4010)
    costs = costs_of(before, after, 30.0)
    assert (costs.loops, costs.supervisors) == (1.5, 0.25)
    assert (costs.commits, costs.requests, costs.listings) == (120, 7, 2000)


def test_a_window_that_took_longer_is_not_more_expensive():
    before, after = counters(0.0), counters(61.5, requests=41)
    assert costs_of(before, after, 30.0).requests == pytest.approx(20)


def test_rows_are_inserted_updated_and_deleted_ones():
    before = {"trigger": Writes(10, 20, 30), "variable": Writes(1, 1, 1)}
    after = {"trigger": Writes(12, 26, 34), "variable": Writes(1, 1, 1), "xcom": Writes(2, 0, 0)}
    assert written(before, after) == {"trigger": Writes(2, 6, 4), "xcom": Writes(2, 0, 0)}
    costs = costs_of(counters(0.0, tables=before), counters(60.0, tables=after), 30.0)
    assert costs.tables == {"trigger": 6.0, "xcom": 1.0}
    assert costs.written == 7.0


def test_heartbeats_of_components_and_examined_dag_runs_are_not_counted_as_rows():
    tables = {"job": Writes(0, 12, 0), "dag_run": Writes(0, 3, 0), "trigger": Writes(2, 0, 0)}
    costs = costs_of(counters(0.0), counters(30.0, tables=tables), 30.0)
    assert (costs.examined, costs.written) == (3.0, 2.0)


def test_a_table_grows_by_what_was_inserted_and_not_deleted():
    assert Writes(inserted=5, updated=100, deleted=2).kept == 3


@pytest.mark.parametrize(("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_percentile_is_one_of_the_values(share, value):
    assert percentile(range(100, 0, -1), share) == value


def test_the_percentiles_of_one_value_are_that_value():
    assert percentile([4.5], 0.5) == percentile([4.5], 0.99) == 4.5


def test_the_cpu_time_is_found_whatever_the_name_of_the_program():
    stat = "42 (airflow) R 1 (x) S 1 42 42 0 -1 4194560 100 200 0 0 250 50 9 9 20 0 1 0 12345 1000 200"
    assert cpu_seconds(stat, ticks=100) == 3.0


def test_the_cpu_time_is_that_of_the_kernel():
    began = time.process_time()
    while time.process_time() < began + 0.05:
        pass
    before = time.process_time()
    seconds = cpu_seconds(Path(f"/proc/{os.getpid()}/stat").read_text())
    # The kernel counts in ticks.
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert before - 2 * tick <= seconds <= time.process_time() + 2 * tick


def test_runs_are_polled_by_queries_and_one_by_one():
    requests = [
        {"method": "POST", "path": "/history/runs:query", "body": {"filter": "RunId eq a-1 or RunId eq b"}},
        {"method": "POST", "path": "/history/runs:query", "body": {"filter": "ParentRunId eq c"}},
        {"method": "POST", "path": "/history/runs:query", "body": {"filter": '(Tags/airflow.key eq "d")'}},
        {"method": "POST", "path": "/x/PipelineRuns/PipelineSubmit/e", "body": {}},
        {"method": "GET", "path": "/x/PipelineRuns/f", "body": None},
    ]
    assert polled(requests) == {"a-1", "b", "f"}
