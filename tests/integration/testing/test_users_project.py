"""The example of docs/how-to/testing-your-dags.md: a project of its own, whose tests pass on the Airflow at hand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aml_provider.compat import AIRFLOW_V_3_3_PLUS

ROOT = Path(__file__).resolve().parents[3]
PROJECT = ROOT / "tests" / "users_project"
PAGE = (ROOT / "docs" / "how-to" / "testing-your-dags.md").read_text()
# pytest-asyncio warns without its own setting.
OPTIONS = ("-W", "error::pytest.PytestWarning", "-o", "asyncio_default_fixture_loop_scope=function")
FILES = sorted(path.relative_to(PROJECT).as_posix() for path in PROJECT.rglob("*.*") if "__pycache__" not in path.parts)


WATCH = '''
"""Score the files that are new."""

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

from datetime import datetime, timedelta, timezone

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.sensors.blob import AzureBlobChangeSensor

DAY = datetime(2026, 1, 1, tzinfo=timezone.utc)

TRIES = {"retries": 1, "retry_delay": timedelta(0)}

with DAG("watch", schedule=None, start_date=DAY, catchup=False, default_args=TRIES) as dag:
    changes = AzureBlobChangeSensor(
        task_id="changes",
        datastore="workspaceblobstore",
        path="in",
        on_first_poll="report",
        poke_interval=0.1,
        timeout=5,
    )
    AzureMLRunPipelineOperator(
        task_id="score",
        pipeline_name="score-files",
        experiment_name="scoring",
        parameters={"file": "{{ ti.xcom_pull(task_ids='changes')[0].change }}"},
        data_paths={"input": "workspaceblobstore/in"},
    ) << changes
'''
TEST_WATCH = """
import inspect
from datetime import timedelta

import pytest
from watch import DAY, dag

pytestmark = pytest.mark.usefixtures("azureml_connection")


@pytest.fixture
def azureml_seed():
    pipeline = {
        "name": "score-files",
        "parameters": [{"name": "file"}],
        "data_paths": [{"name": "input"}],
        "steps": [{"name": "score", "run_seconds": 60}],
    }
    return {"pipelines": [pipeline]}


def play(day=0):
    name = {"logical_date", "execution_date"} & set(inspect.signature(dag.test).parameters)
    return dag.test(**{name.pop(): DAY + timedelta(days=day)})


@pytest.fixture
def workspace(azureml_workspace, azureml_blobs):
    azureml_workspace.clock.set(speed=1_000_000)
    azureml_blobs.write("in/a.csv", "text")
    return azureml_workspace


def submissions(workspace):
    return [request["fault"] for request in workspace.requests("POST", "PipelineSubmit")]


@pytest.mark.parametrize("time", ["first", "second"])
def test_it(time, workspace, azureml_blobs):
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session

    assert play().state == "success"
    assert [run["parameters"]["file"] for run in workspace.runs()] == ["added"]
    azureml_blobs.write("in/a.csv", "more")
    assert play(day=1).state == "success"
    assert [run["parameters"]["file"] for run in workspace.runs()] == ["added", "modified"]
    with create_session() as session:
        assert [key for (key,) in session.query(Variable.key) if key.startswith("azureml_")] == []


def test_a_first_submission_in_doubt_fails_without_a_retry(workspace):
    workspace.faults.add("status", status=503, method="POST", path="*/PipelineSubmit/*", times=1)
    assert play().state == "failed"
    assert (submissions(workspace), workspace.runs()) == (["status"], [])


def test_a_later_one_is_repeated_by_the_next_try(workspace, azureml_blobs):
    assert play().state == "success"
    workspace.faults.add("status", status=503, method="POST", path="*/PipelineSubmit/*", times=1)
    azureml_blobs.write("in/a.csv", "more")
    assert play(day=1).state == "success"
    assert (submissions(workspace), len(workspace.runs())) == ([None, "status", None], 2)


def test_one_that_is_refused_for_the_moment_is_repeated(workspace):
    workspace.faults.add("status", status=429, retry_after=0, method="POST", path="*/PipelineSubmit/*", times=1)
    assert play().state == "success"
    assert (submissions(workspace), len(workspace.runs())) == (["status", None], 1)
"""


def play(folder, azurite_program, *arguments):
    """Run tests of the project in this folder."""
    program, environment = azurite_program
    options = ["-p", "no:cacheprovider", *OPTIONS, "-o", f"azureml_azurite={program}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=folder,
        env={"HOME": str(folder.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path):
    """A copy of the project."""
    return shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.mark.skipif(AIRFLOW_V_3_3_PLUS, reason="tests/dags/test_documents.py runs them from the page")
def test_its_three_tests_pass(folder, azurite_program):
    output = play(folder, azurite_program)
    assert re.search(r"=+ 3 passed\b.*=", output), output


def test_no_test_sees_what_another_one_has_stored_and_faults_end_as_the_page_says(folder, azurite_program):
    (folder / "dags" / "watch.py").write_text(WATCH)
    (folder / "tests" / "test_watch.py").write_text(TEST_WATCH)
    output = play(folder, azurite_program, "tests/test_watch.py")
    assert re.search(r"=+ 5 passed\b.*=", output), output


@pytest.mark.parametrize("file", FILES)
def test_the_page_has_the_files_of_the_project_as_they_are(file):
    content = (PROJECT / file).read_text().strip()
    language = {".py": "python", ".ini": "ini"}[Path(file).suffix]
    assert re.search(rf"`{re.escape(file)}`[^`]*\n```{language}\n{re.escape(content)}\n```\n", PAGE)


def test_the_page_documents_what_the_plugin_has():
    source = (ROOT / "aml_provider" / "pytest_plugin.py").read_text()
    fixtures = set(re.findall(r"^def (azureml_\w+)", source, re.MULTILINE))
    table = PAGE.partition("## Fixtures\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(azureml_\w+)` \|", table, re.MULTILINE)) == fixtures
