"""Airflow with all its components on this machine, reachable from this machine only.

``airflow standalone`` would start the same four components, but with log servers that listen on every interface and
cannot be told otherwise; and a SIGTERM to it orphans them. On one machine nobody needs a log server.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import httpx
from processes import ServiceError, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from processes import Guard, Service

_COMPONENTS = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "triggerer": ("--skip-serve-logs",),
    "dag-processor": (),
}


class LocalAirflow:
    """A context manager that runs Airflow.

    It gets our environment, which must hold no settings of another Airflow.

    Args:
        guard: Starts its processes.
        home: Its AIRFLOW_HOME, which must exist.
        dags: The folder of the DAGs; all of them begin paused.
        connections: Connections by id, in Airflow's JSON format; they stay in the environment.
        report: Told what has happened so far.
        start_timeout: Seconds until all components must be healthy.

    Attributes:
        url: The address of its pages; known from the start.
        database: Its metadata database, an SQLite file.
        logs: The folder of its tasks' logs.
    """

    def __init__(
        self,
        guard: Guard,
        home: Path,
        *,
        dags: Path,
        connections: Mapping[str, Mapping[str, Any]],
        report: Callable[[str], None],
        start_timeout: float = 300,
    ) -> None:
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.database = home / "airflow.db"
        self.logs = home / "logs"
        self._guard = guard
        self._home = home
        self._report = report
        self._start_timeout = start_timeout
        self._env = _environment(home, dags, port) | {
            f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in connections.items()
        }
        self._services: list[Service] = []
        self._client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        try:
            self._migrate()
            self._report("Airflow's database is ready")
            for name, options in _COMPONENTS.items():
                self._start(f"airflow {name}", [name, *options], log=self._home / f"{name}.log")
            self.wait(self._is_healthy, "all components of Airflow are healthy", timeout=self._start_timeout)
            token = self._client.get("/auth/token").raise_for_status().json()["access_token"]
            self._client.headers["Authorization"] = f"Bearer {token}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # They stop working at once, but a Python as large as the api-server's takes long to exit.
        stop(self._services, patience=5)
        self._services = []
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:
        """Ask the REST API, below ``/api/v2``.

        Raises:
            ServiceError: It does not answer, or refuses.
        """
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask the REST API, below ``/api/v2``, for something new.

        Raises:
            ServiceError: It does not answer, or refuses.
        """
        return self._ask("POST", path, json=body)

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler start runs of a DAG.

        Raises:
            ServiceError: It does not answer, or refuses.
        """
        self._ask("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def wait(self, condition: Callable[[], Any], what: str, *, timeout: float, log: Path | None = None) -> Any:
        """Wait until a condition holds, and for as long as Airflow runs.

        Args:
            condition: Asked again and again until it returns something true.
            what: What it means.
            timeout: Seconds.
            log: What to read if it does not come true.

        Returns:
            What the condition returned.

        Raises:
            ServiceError: A component ended, or the time is over.
        """
        deadline = time.monotonic() + timeout
        while not (result := condition()):
            self._check()
            if time.monotonic() > deadline:
                raise ServiceError(f"waited {timeout:.0f} s in vain until {what}", log or self._home / "scheduler.log")
            # Airflow has nothing that one could wait on.
            time.sleep(0.2)
        return result

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            return self._client.request(method, f"/api/v2{path}", **request).raise_for_status().json()
        except httpx.HTTPError as error:
            self._check()
            raise ServiceError(f"{method} {path}: {error}", self._home / "api-server.log") from error

    def _check(self) -> None:
        for service in self._services:
            service.check()

    def _start(self, name: str, arguments: Sequence[str], *, log: Path) -> Service:
        service = self._guard.start(name, [sys.executable, "-m", "airflow", *arguments], log=log, env=self._env)
        self._services.append(service)
        return service

    def _migrate(self) -> None:
        migration = self._start("airflow db migrate", ["db", "migrate"], log=self._home / "database.log")
        if migration.process.wait():
            migration.check()
        self._services.remove(migration)

    def _is_healthy(self) -> bool:
        try:
            health = self._client.get("/api/v2/monitor/health").raise_for_status().json()
        except httpx.HTTPError:
            return False
        return all(health[name]["status"] == "healthy" for name in ("scheduler", "triggerer", "dag_processor"))


def _environment(home: Path, dags: Path, port: int) -> dict[str, str]:
    settings: dict[str, dict[str, object]] = {
        "api": {
            "host": "127.0.0.1",
            "port": port,
            "base_url": f"http://127.0.0.1:{port}",
            "secret_key": secrets.token_hex(16),
        },
        "api_auth": {"jwt_secret": secrets.token_hex(32)},
        "core": {
            "dags_folder": dags,
            "dags_are_paused_at_creation": True,
            "execution_api_server_url": f"http://127.0.0.1:{port}/execution/",
            "executor": "LocalExecutor",
            # Nothing is encrypted, so that the search for secrets sees all that is stored.
            "fernet_key": "",
            "load_examples": False,
            "parallelism": 4,
            "plugins_folder": home / "plugins",
            "simple_auth_manager_all_admins": True,
        },
        "dag_processor": {"min_file_process_interval": 5, "refresh_interval": 5},
        "database": {"sql_alchemy_conn": f"sqlite:///{home}/airflow.db"},
        "logging": {"base_log_folder": home / "logs"},
        # The end of a task is noticed at once or after this many seconds.
        "workers": {"min_heartbeat_interval": 1},
    }
    variables = {
        f"AIRFLOW__{section}__{name}".upper(): str(value)
        for section, options in settings.items()
        for name, value in options.items()
    }
    return {**os.environ, "AIRFLOW_HOME": str(home), **variables}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
