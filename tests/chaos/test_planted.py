"""The storm itself reports a known bug, and names the promise that it breaks. Takes minutes: ``make chaos-oracle``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.planted import BUGS

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("bug", BUGS)
def test_the_storm_reports_a_planted_bug(bug):
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("scripts", "tests"))
    ran = subprocess.run(
        [sys.executable, "-m", "chaos", "--seed", str(BUGS[bug].seed), "--scale", "small", "--plant", bug],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    told = f"{ran.stdout}\n{ran.stderr}"
    assert ran.returncode == 1, told
    assert BUGS[bug].promise in ran.stdout, told
