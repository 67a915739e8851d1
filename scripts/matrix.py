"""The matrix: the built package on each Airflow and Python, in an environment of its own.

``make matrix`` runs all cells, ``make matrix CELL=3.1-py312`` one; requirements/matrix/cells.toml lists them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from matrix_cells import FOLDER, cells
from matrix_table import Outcome, read_report, summary
from processes import Guard, stop
from task_log import tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix_cells import Cell

_ROOT = FOLDER.parents[1]
_CACHE = _ROOT / ".cache"
_UV = _CACHE / "uv" / "bin" / "uv"
_CHECKS = _ROOT / "tests" / "matrix"
# What a cell gets of our environment. Nothing in it may lead to another Airflow, or to a real service.
_KEPT = ("LANG", "LC_ALL", "PATH", "TMPDIR", "TZ")
#: Seconds for all checks of a cell.
_LIMIT = 1800
_WHICH = "import sys; print('%d.%d' % sys.version_info[:2], sys.executable)"


class _Broken(Exception):
    """A cell's environment could not be made."""


def main(wheel: Path, wanted: str) -> int:
    """Run cells and print their table; returns the exit code.

    Args:
        wheel: The built package.
        wanted: The names of cells, or nothing for all.
    """
    try:
        chosen = cells(wanted)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"{wheel.name} in {len(chosen)} cells", flush=True)
    outcomes = {}
    try:
        with Guard() as guard:
            for cell in chosen:
                started = time.monotonic()
                outcomes[cell.name] = outcome = _run(cell, wheel, guard)
                print(f"{cell.name:18} {outcome.line()} ({time.monotonic() - started:.0f} s)", flush=True)
    except KeyboardInterrupt:
        print("interrupted; no process is left", file=sys.stderr)
        return 130
    print(f"\n{summary(outcomes)}")
    return int(any(outcome.has_failed for outcome in outcomes.values()))


def _run(cell: Cell, wheel: Path, guard: Guard) -> Outcome:
    python = _find_python(cell.python)
    if python is None:
        return Outcome.of_cell("skipped", f"there is no Python {cell.python} on this machine")
    folder = _CACHE / "matrix" / cell.name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "home").mkdir(parents=True)
    try:
        _install(cell, python, wheel, folder)
    except _Broken as broken:
        return Outcome.of_cell("failed", str(broken))
    outcome = _check(cell, folder, guard)
    if not outcome.has_failed:
        # All environments together would take many gigabytes.
        shutil.rmtree(folder / "venv")
    return outcome


def _find_python(version: str) -> str | None:
    """A Python of this version: on the path, or one of pyenv's, which its commands show only where it is active."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for python in (f"python{version}", *sorted(map(str, pyenv.glob(f"versions/{version}.*/bin/python")))):
        with contextlib.suppress(OSError):
            shown = subprocess.run([python, "-c", _WHICH], capture_output=True, text=True, check=False).stdout.split()
            if shown[:1] == [version]:
                return shown[1]
    return None


def _install(cell: Cell, python: str, wheel: Path, folder: Path) -> None:
    """Make the environment: what is locked, and then the built package without what it needs."""
    environment = folder / "venv"
    into = ["--python", str(environment / "bin" / "python")]
    for command in (
        ["venv", "--no-project", "--python", python, str(environment)],
        ["pip", "sync", *into, "--require-hashes", str(cell.lock.path)],
        ["pip", "install", *into, "--no-deps", str(wheel)],
    ):
        done = subprocess.run([_UV, "--quiet", *command], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise _Broken(f"uv {' '.join(command[:2])} ended with {done.returncode}: {done.stderr.strip()}")


def _check(cell: Cell, folder: Path, guard: Guard) -> Outcome:
    report, log = folder / "report.xml", folder / "checks.log"
    scripts = folder / "venv" / "bin"
    # Its working directory is outside the checkout's packages, and the script puts only itself on the path.
    command = [scripts / "pytest", "-c", _CHECKS / "pytest.ini", f"--junitxml={report}", _CHECKS]
    service = guard.start(
        cell.name,
        ["/usr/bin/env", "-C", str(folder), *map(str, command)],
        log=log,
        # Without our guard's label, which would let our guard end the cell's own before that has ended its processes.
        env={
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "AIRFLOW_HOME": str(folder / "home"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "MATRIX_AIRFLOW": cell.lock.airflow,
        },
    )
    try:
        code = service.process.wait(_LIMIT)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        stop([service], timeout=30)
    outcome = read_report(report)
    if code is None:
        outcome = outcome.and_failed("the whole cell", f"took more than {_LIMIT} s")
    elif code and not outcome.has_failed:
        outcome = outcome.and_failed("the whole cell", f"pytest ended with {code}")
    if outcome.has_failed:
        print(f"\nThe end of {os.path.relpath(log)}:\n\n{tail(log, 60)}\n", flush=True)
    return outcome


def _arguments(arguments: Sequence[str]) -> tuple[Path, str]:
    wheel, *wanted = arguments
    return Path(wheel).resolve(strict=True), " ".join(wanted)


if __name__ == "__main__":
    sys.exit(main(*_arguments(sys.argv[1:])))
