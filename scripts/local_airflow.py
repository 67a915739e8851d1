"""Airflow with all its components on this machine, reachable from this machine only.

``airflow standalone`` would start the same four components, but with log servers that always listen on every interface,
and a SIGTERM to it orphans them. A single machine needs no log server.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import airflow_sqlite
import httpx
from processes import ServiceError, processes_of, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from processes import Guard, Process, Service

Settings = dict[str, dict[str, object]]


class _Edition(NamedTuple):
    """The differences between Airflow's versions.

    Args:
        commands: The commands that start its components, by component.
        api: Where its REST API is.
        monitored: The components whose health it reports.
    """

    commands: Mapping[str, tuple[str, ...]]
    api: str
    monitored: tuple[str, ...]


#: Whether the Airflow at hand is 3 or later.
AIRFLOW_3 = int(metadata.version("apache-airflow").partition(".")[0]) >= 3
_EDITION = (
    _Edition(
        commands={
            "api-server": ("api-server",),
            "scheduler": ("scheduler", "--skip-serve-logs"),
            "triggerer": ("triggerer", "--skip-serve-logs"),
            "dag-processor": ("dag-processor",),
        },
        api="/api/v2",
        monitored=("scheduler", "triggerer", "dag_processor"),
    )
    if AIRFLOW_3
    else _Edition(
        commands={
            "webserver": ("webserver", "--workers", "1"),
            "scheduler": ("scheduler", "--skip-serve-logs"),
            "triggerer": ("triggerer", "--skip-serve-logs"),
        },
        api="/api/v1",
        monitored=("scheduler", "triggerer"),
    )
)


class LocalAirflow:
    """A context manager that runs Airflow.

    It gets our environment without the settings of any other Airflow.

    Args:
        guard: Starts its processes.
        home: Its AIRFLOW_HOME, which must exist.
        dags: The folder of the DAGs; all of them begin paused.
        connections: Connections by id, in Airflow's JSON format; they stay in the environment, where Airflow's pages do
            not show them.
        report: Prints the progress.
        settings: More of Airflow's options, by section and name; they win over ours.
        serve_tasks_apart: Airflow 3's tasks get an API server of their own, the component ``execution-api``. On SQLite
            a single one blocks when people and tasks write simultaneously: it logs people's actions in its event loop.
        database_url: The URL of its metadata database, for SQLAlchemy; None: an SQLite file of its own.
        variables: More of its processes' environment variables.
        component_settings: More options of single components, by component; they win over all others.
        restarted: Called with each component that ended by itself and was restarted; None: that is an error.
        start_timeout: Seconds until all components must be healthy.

    Attributes:
        url: The address of its pages; known from the start.
        database: Its metadata database, if that is an SQLite file.
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
        settings: Mapping[str, Mapping[str, object]] | None = None,
        serve_tasks_apart: bool = False,
        database_url: str | None = None,
        variables: Mapping[str, str] | None = None,
        component_settings: Mapping[str, Mapping[str, Mapping[str, object]]] | None = None,
        restarted: Callable[[str], None] | None = None,
        start_timeout: float = 300,
    ) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.database = home / "airflow.db"
        self.logs = home / "logs"
        self._guard = guard
        self._home = home
        self._report = report
        self._start_timeout = start_timeout
        self._commands = dict(_EDITION.commands)
        self._task_api = f"{self.url}/execution/"
        if serve_tasks_apart and AIRFLOW_3:
            other = free_port()
            self._task_api = f"http://127.0.0.1:{other}/execution/"
            self._commands["api-server"] = ("api-server", "--apps", "core")
            self._commands["execution-api"] = ("api-server", "--apps", "execution", "--port", str(other))
        self._on_sqlite = database_url is None
        # One writes at a time, and under load the others wait longer than the five seconds of the default.
        database_url = database_url or f"sqlite:///{self.database}?timeout=15"
        self._env = {
            **_environment(home, _options(home, dags, port, self._task_api, database_url), settings or {}),
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(connection) for name, connection in connections.items()},
            **(variables or {}),
        }
        self._own = {name: _variables(options) for name, options in (component_settings or {}).items()}
        self._restarted = restarted
        self._restarting = threading.Lock()
        self._components: dict[str, Service] = {}
        self._fallen: list[Service] = []
        self._client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        try:
            self._migrate()
            self._report("Airflow's database is ready")
            self.start(*self._first())
            if AIRFLOW_3:
                token = self._client.get("/auth/token").raise_for_status().json()["access_token"]
                self._client.headers["Authorization"] = f"Bearer {token}"
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._restarting:
            services = [*self._components.values(), *self._fallen]
            self._components, self._fallen = {}, []
        # They stop working immediately, but a Python process as large as the api-server's takes long to exit.
        stop(services, timeout=5)
        self._client.close()

    @property
    def components(self) -> tuple[str, ...]:
        """The components that run."""
        return tuple(self._components)

    def log(self, name: str) -> Path:
        """The file that gets a component's output."""
        return self._home / f"{name}.log"

    def start(self, *names: str, variables: Mapping[str, str] | None = None, healthy: bool = True) -> None:
        """Start components and wait until all are healthy.

        Args:
            names: What runs, such as ``scheduler``; ``triggerer-2`` is another triggerer.
            variables: More environment variables of these.
            healthy: Whether to wait.

        Raises:
            ServiceError: A component ended, or is not healthy in time.
        """
        for name in names:
            self._launch(name, variables)
        if healthy:
            self.wait(self._is_healthy, "all components of Airflow are healthy", timeout=self._start_timeout)

    def kill(self, name: str, *, alone: bool = False) -> None:
        """Kill a component with SIGKILL.

        Args:
            name: The component.
            alone: Only the process that was started; what that has started lives on.
        """
        with self._restarting:
            service = self._components.pop(name)
        service.signal(signal.SIGKILL, alone=alone)
        service.process.wait()
        self._fallen.append(service)

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Suspend a component meanwhile; on SQLite not while it writes, as all others would wait for it."""
        service = self._components[name]
        service.signal(signal.SIGSTOP)
        try:
            while airflow_sqlite.writer(self.database) in {process.pid for process in service.processes()}:
                service.signal(signal.SIGCONT)
                time.sleep(0.01)
                service.signal(signal.SIGSTOP)
            yield
        finally:
            service.signal(signal.SIGCONT)

    def component_processes(self, name: str) -> list[Process]:
        """The process of a component, and all that it started."""
        return self._components[name].processes()

    def processes(self) -> list[Process]:
        """All processes of all components, including those that have outlived a component."""
        return processes_of([*list(self._components.values()), *self._fallen])

    def get(self, path: str, **query: Any) -> Any:
        """Ask the REST API, below its root.

        Raises:
            ServiceError: It does not answer, or refuses.
        """
        return self._ask("GET", path, params=query)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask the REST API, below its root, for something new.

        Raises:
            ServiceError: It does not answer, or refuses.
        """
        return self._ask("POST", path, json=body)

    def add_connection(self, connection_id: str, connection: Mapping[str, Any]) -> None:
        """Save a connection in the metadata database, where people see it under *Admin*, *Connections*.

        Args:
            connection_id: Its id.
            connection: The connection, in Airflow's JSON format.

        Raises:
            ServiceError: It does not answer, or refuses.
        """
        extra = json.dumps(connection.get("extra", {}))
        self.post("/connections", {"connection_id": connection_id, **connection, "extra": extra})

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask the REST API, below its root, for a change.

        Raises:
            ServiceError: It does not answer, or refuses.
        """
        return self._ask("PATCH", path, json=body)

    def command(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Start one of Airflow's commands, as a person does at a terminal; the caller ends it."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "airflow", *arguments], env=self._env, stdout=output, stderr=subprocess.STDOUT
            )

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler start runs of a DAG.

        Raises:
            ServiceError: It does not answer, or refuses.
        """
        self.patch(f"/dags/{dag_id}", {"is_paused": False})

    def wait(self, condition: Callable[[], Any], what: str, *, timeout: float, log: Path | None = None) -> Any:
        """Wait until a condition holds, and for as long as Airflow runs.

        Args:
            condition: Called again and again until it returns something true.
            what: The meaning of the condition, for the message.
            timeout: Seconds.
            log: The log to read if it never becomes true.

        Returns:
            The result of the condition.

        Raises:
            ServiceError: A component ended, or the time is over.
        """
        deadline = time.monotonic() + timeout
        while not (result := condition()):
            self._check()
            if time.monotonic() > deadline:
                raise ServiceError(f"waited {timeout:.0f} s in vain until {what}", log or self.log("scheduler"))
            # Airflow offers nothing to wait on.
            time.sleep(0.2)
        return result

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        try:
            reply = self._client.request(method, f"{_EDITION.api}{path}", **request)
            if reply.is_error:
                raise ServiceError(f"{method} {path}: {reply.status_code} {reply.text}", self._log_of_pages())
            return reply.json()
        except httpx.HTTPError as error:
            self._check()
            raise ServiceError(f"{method} {path}: {error}", self._log_of_pages()) from error

    def _first(self) -> tuple[str, ...]:
        """The components that are started first."""
        return tuple(self._commands)

    def _log_of_pages(self) -> Path:
        return self.log(next(iter(_EDITION.commands)))

    def _launch(self, name: str, variables: Mapping[str, str] | None = None) -> None:
        kind = re.sub(r"-\d+$", "", name)
        command = [sys.executable, "-m", "airflow", *(part.format(name=name) for part in self._commands[kind])]
        env = self._env | self._own.get(kind, {}) | self._variables_of(name) | dict(variables or {})
        self._components[name] = self._guard.start(f"airflow {name}", command, log=self.log(name), env=env)

    def _variables_of(self, name: str) -> dict[str, str]:  # noqa: ARG002 - for subclasses
        """The environment variables that only this component has."""
        return {}

    def _check(self) -> None:
        # Other threads may check, kill and start components too.
        with self._restarting:
            for name, service in list(self._components.items()):
                if self._restarted is None:
                    service.check()
                elif service.process.poll() is not None and self._components.get(name) is service:
                    self._fallen.append(service)
                    self._launch(name)
                    self._restarted(name)

    def _migrate(self) -> None:
        log = self._home / "database.log"
        migration = self._guard.start(
            "airflow db migrate", [sys.executable, "-m", "airflow", "db", "migrate"], log=log, env=self._env
        )
        try:
            if migration.process.wait():
                migration.check()
        finally:
            stop([migration], timeout=0)
        if not AIRFLOW_3:
            (self._home / "webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\n')
        if self._on_sqlite:
            airflow_sqlite.prepare(self.database)

    def _is_healthy(self) -> bool:
        try:
            health = self._client.get(f"{_EDITION.api}/{'monitor/' if AIRFLOW_3 else ''}health").raise_for_status()
            if "execution-api" in self._components:
                self._client.get(self._task_api)
        except httpx.HTTPError:
            return False
        return all(health.json()[name]["status"] == "healthy" for name in _EDITION.monitored)


def _options(home: Path, dags: Path, port: int, task_api: str, database_url: str) -> Settings:
    common: Settings = {
        "core": {
            "dags_folder": dags,
            "dags_are_paused_at_creation": True,
            "executor": "LocalExecutor",
            # Nothing is encrypted, so that a search for secrets sees everything that is stored.
            "fernet_key": "",
            "load_examples": False,
            "parallelism": 4,
            "plugins_folder": home / "plugins",
        },
        "database": {"sql_alchemy_conn": database_url},
        "logging": {"base_log_folder": home / "logs"},
    }
    if not AIRFLOW_3:
        return common | {
            "api": {"auth_backends": "airflow.api.auth.backend.default"},
            "scheduler": {"min_file_process_interval": 5, "dag_dir_list_interval": 5},
            "webserver": {
                "config_file": home / "webserver_config.py",
                "secret_key": secrets.token_hex(16),
                "web_server_host": "127.0.0.1",
                # Else it ends itself when the machine is busy for two minutes.
                "web_server_master_timeout": 0,
                "web_server_port": port,
            },
        }
    common["core"] |= {
        "execution_api_server_url": task_api,
        "simple_auth_manager_all_admins": True,
    }
    return common | {
        "api": {
            "host": "127.0.0.1",
            "port": port,
            "base_url": f"http://127.0.0.1:{port}",
            "secret_key": secrets.token_hex(16),
        },
        "api_auth": {"jwt_secret": secrets.token_hex(32)},
        "dag_processor": {"min_file_process_interval": 5, "refresh_interval": 5},
        # The end of a task is noticed immediately or after this many seconds.
        "workers": {"min_heartbeat_interval": 1},
    }


def _variables(*options: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    return {
        f"AIRFLOW__{section}__{name}".upper(): str(value)
        for settings in options
        for section, values in settings.items()
        for name, value in values.items()
    }


def _environment(home: Path, *options: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    variables = _variables(*options)
    if not AIRFLOW_3:
        # Airflow's own tests set it, to run more than one task at a time on SQLite.
        variables["_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK"] = "1"
        from gunicorn.config import KNOWN_SETTINGS  # noqa: PLC0415 - Airflow 3 does not bring it

        # A socket in the user's home, the same for all; older versions have none, and refuse the option.
        if any("--no-control-socket" in (setting.cli or ()) for setting in KNOWN_SETTINGS):
            variables["GUNICORN_CMD_ARGS"] = "--no-control-socket"
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "_AIRFLOW_"))}
    return {**ours, "AIRFLOW_HOME": str(home), **variables}


def free_port() -> int:
    """A port on loopback that nobody uses at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
