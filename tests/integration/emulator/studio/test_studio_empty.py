"""Pages without content say what to do next, and that works when it is pasted."""

from __future__ import annotations

import html
import os
import re
import shlex
import subprocess
import sys

import httpx
import pytest
import yaml
from airflow.providers.common.compat.sdk import DAG
from support.drivers.studio_page import Page

from aml_provider.emulator.server import EmulatorServer


@pytest.fixture(scope="module")
def empty():
    with EmulatorServer("none") as running:
        yield running


def blocks(url):
    """The texts to copy on a page, by their labels."""
    found = re.findall(r'<pre[^>]*aria-label="([^"]*)">(.*?)</pre>', httpx.get(url).text, re.DOTALL)
    return {label: html.unescape(text) for label, text in found}


@pytest.mark.parametrize("section", ["pipelines", "endpoints", "components", "datastores"])
def test_a_seed_file_to_paste_fills_the_page(empty, section):
    found = blocks(f"{empty.url}/{section}")
    seed = yaml.safe_load(found["seed.yaml"])
    with EmulatorServer(seed) as running:
        (item,) = seed[section]
        page = Page(httpx.get(f"{running.url}/{section}"))
    assert any(item["name"] in cell for row in page.cells for cell in row)
    words = shlex.split(found["Commands for a terminal"])
    assert words == ["python", "-m", "aml_provider.emulator", "--seed", "seed.yaml"]


def test_the_command_to_paste_starts_a_run(tmp_path):
    paths = ("/", "/runs", "/pipelines/10000000-0000-4000-8000-000000000001")
    with EmulatorServer("demo") as emulator:
        (text,) = {blocks(emulator.url + path)["Commands for a terminal"] for path in paths}
        # The command says python; here it is the one that runs the tests.
        text = text.replace("python -m", f"{shlex.quote(sys.executable)} -m")
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        done = subprocess.run(["sh", "-ec", text], env=environment, capture_output=True, text=True, check=False)
        (run,) = emulator.state.runs.values()
        page = Page(httpx.get(f"{emulator.url}/runs/{run.id}"))
    assert done.returncode == 0, done.stderr
    assert page.fact("Pipeline") == "score-files"
    assert page.fact("Submitted by") == "the command line"
    assert 'data-status="Finished"' in page.source


def test_the_schedule_to_paste_is_valid_in_a_dag():
    with EmulatorServer({"pipelines": [{"name": "score-files"}]}) as emulator:
        code = blocks(f"{emulator.url}/schedules")["Part of a DAG file"]
    with DAG("d", schedule=None) as dag:
        exec(compile(code, "pasted", "exec"), {})
    (task,) = dag.tasks
    assert task.pipeline_name == "score-files"


def test_a_name_that_is_not_plain_is_not_pasted_into_code():
    with EmulatorServer({"pipelines": [{"name": '"); import os #'}]}) as emulator:
        assert 'pipeline_name="my-pipeline"' in blocks(f"{emulator.url}/schedules")["Part of a DAG file"]


def test_without_a_pipeline_the_pages_of_runs_lead_to_pipelines(empty):
    for path in ("/", "/runs"):
        page = Page(httpx.get(empty.url + path))
        assert "There is no active pipeline that could run." in page.text
        assert "/pipelines" in page.links
    assert "The first run of an experiment creates it" in Page(httpx.get(f"{empty.url}/experiments")).text


def test_a_search_without_results_is_not_an_empty_workspace():
    with EmulatorServer("demo") as emulator:
        page = Page(httpx.get(f"{emulator.url}/runs?status=Failed"))
    assert "No matching runs." in page.text
    assert "submit" not in page.text


def test_one_schedule_is_counted_in_the_singular():
    # The demo has a schedule of v2, and none of v1.
    with EmulatorServer("demo") as emulator:
        texts = [Page(httpx.get(emulator.url + path)).text for path in ("/", "/schedules", "/datastores")]
    assert "1 schedule " in texts[0]
    assert "1 job schedule" in texts[1]
    for text in texts:
        assert "1 schedules" not in text
        assert "1 job schedules" not in text
    assert "0 schedules" not in texts[1]
