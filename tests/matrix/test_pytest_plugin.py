"""A project of somebody else tests its DAGs with the pytest plugin of the built package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
CACHE = TESTS.parent / ".cache"
AZURITE = CACHE / "azurite" / "node_modules" / ".bin" / "azurite-blob"
# The built package lists its modules, so pytest wants to rewrite their assertions.
IMPORTED_BEFORE = "import sys, aml_provider.client.models, pytest; sys.exit(pytest.main(sys.argv[1:]))"
CHEAP = """
import sys

def test_it():
    ours = {name for name in sys.modules if name.partition(".")[0] == "aml_provider"}
    assert ours - {"aml_provider.client", "aml_provider.client.models", "aml_provider.client.errors"} <= {
        "aml_provider", "aml_provider.pytest_plugin", "aml_provider.client.text"
    }
    assert not set(sys.modules) & {"airflow", "azure", "httpx", "starlette", "uvicorn"}
"""


def run(folder, *command):
    """Run pytest there, as somebody who has never heard of this checkout."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={"PATH": f"{CACHE / 'node' / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_three_tests_of_the_project_pass(tmp_path):
    folder = shutil.copytree(TESTS / "users_project", tmp_path / "project")
    options = ["-W", "error::pytest.PytestWarning", "-o", f"azureml_azurite={AZURITE}"]
    output = run(folder, "-m", "pytest", *options)
    assert re.search(r"=+ 3 passed\b.*=", output), output


def test_a_project_that_uses_no_fixture_pays_nothing(tmp_path):
    (tmp_path / "test_it.py").write_text(CHEAP)
    output = run(tmp_path, "-m", "pytest", "-W", "error")
    assert re.search(r"=+ 1 passed\b.*=", output), output


def test_pytest_does_not_warn_where_the_package_was_imported_first(tmp_path):
    (tmp_path / "test_it.py").write_text("def test_it(): pass")
    output = run(tmp_path, "-c", IMPORTED_BEFORE, "-W", "error")
    assert re.search(r"=+ 1 passed\b.*=", output), output
