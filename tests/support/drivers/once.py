"""Work that takes long and is done by one of the processes that share a suite; the others read its result."""

from __future__ import annotations

import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of this run of the suite; that of a process of xdist is in it."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def once(file: Path, make: Callable[[], Any]) -> Any:
    """Return what ``make`` returned, which must be JSON; processes that come meanwhile wait.

    Args:
        file: Keeps the result.
        make: Does the work. If it fails, the next process tries again.
    """
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            made = file.with_suffix(".new")
            made.write_text(json.dumps(make()))
            made.rename(file)
    return json.loads(file.read_text())
