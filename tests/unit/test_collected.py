"""The suites that take long, and that not everybody runs before a change lands, can at least be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("suite", ["kills", "chaos", "matrix", "website"])
def test_a_suite_that_takes_long_is_collected(suite):
    collected = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", str(TESTS / suite)],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert collected.returncode == 0, collected.stdout
