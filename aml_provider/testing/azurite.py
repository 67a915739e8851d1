"""Azurite, Microsoft's local blob storage, as a process that ends with this one."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import shutil
import signal
import subprocess
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Self

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContainerClient

if TYPE_CHECKING:
    from typing import TextIO

# The account that every Azurite has; Microsoft publishes its key, so it is no secret.
ACCOUNT_NAME = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_PROGRAM = "azurite-blob"
_STOP_TIMEOUT = 10
_LISTENS = re.compile(r"successfully listens on (https?://\S+)")
_SIGNATURE = re.compile(r"(?i)\b(sig(?:=|%3D))[^&\s\"']+")
# Azurite ends when its standard input is closed, so that it never outlives us, not even when we are killed.
_LAUNCHER = """
process.stdin.on("end", () => process.exit()).resume();
process.argv.splice(1, 0, process.env.AZURITE_MAIN);
require(process.env.AZURITE_MAIN);
"""


class AzuriteError(RuntimeError):
    """Azurite is not installed or did not start."""


def find_program(setting: str = "") -> tuple[str, ...]:
    """Find the command that starts Azurite.

    Args:
        setting: The program or JavaScript file to use; empty: ``azurite-blob`` on the PATH.

    Raises:
        AzuriteError: Azurite or Node.js is not installed; the message names the next step.
    """
    program = shutil.which(setting or _PROGRAM)
    if program is None and setting and Path(setting).is_file():
        program = setting
    if program is None:
        where = f"there is no program or file {setting!r}" if setting else f"{_PROGRAM} is not on the PATH"
        raise AzuriteError(f"{where}; install Azurite, for example with `npm install --global azurite`")
    # npm links the program to its JavaScript file.
    file = Path(program).resolve()
    if file.suffix != ".js":
        return (program,)
    node = shutil.which("node")
    if node is None:
        raise AzuriteError(f"{program} needs Node.js, and node is not on the PATH")
    return (node, str(file))


class Azurite:
    """One blob service on loopback, with everything in memory; a context manager.

    Args:
        command: The program that starts it; or Node.js, and the JavaScript file that Node.js runs.
        tls: PEM file with a certificate and its key. With it, the service uses https and accepts bearer tokens too,
            whose signature it does not check.
        log: File for its output with the access log, signatures masked. Without it requests are not logged.
        port: The port on loopback; 0 takes a free one.
        start_timeout: Seconds within which it must answer.

    Raises:
        AzuriteError: It did not start; the message has its output.

    Attributes:
        blob_endpoint: The address of the blob service with its account.
    """

    account_name = ACCOUNT_NAME
    account_key = ACCOUNT_KEY

    def __init__(
        self,
        command: tuple[str, ...],
        *,
        tls: Path | None = None,
        log: Path | None = None,
        port: int = 0,
        start_timeout: float = 60,
    ) -> None:
        self._program = command
        self._tls = tls
        self._log = log
        self._port = port
        self._start_timeout = start_timeout
        self._resources = contextlib.ExitStack()
        self.blob_endpoint = ""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as resources:
            log = resources.enter_context(self._log.open("a", encoding="utf-8")) if self._log else None
            process = subprocess.Popen(  # noqa: S603 - the user names the program
                self._command(),
                env={**os.environ, "AZURITE_MAIN": self._program[-1]},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                # An interrupt of the terminal reaches only us, so that we can end the users of the blobs first.
                start_new_session=True,
            )
            lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
            reader = threading.Thread(target=_read, args=(process, log, lines), name="azurite-output", daemon=True)
            reader.start()
            resources.callback(reader.join)
            resources.callback(_stop, process)
            self.blob_endpoint = f"{self._wait(lines)}/{self.account_name}"
            self._resources = resources.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def container(self, name: str | None = None) -> ContainerClient:
        """Return a container's client, which is closed when Azurite ends.

        Args:
            name: The container, created when it does not exist yet. Without a name a new one is made.
        """
        client = self.open_container(name)
        self._resources.enter_context(client)
        return client

    def open_container(self, name: str | None = None) -> ContainerClient:
        """Return a container's client, as :meth:`container` does; the caller closes it."""
        client = ContainerClient(self.blob_endpoint, name or f"c{uuid.uuid4().hex}", credential=self.account_key)
        with contextlib.suppress(ResourceExistsError):
            client.create_container()
        return client

    def _command(self) -> list[str]:
        options = ["--blobHost", "127.0.0.1", "--blobPort", str(self._port)]
        options += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
        if self._log is None:
            options.append("--silent")
        if self._tls is not None:
            options += ["--oauth", "basic", "--cert", str(self._tls), "--key", str(self._tls)]
        program, *file = self._program
        return [program, *(["--eval", _LAUNCHER, "--"] if file else []), *options]

    def _wait(self, lines: queue.SimpleQueue[str | None]) -> str:
        output: list[str] = []
        while True:
            try:
                line = lines.get(timeout=self._start_timeout)
            except queue.Empty:
                line = None
            if line is None:
                raise AzuriteError(f"Azurite does not answer; it said:\n{''.join(output)}")
            output.append(line)
            if listens := _LISTENS.search(line):
                return listens[1]


def _read(process: subprocess.Popen[str], log: TextIO | None, lines: queue.SimpleQueue[str | None]) -> None:
    listening = False
    assert process.stdout is not None
    with process.stdout as output:
        for raw in output:
            line = _SIGNATURE.sub(r"\1***", raw)
            if log is not None:
                log.write(line)
                log.flush()
            if not listening:
                lines.put(line)
                listening = _LISTENS.search(line) is not None
    lines.put(None)


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    # A program that is not the JavaScript file ignores that, and may be the parent of one that is.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=_STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
