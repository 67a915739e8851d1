"""The examples of docs/reference/hook.md do what they say, in the order in which one reads them."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from aml_provider.compat import AIRFLOW_V_3_0_PLUS
from aml_provider.emulator.server import EmulatorServer
from aml_provider.hooks.azure_ml import AzureMLHook

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "hook.md"
TEXT = PAGE.read_text()
EXAMPLES = re.findall(r"^## (.*?)$|^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def examples():
    """The page's examples below their headings."""
    found, heading = [], "The hook"
    for title, code in EXAMPLES:
        heading = title or heading
        if code:
            found.append((heading, code))
    return found


@pytest.fixture
def emulator(monkeypatch):
    with EmulatorServer(seed="demo", speed=1000) as emulator:
        fields = {"subscription_id": "s", "resource_group": "r", "workspace_name": "w", "endpoint": emulator.url}
        connection = {"conn_type": "azureml", "password": "x", "extra": {**fields, "auth_method": "static_token"}}
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        yield emulator


def run(code, names):
    if not AIRFLOW_V_3_0_PLUS:
        # As the page says.
        code = code.replace(
            "from airflow.sdk import DAG, task", "from airflow import DAG\nfrom airflow.decorators import task"
        )
    exec(compile(code, str(PAGE), "exec"), names)
    return names


def test_the_examples_of_one_page_in_their_order(examples, emulator, capsys):
    names = {"hook": AzureMLHook()}
    outputs = []
    for heading, code in examples:
        if heading in {"The hook", "In an event loop"}:
            continue
        if "get_run_outputs" in code:
            emulator.state.runs[names["run"].id].steps[1].blobs.append(("workspaceblobstore", "results/a.json", 3))
            outputs = emulator.requests("POST", "PipelineSubmit")
        run(code, names)
    assert names["run"].state.value == "Finished"
    handed = [item["body"] for item in emulator.requests("POST", "PipelineSubmit")[len(outputs) :]]
    assert [body["DataPathAssignments"]["input_datapath"]["RelativePath"] for body in handed] == ["results/a.json"]
    assert names["endpoint"].default_version == "2"
    assert [item.name for item in names["hook"].list_experiments("ArchivedOnly")] == ["trials"]
    assert names["hook"].find_schedule("score-every-morning").status == "Disabled"
    assert set(names["graphs"]) == {item.id for item in names["pipelines"]}
    shown = capsys.readouterr().out
    for text in ("input_string String", "2 10000000-0000-4000-8000-000000000006", "['trials']", "workspaceblobstore"):
        assert text in shown
    assert "Eby8vdM02xNOcqFlqUwJ" not in shown


def test_the_tasks_of_the_first_example(examples, emulator):
    tasks = run(examples[0][1], {})
    hook = AzureMLHook()
    failed = hook.submit_pipeline(hook.find_pipeline("fails-at-score").id, experiment_name="scoring")
    hook.submit_pipeline(hook.find_pipeline("long-running").id, experiment_name="scoring")
    hook.wait_for_run(failed.id, poll_interval=0.05)
    assert tasks["failed_runs"].function() == [failed.id]
    lines = tasks["last_lines"].function(failed.id)
    assert lines["read/user_logs/std_log.txt"] == ["3 rows"]
    assert any(name.startswith("score/") for name in lines)


def test_the_example_for_an_event_loop(examples, emulator):
    (code,) = [code for heading, code in examples if heading == "In an event loop"]
    # An hour of the workspace is seconds here; no run ends before it is cancelled.
    emulator.clock.hold()
    hook = AzureMLHook()
    run_ids = [hook.submit_pipeline(hook.find_pipeline("long-running").id, experiment_name="x").id for _ in range(3)]
    hook.cancel_run(run_ids[0])
    states = asyncio.run(run(code, {})["states"](run_ids))
    assert states[run_ids[0]] == "Canceled"
    assert set(states) == set(run_ids)


def test_every_method_is_on_the_page():
    known = {name for name in dir(AzureMLHook) if hasattr(AzureMLHook, f"async_{name}")}
    named = set(re.findall(r"`(\w+)\(", TEXT))
    assert known
    assert known - {"client", "settings", "run"} - named == set()
    assert {name for name in named if not hasattr(AzureMLHook, name)} == {"AzureMLHook"}
