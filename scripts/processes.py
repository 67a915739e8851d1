"""Processes of which none outlives us, not even when we are killed.

A guard process holds the reading end of a pipe that closes with us. All that we start carries a mark in its
environment, which its own children inherit: by it the guard finds what is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_MARK = "AZUREML_PROVIDER_DEMO"


class ServiceError(RuntimeError):
    """A service ended, or does not do what it should.

    Args:
        message: What happened.
        log: Where more about it stands.
    """

    def __init__(self, message: str, log: Path) -> None:
        super().__init__(message)
        self.log = log


class Service:
    """A running process in a session of its own, so that an interrupt of the terminal reaches us alone.

    Args:
        name: What it is, for messages.
        command: Its command line.
        log: The file that gets its output.
        env: Its environment.
        piped: Leave its standard output to the caller; the log then has its standard error.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str], piped: bool = False
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=output if piped else subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            ServiceError: It has ended.
        """
        if (code := self.process.poll()) is not None:
            raise ServiceError(f"{self.name} ended by itself with code {code}", self.log)


def stop(services: Iterable[Service], *, patience: float) -> None:
    """End services, all at once: ask for it, wait, then kill what is left of their sessions."""
    services = list(services)
    for service in services:
        service.process.terminate()
    deadline = time.monotonic() + patience
    for service in services:
        with contextlib.suppress(subprocess.TimeoutExpired):
            service.process.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(service.process.pid, signal.SIGKILL)
        service.process.wait()
        if service.process.stdout is not None:
            service.process.stdout.close()


class Guard:
    """A context manager around everything that starts processes; when it ends, none of them is left.

    Attributes:
        killed: How many had to be killed at the end.
    """

    def __init__(self) -> None:
        self._mark = uuid.uuid4().hex
        self.killed = 0

    def __enter__(self) -> Self:
        # The end of the environment is what a process that writes its own title destroys last.
        os.environ.pop(_MARK, None)
        os.environ[_MARK] = self._mark
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._mark],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.killed = _kill(self._mark, {os.getpid(), self._process.pid})
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        del os.environ[_MARK]


def _marked(mark: str) -> list[int]:
    wanted = f"{_MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        # Gone in the meantime, or somebody else's.
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _kill(mark: str, spared: set[int]) -> int:
    killed = set()
    # Whatever is killed may just have started another one.
    while left := set(_marked(mark)) - spared:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= left
        time.sleep(0.05)
    return len(killed)


def _watch(mark: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    _kill(mark, {os.getpid()})


if __name__ == "__main__":
    _watch(sys.argv[1])
