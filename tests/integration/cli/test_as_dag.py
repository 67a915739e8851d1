"""``show --as-dag``: Python that runs as it is printed, and that the local workspace's page shows too."""

from __future__ import annotations

import ast
import html
import re
from datetime import datetime

import httpx
import pytest
from airflow.providers.common.compat.sdk import DAG
from support.airflow.task import Task
from support.drivers.command_line import CommandLine


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory):
    return kept_in_memory


@pytest.fixture
def cli(workspace, monkeypatch, capsys):
    """Run commands against the local workspace."""
    return CommandLine(monkeypatch, capsys)


def made_by(text):
    """The operator that the printed text makes in a DAG."""
    *imports, call = ast.parse(text).body
    names = {}
    with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1)):  # noqa: DTZ001
        exec(compile(ast.Module(imports, []), "text", "exec"), names)
        return eval(compile(ast.Expression(call.value), "text", "eval"), names)


def submit(text):
    """Run the printed operator, as far as the submission, with its names and types compared with the interface."""
    operator = made_by(text)
    operator.wait_for_completion = False
    context = {**Task().context, "params": {}}
    operator.render_template_fields(context)
    return operator.execute(context)


def on_page(workspace, path):
    page = httpx.get(f"{workspace.url}{path}", headers={"Accept": "text/html"}).text
    (found,) = re.findall(r'<pre [^>]*aria-label="The whole call of the operator">(.*?)</pre>', page, re.DOTALL)
    return html.unescape(found)


@pytest.mark.parametrize(
    ("command", "target", "page"),
    [
        (["pipelines", "show", "quick"], {"pipeline_name": "quick"}, "/pipelines/quick"),
        (["endpoints", "show", "door"], {"endpoint_name": "door"}, "/endpoints/door"),
        (
            ["components", "show", "quick", "--component-version", "1"],
            {"component_name": "quick", "component_version": "1"},
            "/components/quick:1",
        ),
        (["components", "show", "quick"], {"component_name": "quick", "component_version": "2"}, "/components/quick:2"),
        (["batch-endpoints", "show", "gate"], {"batch_endpoint_name": "gate"}, None),
    ],
)
def test_what_is_printed_runs_and_is_on_the_page(cli, workspace, command, target, page):
    answer = cli(*command, "--as-dag")
    assert (answer.code, answer.err) == (0, "")
    operator = made_by(answer.out)
    assert {name: getattr(operator, name) for name in target} == target
    assert operator.parameters == {"count": 1}
    run_id = submit(answer.out)
    (run,) = workspace.runs()
    assert (run.id, run.parameters["count"]) == (run_id, "1")
    if page is not None:
        assert on_page(workspace, page) == answer.out
    assert cli(*command, "--as-dag", "-o", "json").json == [{"code": answer.out}]


def test_types_and_defaults_are_printed(cli):
    text = cli("pipelines", "show", "quick", "--as-dag").out
    assert '        "count": 1,  # Int, its default\n' in text
    assert '        "input": "store/in",  # DataPath, its default\n' in text


def test_a_name_of_several_pipelines_is_not_used(cli, workspace):
    answer = cli("pipelines", "show", "twin-1", "--as-dag")
    assert made_by(answer.out).pipeline_id == "twin-1"
    assert on_page(workspace, "/pipelines/twin-1") == answer.out
    assert submit(answer.out) == workspace.only_run().id


def test_a_batch_endpoint_without_a_default_deployment_is_refused(cli):
    answer = cli("batch-endpoints", "show", "closed", "--as-dag")
    assert answer.code == 1
    assert "has no default deployment" in answer.err
