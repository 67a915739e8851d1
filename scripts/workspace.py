"""The local workspace beside a local blob storage, for the command line and for DAGs of one's own.

``make workspace`` serves them until Ctrl-C, and says how another terminal finds them. Addresses and token are the same
each time, so that a connection which somebody has saved is right after a restart too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from azurite import Azurite, AzuriteError
from local_workspace import LocalWorkspace
from processes import Guard, ServiceError
from story import CONTAINER
from task_log import tail
from visit import prepare, write_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOME = Path(__file__).resolve().parents[1] / ".cache" / "workspace"
_PORT = 8700
_LAST_PORT = 65535


class _PortError(ValueError):
    """They cannot listen where they should."""


def main() -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.ExitStack() as resources:
        # Two that start at the same moment would both find the same ports free.
        with _alone():
            try:
                port, blob_port = _ports(sys.argv[1] if len(sys.argv) > 1 else "")
            except _PortError as error:
                print(error, file=sys.stderr)
                return 2
            home = _HOME / str(port)
            # Of one that was killed.
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            try:
                said = _start(resources, home, port, blob_port)
            except (AzuriteError, ServiceError) as error:
                log = getattr(error, "log", None)
                print(f"{error}\n{tail(log) if log is not None else ''}", file=sys.stderr)
                shutil.rmtree(home)
                return 1
            # Goes before the ports are free again: whoever takes them next has a folder of the same name.
            resources.callback(shutil.rmtree, home)
        print(said, flush=True)
        stop.wait()
    return 0


def _start(resources: contextlib.ExitStack, home: Path, port: int, blob_port: int) -> str:
    """Start both services; what a person needs to know of them, as text."""
    guard = resources.enter_context(Guard())
    azurite = resources.enter_context(Azurite(log=home / "azurite.log", port=blob_port))
    azurite.container(CONTAINER)
    workspace = resources.enter_context(
        LocalWorkspace(
            guard, blob_endpoint=azurite.blob_endpoint, log=home / "workspace.log", port=port, token=_token()
        )
    )
    return (
        f"Workspace     {workspace.url}\n"
        f"Blob storage  {azurite.blob_endpoint}/{CONTAINER}\n"
        f"\n{prepare(workspace, home)}\nCtrl-C stops it all."
    )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let no other one start meanwhile."""
    _HOME.mkdir(parents=True, exist_ok=True)
    with (_HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ports(wanted: str) -> tuple[int, int]:
    """Where the workspace listens, and where its blob storage does: at the next port.

    Args:
        wanted: The workspace's port, 0 for free ones; empty: the usual ones, or free ones where those are taken.

    Raises:
        _PortError: It is no port, or one of the two is taken.
    """
    if wanted and not (wanted.isascii() and wanted.isdigit() and len(wanted) < 6 and int(wanted) < _LAST_PORT):
        raise _PortError(f"PORT is a whole number from 0 to {_LAST_PORT - 1}, not {wanted[:80]!r}")
    port = int(wanted or _PORT)
    if port == 0:
        return _free_ports()
    taken = [number for number in (port, port + 1) if not _is_free(number)]
    if not taken:
        return port, port + 1
    why = f"port {taken[0]} is in use"
    if wanted:
        raise _PortError(f"{why}, and PORT={port} takes {port} and {port + 1}; PORT=0 takes free ones")
    print(f"The usual {why}, so free ones are taken: another workspace runs already, or PORT=… chooses.\n")
    return _free_ports()


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        # What has just ended does not hold it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _token() -> str:
    """The token of the environment, else the one of the first start."""
    if token := os.environ.get("AML_EMULATOR_TOKEN"):
        return token
    file = _HOME / "token"
    with contextlib.suppress(FileNotFoundError):
        if token := file.read_text().strip():
            return token
    token = secrets.token_urlsafe(24)
    write_secret(file, f"{token}\n")
    return token


if __name__ == "__main__":
    sys.exit(main())
