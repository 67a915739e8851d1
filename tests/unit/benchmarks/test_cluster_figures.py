"""Rows, table and picture of ``make bench ARGS="--only cluster"``."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from cluster_counters import Costs
from cluster_figures import HEADINGS, Ends, Found, Measured, Size, lines, picture, rows


def measured(runs, folders, *, requests=0.0, listings=0.0, loops=1.5, tables=None):
    costs = Costs(loops, 3.0, 900.0, {"trigger": 30.0} if tables is None else tables, requests, listings)
    return Measured(Size(runs, folders), costs, (runs + folders,))


def found(*, requests=27.0, listings=2000.0):
    return Found(
        empty=measured(0, 0, loops=0.0, tables={}),
        idle=measured(5000, 2000, loops=0.75),
        growth=[
            measured(500, 200, requests=10.0, listings=200.0),
            measured(5000, 2000, requests=requests, listings=listings),
        ],
        kept={"task_instance": 1, "trigger": 1, "job": 0},
        ends=Ends([float(second) for second in range(1, 101)], [20.0, 40.0, 60.0], [12.0], 1.5),
        stalls=1,
        collections=2,
        late=0,
    )


def row(all_rows, end):
    (wanted,) = (row for row in all_rows if row.name.endswith(end))
    return wanted


@pytest.mark.parametrize(
    ("requests", "listings", "missed"),
    [
        (27.0, 2000.0, []),
        (200.0, 2000.0, ["requests to the workspace per interval"]),
        (27.0, 4000.0, ["listings per interval"]),
    ],
)
def test_a_row_is_missed_if_runs_or_folders_are_polled_more_often(requests, listings, missed):
    names = [row.name for row in rows(found(requests=requests, listings=listings)) if not row.holds]
    assert names == [f"5,000 runs and 2,000 folders: {name}" for name in missed]


def test_the_rows_show_the_full_size_next_to_triggers_that_do_nothing():
    cpu = row(rows(found()), "CPU of the event loops, of one processor")
    assert (cpu.measured, cpu.unit, cpu.beside) == (5.0, "%", "2.5 %")


def test_the_rows_have_the_median_and_the_percentile_of_each_kind_of_end():
    all_rows = rows(found())
    name = "100 runs that end over 120 s: from a run's end until its task is no longer deferred"
    assert row(all_rows, f"{name}, median").measured == 50
    assert row(all_rows, f"{name}, 99th percentile").measured == 99
    assert (
        row(
            all_rows, "3 runs that end together: from a run's end until its task is no longer deferred, median"
        ).measured
        == 40
    )
    assert (
        row(all_rows, "1 runs whose tasks a worker resumes: from a run's end until its task has ended, median").measured
        == 12
    )


def test_the_rows_have_the_requests_of_the_end():
    assert row(rows(found()), "3 runs that end together: requests for each run").measured == 1.5


def test_the_row_of_a_task_names_the_tables_with_its_rows():
    assert row(rows(found()), "for each deferred task: task_instance 1, trigger 1").measured == 2


def test_the_table_has_a_line_for_each_size_and_one_for_triggers_that_do_nothing():
    table = lines(found())
    assert [line[:2] for line in table] == [
        ("0", "0"),
        ("500", "200"),
        ("5,000", "2,000"),
        ("7,000 triggers that do nothing", ""),
    ]
    assert {len(line) for line in table} == {len(HEADINGS)}


def test_the_picture_can_be_drawn_if_a_figure_is_zero():
    nothing = found()._replace(idle=measured(5000, 2000, loops=0.0, tables={}))
    ET.fromstring(picture(nothing))
