"""The matrix: its cells are locked, and its table hides no failure."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import matrix_cells
import pytest
from matrix_table import Check, Outcome, read_report, summary
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = {lock.name: lock for lock in matrix_cells.locks()}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPORT = """<?xml version="1.0"?>
<testsuites><testsuite>
<testcase classname="test_run" name="test_a_task_ends[deferred]"/>
<testcase classname="test_run" name="test_it_fails">
  <failure message="AssertionError: no run&#10;more">text</failure>
</testcase>
<testcase classname="test_watcher" name="test_it_starts"><skipped message="Airflow 2 has no asset watchers"/></testcase>
<testcase classname="test_sensor" name="test_it_waits"><error message="the fixture failed"/></testcase>
</testsuite></testsuites>
"""


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "report.xml"
    path.write_text(REPORT)
    return read_report(path)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_the_airflow_that_it_is_named_after_and_only_hashed_packages(name):
    text = LOCKS[name].path.read_text()
    pins = re.findall(r"^([\w.-]+)==([^\s;\\]+)", text, re.MULTILINE)
    assert ("apache-airflow", LOCKS[name].airflow) in pins
    assert len(pins) > 100
    assert text.count("==") >= len(pins)
    for block in re.split(r"\n(?=\S)", text):
        assert "==" not in block.partition("\n")[0] or "--hash=sha256:" in block


def test_the_cells_cover_each_python_and_the_oldest_airflow_that_we_declare():
    pythons = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if ":: 3." in line}
    assert pythons <= {cell.python for cell in matrix_cells.cells()}
    (oldest,) = (line.partition(">=")[2] for line in PROJECT["dependencies"] if line.startswith("apache-airflow>="))
    assert LOCKS["lowest"].airflow == f"{oldest}.0"


def test_the_lowest_lock_has_the_lowest_versions_that_we_declare():
    pins = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCKS["lowest"].path.read_text(), re.MULTILINE))
    declared = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["emulator"]]
    for line in declared:
        name, lowest = re.fullmatch(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line).groups()
        assert Version(pins[name]) == Version(lowest), line


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("3.1-py312", ["3.1-py312"]),
        ("3.1", ["3.1-py311", "3.1-py312", "3.1-py313"]),
        ("lowest, 2.11-py311", ["2.11-py311", "lowest-py311"]),
    ],
)
def test_cells_are_chosen_by_their_name_or_their_locks(wanted, names):
    assert [cell.name for cell in matrix_cells.cells(wanted)] == names


def test_a_cell_that_does_not_exist_is_refused_and_the_cells_are_named():
    with pytest.raises(ValueError, match=r"no cell '3\.1-py310'; the cells are 2\.11-py311, "):
        matrix_cells.cells("3.1-py310")


def test_a_report_is_read_with_its_reasons(report):
    assert report.checks == (
        Check("run", "a task ends[deferred]", "passed"),
        Check("run", "it fails", "failed", "AssertionError: no run"),
        Check("watcher", "it starts", "skipped", "Airflow 2 has no asset watchers"),
        Check("sensor", "it waits", "failed", "the fixture failed"),
    )
    assert report.has_failed


def test_a_cell_that_reported_nothing_has_failed(tmp_path):
    assert read_report(tmp_path / "none.xml").has_failed
    assert Outcome.of_cell("failed", "no environment").has_failed
    assert Outcome((Check("run", "it ends", "passed"),)).and_failed("the whole cell", "too late").has_failed


def test_a_cell_without_its_python_is_skipped():
    assert not Outcome.of_cell("skipped", "there is no Python 3.14").has_failed


def test_the_table_shows_each_kind_of_check_and_the_reasons(report):
    good = Outcome((Check("run", "it fails", "passed"), Check("watcher", "it starts", "passed")))
    none = Outcome.of_cell("skipped", "there is no Python 3.14 on this machine")
    assert summary({"2.11-py311": report, "3.1-py311": good, "3.3-py314": none}).splitlines() == [
        "cell        run                 watcher    sensor",
        "2.11-py311  1 passed, 1 failed  1 skipped  1 failed",
        "3.1-py311   ok                  ok         missing",
        "3.3-py314   skipped             skipped    skipped",
        "",
        "skipped:",
        "  it starts: Airflow 2 has no asset watchers (2.11-py311)",
        "  the whole cell: there is no Python 3.14 on this machine (3.3-py314)",
        "",
        "failed:",
        "  it fails: AssertionError: no run (2.11-py311)",
        "  it waits: the fixture failed (2.11-py311)",
        "",
        "3 passed, 2 failed, 2 skipped",
    ]
