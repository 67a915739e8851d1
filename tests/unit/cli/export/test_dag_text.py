"""The text of exported DAGs: valid, formatted, and harmless whatever the names and values are."""

from __future__ import annotations

import ast
import subprocess
import sysconfig
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aml_provider.cli.export.airflow_times import HAS_SEVERAL_CRONS
from aml_provider.cli.export.command import installed_imports
from aml_provider.cli.export.dag_text import (
    WAIT_TASK,
    DagPlan,
    Imports,
    can_start,
    dag_text,
    is_started,
    start_of,
    with_start,
)
from aml_provider.cli.export.run_arguments import RunArguments
from aml_provider.cli.export.timing import Crons, Every
from aml_provider.client.models import DataPath

RUFF = Path(sysconfig.get_path("scripts"), "ruff")
TIMINGS = [
    Crons(("0 7 * * *",), "Asia/Seoul"),
    Crons(("10,55 */3 * * *", "40 1-22/3 * * *", "25 2-23/3 * * *"), "America/Argentina/ComodRivadavia"),
    Every(timedelta(minutes=50), datetime(2026, 1, 1, tzinfo=UTC)),
    None,
]
# Airflow 2 has no DAG with several cron expressions.
INSTALLED = TIMINGS if HAS_SEVERAL_CRONS else [TIMINGS[0], *TIMINGS[2:]]
NASTY = [
    '"); import os',
    "{{ 1+1 }}",
    "{% raw %}",
    "line\nbreak",
    "line\r\n    start_date=datetime(2026, 1, 1, tzinfo=UTC),\n",
    'it\'s "quoted" \\',
    "'''\"\"\"\\",
    "\u202eright to left\u2028",
    "\x00\x1b[31m",
    "\ud800",
    "# fmt: off",
    "漢字" * 20,
    "long words " * 30,
    "x" * 200,
]
PATHS = [text for text in NASTY if "\\" not in text]
START = datetime(2026, 11, 30, tzinfo=UTC)
texts = st.text(min_size=1) | st.sampled_from(NASTY) | st.text("{}%#'\"\\ \n", min_size=1, max_size=8)
# The operator refuses others, and so does the export, before it writes anything.
paths = st.builds(DataPath, st.just("store"), texts.map(lambda text: text.replace("\\", "").lstrip("/")))


def plan(name, *, arguments=(), timing=TIMINGS[0], **parts):
    values = {"pipeline_id": "an id", "experiment_name": "work", **dict(arguments)}
    run = RunArguments(subject=f"published pipeline {name!r}", arguments=values)
    blobs = {} if timing else {"datastore": "store", "path": "in", "ignore_empty": False, "poke_interval": 300}
    return DagPlan(
        dag_id="azureml_x",
        subject=f"Native schedule {name!r}",
        when=name,
        run=run,
        timing=timing,
        blobs=blobs,
        **{"notes": (name,), "start": START, **parts},
    )


def dag_of(text):
    """The DAG that a text makes."""
    program = ast.parse(text)
    (block,) = [node for node in program.body if isinstance(node, ast.With)]
    block.items[0].optional_vars = ast.Name("dag", ast.Store())
    names = {}
    exec(compile(ast.fix_missing_locations(program), "written.py", "exec"), names)
    return names["dag"]


def checked(command, text, folder):
    """What ruff has to say about a text."""
    done = subprocess.run(
        [RUFF, *command, "--isolated", "--stdin-filename", "azureml_x.py", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        # In a project of its own, where this package is somebody else's.
        cwd=folder,
    )
    return done.stdout


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    texts,
    st.dictionaries(texts, texts, max_size=3),
    st.dictionaries(texts, paths, max_size=2),
    st.sampled_from(INSTALLED[:-1]),
)
@example('"); import os', dict.fromkeys(NASTY, "x"), {text: DataPath("store", text) for text in PATHS}, TIMINGS[0])
@example("x", {"name": NASTY[0]}, {}, INSTALLED[1])
def test_names_and_values_stay_texts(name, parameters, data_paths, timing):
    given_values = {"parameters": parameters, "data_paths": data_paths, "description": name}
    text = dag_text(plan(name, arguments=given_values, timing=timing), installed_imports())
    dag = dag_of(text)
    (task,) = dag.tasks
    task.render_template_fields({})
    assert task.parameters == parameters
    assert task.data_paths == data_paths
    assert task.description == name
    assert (dag.dag_id, task.task_id) == ("azureml_x", "run")
    assert dag.doc_md == ast.get_docstring(ast.parse(text), clean=False)


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("name", NASTY)
def test_the_text_has_no_other_statements_than_that_of_a_harmless_name(name, timing):
    def shape(text):
        return [type(node).__name__ for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.stmt, ast.Call))]

    def text(value):
        arguments = {"parameters": {value: value}, "tags": {value: value}}
        arguments["data_paths"] = {value: DataPath("store", value)}
        return dag_text(plan(value, arguments=arguments, timing=timing, data_path=value), installed_imports())

    assert shape(text(name)) == shape(text("x"))
    assert start_of(text(name)) == START
    assert can_start(text(name)) is (timing is not None)
    assert not is_started(text(name))


@pytest.mark.skipif(not RUFF.exists(), reason="the environment of this Airflow has no ruff")
@pytest.mark.parametrize("imports", [Imports(), Imports(dag="airflow", timetables="airflow.timetables.trigger")])
@pytest.mark.parametrize("timing", TIMINGS)
def test_the_text_is_formatted(timing, imports, tmp_path):
    arguments = {
        "parameters": {name: name for name in NASTY if name.isprintable()},
        "data_paths": {name: DataPath("store", name) for name in ["a", "a" * 59, *NASTY] if name.isprintable()},
        "tags": {"a": "b"},
        "description": "d",
        "continue_on_step_failure": True,
    }
    for name in ["x", *NASTY]:
        for parts in ({}, {"data_path": "input", "conn_id": "other", "is_started": True}):
            text = dag_text(plan(name, arguments=arguments, timing=timing, **parts), imports)
            for width in ("88", "120"):
                command = ["format", "--diff", "--target-version", "py311", "--line-length", width]
                assert checked(command, text, tmp_path) == ""
            rules = ["check", "--quiet", "--select", "E,F,I,UP,Q,W", "--ignore", "E501", "--target-version", "py311"]
            assert checked(rules, text, tmp_path) == ""


@pytest.mark.parametrize("timing", INSTALLED[:-1])
def test_a_dag_for_times_has_no_schedule_before_the_handover(timing):
    text = dag_text(plan("x", timing=timing), installed_imports())
    dag = dag_of(text)
    assert not dag.timetable.can_be_scheduled
    assert dag.catchup is True
    assert dag.is_paused_upon_creation is True
    start = datetime(2026, 11, 30, 17, 5, 3, tzinfo=UTC)
    later = with_start(text, start)
    assert dag_of(later).start_date == start == start_of(later)
    assert type(dag_of(later).timetable).__name__ in later
    assert is_started(later)
    assert can_start(later)
    assert dag_text(plan("x", timing=timing, start=start, is_started=True), installed_imports()) == later


@pytest.mark.parametrize(
    "text",
    [
        "",
        "    start_date=datetime(2026, 1, 1, tzinfo=UTC),\n" * 2,
        "    start_date=datetime(2026, 13, 1, tzinfo=UTC),\n",
        "    start_date=datetime(2026, 1, tzinfo=UTC),\n",
    ],
)
def test_a_start_that_is_not_as_written_is_not_found(text):
    assert start_of(text) is None


def test_the_end_of_a_schedule_is_that_of_the_dag():
    end = datetime(2027, 6, 1, tzinfo=UTC)
    assert dag_of(dag_text(plan("x", end=end), installed_imports())).end_date == end


def test_a_dag_for_changes_starts_a_run_for_each_blob():
    arguments = {"data_paths": {"other": DataPath("store", "{{ 1 }}"), "input": DataPath("store", "old")}}
    dag = dag_of(dag_text(plan("x", timing=None, arguments=arguments, data_path="input"), installed_imports()))
    wait, run = dag.get_task(WAIT_TASK), dag.get_task("run")
    assert (wait.datastore, wait.path, wait.poke_interval, wait.ignore_empty) == ("store", "in", 300, False)
    # Airflow's default is a week, after which the task would fail if no blob was written.
    assert wait.timeout > 5 * 366 * 86400
    assert dag.max_active_runs == 1
    assert run.upstream_task_ids == {WAIT_TASK}
    (mapped,) = run.expand_input.value.values()
    change = {"datastore": "store", "path": "in/a.csv"}
    # Results of a function are not rendered, so a text that looks like a template is written as it is.
    assert mapped.callables[0](change) == {"other": DataPath("store", "{{ 1 }}"), "input": change}


def test_without_a_data_path_the_tag_of_a_run_has_the_blob():
    dag = dag_of(dag_text(plan("x", timing=None, arguments={"tags": {"a": "b"}}), installed_imports()))
    (mapped,) = dag.get_task("run").expand_input.value.values()
    assert mapped.callables[0]({"path": "in/a.csv"}) == {"a": "b", "blob": "in/a.csv"}
