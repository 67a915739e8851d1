"""Projects of other people, whose tests pytest runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

CACHE = Path(__file__).resolve().parents[3] / ".cache"


class Outcome(NamedTuple):
    code: int
    output: str


class Project:
    """A folder with one file of tests.

    Args:
        folder: Where it is.
    """

    def __init__(self, folder):
        self.folder = folder
        self.settings = ""

    def run(self, tests, *arguments, **environment):
        """Run tests, with warnings as errors; the fixture lets them find nothing of this checkout's settings."""
        # pytest-asyncio warns without its own setting.
        settings = f"[pytest]\nasyncio_default_fixture_loop_scope = function\n{self.settings}"
        (self.folder / "pytest.ini").write_text(settings)
        (self.folder / "test_it.py").write_text(tests)
        home = {"HOME": str(self.folder), "AIRFLOW_HOME": str(self.folder / "airflow")}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "-rsfE", *arguments],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **home, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return Outcome(done.returncode, done.stdout + done.stderr)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture
def azurite_program(azurite):
    """The checkout's Azurite, as npm links it, and the environment in which its Node.js is found."""
    return (
        str(CACHE / "azurite/node_modules/.bin/azurite-blob"),
        {"PATH": f"{CACHE / 'node/bin'}{os.pathsep}{os.environ['PATH']}"},
    )
