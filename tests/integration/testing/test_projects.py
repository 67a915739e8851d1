"""Whole pytest sessions of other people's projects: what the plugin costs there, and what remains when they end."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
from pathlib import Path

import pytest

#: Packages that take long to import, and our own that import them.
HEAVY = ("airflow", "azure", "httpx", "jinja2", "sqlalchemy", "starlette", "uvicorn", "yaml")
SEED = """
import pytest

@pytest.fixture
def azureml_seed():
    return "none"
"""


def survivors(folder):
    """The processes that were started in a folder. A port would not tell: somebody else may have it by now."""
    folders = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            folders[int(process.name)] = (process / "cwd").readlink()
    assert os.getpid() in folders, "this machine does not tell"
    return [number for number, started_in in folders.items() if started_in == folder]


def test_a_project_that_uses_no_fixture_pays_for_one_small_module(project):
    outcome = project.run(
        f"""
import sys

def test_it():
    assert "aml_provider.pytest_plugin" in sys.modules
    ours = {{name for name in sys.modules if name.partition(".")[0] == "aml_provider"}}
    assert ours == {{"aml_provider", "aml_provider.pytest_plugin"}}
    assert not set(sys.modules) & set({HEAVY!r})
"""
    )
    assert outcome.code == 0, outcome.output


def test_its_import_needs_only_what_pytest_has_loaded(project):
    outcome = project.run(
        """
import subprocess, sys

def test_it():
    program = (
        "import sys, pytest, _pytest.config; before = set(sys.modules);"
        "import aml_provider.pytest_plugin; print(sorted(set(sys.modules) - before))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown == "['aml_provider', 'aml_provider.pytest_plugin']\\n"
"""
    )
    assert outcome.code == 0, outcome.output


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        pytest.param(
            ["-n", "2"],
            marks=pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="pytest-xdist is not installed"),
        ),
        ["--asyncio-mode=auto"],
    ],
    ids=["alone", "xdist", "asyncio"],
)
def test_nothing_listens_any_more_when_the_session_ends_even_after_failures(project, azurite_program, arguments):
    program, environment = azurite_program
    project.settings = f"azureml_azurite = {program}\n"
    outcome = project.run(
        SEED
        + """
import json, pathlib

@pytest.mark.parametrize("number", range(4))
def test_it(number, azureml_blobs, azureml_workspace, azureml_connection):
    azureml_blobs.write("a.csv")
    seen = {"workspace": azureml_workspace.url, "blobs": azureml_blobs.endpoint, "names": azureml_blobs.names()}
    pathlib.Path(f"seen-{number}.json").write_text(json.dumps(seen))
    assert number % 2

async def test_beside_it(azureml_workspace):
    assert azureml_workspace.runs() == []
""".replace("async def", "async def" if "--asyncio-mode=auto" in arguments else "def"),
        *arguments,
        **environment,
    )
    assert re.search("2 failed, 3 passed in", outcome.output), outcome.output
    seen = [json.loads(file.read_text()) for file in sorted(project.folder.glob("seen-*.json"))]
    assert len(seen) == len({item["workspace"] for item in seen}) == 4
    assert {tuple(item["names"]) for item in seen} == {("a.csv",)}
    assert not survivors(project.folder)


def test_a_test_leaves_neither_a_container_nor_an_open_socket(project, azurite_program):
    program, environment = azurite_program
    project.settings = f"azureml_azurite = {program}\n"
    outcome = project.run(
        """
import gc
import os
import pytest
from azure.storage.blob import BlobServiceClient

def sockets():
    # The SDK keeps the connection of a 404, which here is that of a deleted container, until its error is collected.
    gc.collect()
    files = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return sum(os.readlink(file).startswith("socket:") for file in files if os.path.lexists(file))

SEEN = []

@pytest.mark.parametrize("number", range(3))
def test_it(number, azureml_blobs):
    if number == 1:
        azureml_blobs.client.delete_container()
    else:
        azureml_blobs.write("a.csv")
    with BlobServiceClient(azureml_blobs.endpoint, azureml_blobs.account_key) as service:
        SEEN.append((sockets(), len(list(service.list_containers()))))

def test_they_were_alone():
    assert [count for _, count in SEEN] == [1, 0, 1]
    assert len({opened for opened, _ in SEEN}) == 1
""",
        **environment,
    )
    assert outcome.code == 0, outcome.output


def test_without_azurite_tests_with_blobs_are_skipped_with_the_reason(project, tmp_path):
    outcome = project.run("def test_it(azureml_blobs): pass", PATH=str(tmp_path))
    assert outcome.code == 0
    assert "1 skipped" in outcome.output
    assert "azurite-blob is not on the PATH; install Azurite" in outcome.output
    assert "the pytest setting azureml_azurite" in outcome.output


def test_a_setting_that_names_no_program_is_a_mistake(project):
    project.settings = "azureml_azurite = nowhere/azurite-blob\n"
    outcome = project.run("def test_it(azureml_blobs): pass")
    assert outcome.code == 1
    assert "The setting azureml_azurite: there is no program or file 'nowhere/azurite-blob'" in outcome.output


def test_a_program_without_node_names_node(project, azurite_program, tmp_path):
    project.settings = f"azureml_azurite = {azurite_program[0]}\n"
    outcome = project.run("def test_it(azureml_blobs): pass", PATH=str(tmp_path))
    assert "needs Node.js, and node is not on the PATH" in outcome.output


def test_a_program_that_is_a_script_works_and_ends_too(project, azurite_program):
    """Some package managers put a script on the PATH, and not a link."""
    program, environment = azurite_program
    shim = project.folder / "azurite-blob"
    shim.write_text(f'#!/bin/sh\n"{program}" "$@"\n')
    shim.chmod(0o755)
    outcome = project.run(
        "def test_it(azureml_blobs):\n    azureml_blobs.write('a')\n    print('at', azureml_blobs.endpoint)",
        "-s",
        PATH=f"{project.folder}:{environment['PATH']}",
    )
    assert outcome.code == 0, outcome.output
    assert not survivors(project.folder)


def test_without_the_extra_the_fixture_names_it(project):
    outcome = project.run("import sys\nsys.modules['starlette'] = None\ndef test_it(azureml_workspace): pass")
    assert outcome.code == 1
    assert 'install "airflow-provider-azureml[emulator]"' in outcome.output


def test_a_mistake_in_the_seed_is_reported_with_its_place(project):
    outcome = project.run(
        SEED.replace('"none"', '{"pipelines": [{"nam": "x"}]}') + "\ndef test_it(azureml_workspace): pass"
    )
    assert "pipelines[0].nam is not a known key" in outcome.output


def test_the_fixtures_and_the_setting_explain_themselves(project):
    outcome = project.run("", "--fixtures")
    for fixture in ("seed", "workspace", "connection", "conn_id", "blobs"):
        assert re.search(rf"^azureml_{fixture}\b.*\n    \S", outcome.output, re.MULTILINE), outcome.output
    assert "_azureml" not in outcome.output
    assert "azureml_azurite (string)" in project.run("", "--help").output
