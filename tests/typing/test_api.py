"""Type checkers find the mistakes of ``api.py``, and nothing else, with the settings that a user would have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
API = Path(__file__).with_name("api.py")
NODE = ROOT / ".cache/node/bin/node"
PYRIGHT = Path(os.environ.get("PYRIGHT_MAIN") or ROOT / ".cache/pyright/node_modules/pyright/index.js")

pytestmark = pytest.mark.skipif(
    find_spec("mypy") is None, reason="mypy is installed with the newest Airflow only; api.py is written for that one"
)


def mistakes() -> list[int]:
    """The lines that are marked as mistakes; some of them have more than one fault for a checker."""
    return [number for number, line in enumerate(API.read_text().splitlines(), 1) if line.endswith("  # mistake")]


def of_mypy(folder: Path) -> dict[int, str]:
    """What ``mypy --strict`` finds: line -> message."""
    # Not the settings of this repository, which a user does not have.
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={ROOT / '.cache/mypy-api'}"]
    found = subprocess.run([*command, API], capture_output=True, text=True, check=False, cwd=folder)
    assert found.returncode == 1, found.stdout + found.stderr
    errors = [line for line in found.stdout.splitlines() if ": error: " in line]
    # An error in another file would be one of ours, or of the installation.
    assert [line for line in errors if not line.startswith(f"{API}:")] == []
    parts = [line.removeprefix(f"{API}:").partition(": error: ") for line in errors]
    return {int(number): message for number, _, message in parts}


def of_pyright(folder: Path) -> dict[int, str]:
    """What pyright finds with its default settings: line -> message."""
    command = [NODE, PYRIGHT, "--outputjson", "--pythonpath", sys.executable, API]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert found.returncode == 1, found.stdout + found.stderr
    faults = json.loads(found.stdout)["generalDiagnostics"]
    return {fault["range"]["start"]["line"] + 1: fault["message"] for fault in faults}


@pytest.mark.parametrize("check", [of_mypy, of_pyright], ids=["mypy", "pyright"])
def test_exactly_the_lines_that_are_marked_are_found(check, tmp_path):
    marked = mistakes()
    assert len(marked) > 30
    found = check(tmp_path)
    missed = [
        f"{number}: {API.read_text().splitlines()[number - 1].strip()}" for number in marked if number not in found
    ]
    assert missed == []
    assert {number: message for number, message in found.items() if number not in marked} == {}


def test_the_examples_need_no_ignores():
    paths = sorted((ROOT / "example_dags").glob("*.py"))
    assert len(paths) > 10
    assert [path.name for path in paths if "type: ignore" in path.read_text() or "pyright:" in path.read_text()] == []
