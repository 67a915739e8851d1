"""Processes that never outlive us, not even when we are killed.

A guard process holds the reading end of a pipe that closes with us, and then kills the processes that remain. It
recognises them by the session that each of our processes begins, and a process that has only just been started by a
label in its environment. (The label alone is not enough: a process that writes a title of its own, as Airflow does,
overwrites its environment.)
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
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_LABEL = "AZUREML_PROVIDER_DEMO"


class ServiceError(RuntimeError):
    """A service ended, or does not do what it should.

    Args:
        message: What happened.
        log: The log with the details.
    """

    def __init__(self, message: str, log: Path) -> None:
        super().__init__(message)
        self.log = log


class Process(NamedTuple):
    """A live process, as the kernel shows it.

    Args:
        pid: Its id.
        parent: The id of the process that started it, or of the one that adopted it.
        title: Its command line, or the title that it has set.
    """

    pid: int
    parent: int
    title: str


class Service:
    """A running process; made by :meth:`Guard.start`.

    Attributes:
        name: What it is, for messages.
        log: The file that gets its output.
    """

    def __init__(self, name: str, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.log = log
        self.process = process

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            ServiceError: It has ended.
        """
        if (code := self.process.poll()) is not None:
            raise ServiceError(f"{self.name} ended by itself with code {code}", self.log)

    def processes(self) -> list[Process]:
        """The process and all that it started, including those that have outlived it."""
        return processes_of([self])

    def signal(self, number: signal.Signals, *, alone: bool = False) -> None:
        """Send a signal to the process and to all processes that it started.

        Args:
            number: The signal: SIGKILL for a crash of the machine, SIGSTOP and SIGCONT for one that hangs.
            alone: Send it to the process only.
        """
        # The first is the one that could start another.
        for pid in [self.process.pid, *([] if alone else [process.pid for process in self.processes()])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def processes_of(services: Iterable[Service]) -> list[Process]:
    """The processes of services and all that they started, including those that have outlived them."""
    sessions = {service.process.pid for service in services}
    return [Process(pid, parent, _title(pid)) for pid, parent, session in _live() if session in sessions]


def stop(services: Iterable[Service], *, timeout: float) -> None:
    """End services, all at once: terminate them, wait, then kill what remains of their sessions."""
    services = list(services)
    for service in services:
        service.process.terminate()
    deadline = time.monotonic() + timeout
    for service in services:
        with contextlib.suppress(subprocess.TimeoutExpired):
            service.process.wait(max(0.0, deadline - time.monotonic()))
        _kill({service.process.pid}, label=None)
        service.process.wait()
        if service.process.stdout is not None:
            service.process.stdout.close()


class Guard:
    """A context manager around everything that starts processes; none of them survives its end."""

    def __init__(self) -> None:
        self._label = uuid.uuid4().hex
        self._sessions: set[int] = set()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._label],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        # Guards may be nested.
        self._outer = os.environ.get(_LABEL)
        os.environ[_LABEL] = self._label
        return self

    def __exit__(self, *_: object) -> None:
        del os.environ[_LABEL]
        if self._outer is not None:
            os.environ[_LABEL] = self._outer
        _kill(self._sessions, label=self._label)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] = os.environ,
        piped: bool = False,
        user: str | None = None,
    ) -> Service:
        """Start a process in a session of its own, so that an interrupt of the terminal reaches us alone.

        Args:
            name: What it is, for messages.
            command: Its command line.
            log: The file that gets its output.
            env: Its environment; must hold ours.
            piped: Leave its standard output to the caller; the log then has its standard error.
            user: The user that it runs as; None: the current one.
        """
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=output if piped else subprocess.STDOUT,
                start_new_session=True,
                user=user,
            )
        self._sessions.add(process.pid)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{process.pid}\n")
        self._process.stdin.flush()
        return Service(name, log, process)


def _kill(sessions: set[int], *, label: str | None) -> None:
    # A process may start another one just before it is killed.
    while left := _find(sessions, label):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _find(sessions: set[int], label: str | None) -> list[int]:
    """The live processes of these sessions, and those that carry the label."""
    wanted = None if label is None else f"{_LABEL}={label}".encode()
    return [pid for pid, _, session in _live() if session in sessions or (wanted and wanted in _environment(pid))]


def _live() -> Iterator[tuple[int, int, int]]:
    """The id, the parent and the session of each process."""
    for entry in Path("/proc").iterdir():
        # The process may have ended meanwhile.
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                state, parent, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if state != "Z":
                    yield int(entry.name), int(parent), int(session)


def _environment(pid: int) -> list[bytes]:
    # It may belong to another user, or hide its environment, as Airflow's tasks do.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def _title(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    return ""


def _watch(label: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sessions = {int(line) for line in sys.stdin}
    _kill(sessions, label=label)


if __name__ == "__main__":
    _watch(sys.argv[1])
