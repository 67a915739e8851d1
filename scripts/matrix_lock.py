"""Write the locks of the matrix again: ``make lock`` calls it with uv's arguments for all of them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from matrix_cells import FOLDER, locks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matrix_cells import Lock

_PYPROJECT = FOLDER.parents[1] / "pyproject.toml"


def command(lock: Lock, uv: Sequence[str]) -> list[str]:
    """The command that writes a lock; it reads the requirements that stand nowhere else from its standard input."""
    options = ["--extra", "emulator", "--group", "matrix", "--resolution", lock.resolution]
    if lock.until is not None:
        options += ["--exclude-newer", lock.until.isoformat()]
    if lock.constraints is not None:
        options += ["--constraints", str((FOLDER / lock.constraints).relative_to(_PYPROJECT.parent))]
    return [*uv, _PYPROJECT.name, "-", *options, "--output-file", str(lock.path.relative_to(_PYPROJECT.parent))]


def main(uv: Sequence[str]) -> int:
    """Write all locks; returns the exit code."""
    for lock in locks():
        needed = "\n".join([f"apache-airflow=={lock.airflow}", *lock.beside])
        done = subprocess.run(command(lock, uv), cwd=_PYPROJECT.parent, input=needed, text=True, check=False)
        if done.returncode:
            print(f"{lock.path.name} could not be written", file=sys.stderr)
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
