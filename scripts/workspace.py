"""The local workspace beside a local blob storage, for the command line and for DAGs of one's own.

``make workspace`` serves them until Ctrl-C, and says how another terminal finds them.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

from azurite import Azurite, AzuriteError
from local_workspace import LocalWorkspace
from processes import Guard, ServiceError
from story import CONTAINER
from task_log import tail
from visit import prepare

_HOME = Path(__file__).resolve().parents[1] / ".cache" / "workspace"


def main() -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    _HOME.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(dir=_HOME))
    try:
        _serve(home, stop)
    except (AzuriteError, ServiceError) as error:
        log = getattr(error, "log", None)
        print(f"{error}\n{tail(log) if log is not None else ''}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(home)
    return 0


def _serve(home: Path, stop: threading.Event) -> None:
    with contextlib.ExitStack() as resources:
        guard = resources.enter_context(Guard())
        azurite = resources.enter_context(Azurite(log=home / "azurite.log"))
        azurite.container(CONTAINER)
        workspace = resources.enter_context(
            LocalWorkspace(guard, blob_endpoint=azurite.blob_endpoint, log=home / "workspace.log")
        )
        print(f"Workspace     {workspace.url}")
        print(f"Blob storage  {azurite.blob_endpoint}/{CONTAINER}")
        print(f"\n{prepare(workspace, home / 'environment.sh')}\nCtrl-C stops it all.", flush=True)
        stop.wait()


if __name__ == "__main__":
    sys.exit(main())
