"""Airflow as a cluster runs it, on this machine: Celery's executor, and more than one of what may be more than one.

Each component has a host name of its own (``worker-2``), although all of them are on this machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from celery import Celery
from kombu.exceptions import OperationalError
from local_airflow import LocalAirflow
from processes import processes_of
from redis import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from processes import Guard
    from valkey import Valkey

#: What runs, besides one of each: two API servers, of which one is only for tasks, and a DAG processor.
REPLICAS = ("scheduler-2", "triggerer-2", "worker-2", "worker-3")
#: A folder for the path of its processes, in which they find the names of their machines.
HOSTS = Path(__file__).parent / "cluster_host"
_HOST = "CLUSTER_HOST"
# What Airflow's part for Celery logs when a task is delivered that has a process already.
_REFUSED = "Task already running elsewhere, ignoring redelivered message"
# The tasks of one worker at the same time.
_CONCURRENCY = 2


class AirflowCluster(LocalAirflow):
    """A context manager that runs Airflow with two schedulers, two triggerers and three Celery workers.

    Args:
        guard: Starts its processes.
        home: Its AIRFLOW_HOME, which must exist.
        broker: Passes the messages between schedulers and workers; it must run.
        database_url: The URL of its metadata database, for SQLAlchemy; Celery's results are there too.
        visibility_timeout: Seconds after which the broker delivers a message again that no worker has confirmed. A
            worker confirms a task at its end.
        settings: More of Airflow's options, by section and name; they win over ours.
        variables: More of its processes' environment variables.
        options: The other arguments of :class:`LocalAirflow`.
    """

    def __init__(
        self,
        guard: Guard,
        home: Path,
        *,
        broker: Valkey,
        database_url: str,
        visibility_timeout: int = 86_400,
        settings: Mapping[str, Mapping[str, object]] | None = None,
        variables: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        ours = _options(broker.url, visibility_timeout)
        given = settings or {}
        super().__init__(
            guard,
            home,
            settings={name: {**ours.get(name, {}), **given.get(name, {})} for name in {**ours, **given}},
            serve_tasks_apart=True,
            database_url=database_url,
            # The commands that are no component, such as the one that prepares the database, have another name.
            variables={"PYTHONPATH": str(HOSTS), _HOST: "terminal", **(variables or {})},
            **options,
        )
        self._celery = Celery(broker=broker.url, set_as_current=False)
        self._commands["worker"] = (
            *("celery", "worker", "--skip-serve-logs", "--without-mingle", "--without-gossip"),
            *("--concurrency", str(_CONCURRENCY), "--celery-hostname", "{name}"),
        )

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        self._celery.close()
        super().__exit__(*details)

    def start(self, *names: str, variables: Mapping[str, str] | None = None, healthy: bool = True) -> None:
        """Start components and wait until all are healthy; workers answer then.

        Args:
            names: What runs, such as ``worker-2``.
            variables: More environment variables of these.
            healthy: Whether to wait.

        Raises:
            ServiceError: A component ended, or is not healthy in time.
        """
        super().start(*names, variables=variables, healthy=healthy)
        workers = {name for name in names if name.startswith("worker")}
        if healthy and workers:
            self.wait(lambda: workers <= self.workers(), f"{', '.join(sorted(workers))} answer", timeout=300)

    def workers(self) -> set[str]:
        """The workers that answer."""
        try:
            found = self._celery.control.ping(timeout=2)
        except (OperationalError, RedisError):  # there is no broker at the moment, or it has closed an old connection
            return set()
        return {name.partition("@")[2] for reply in found for name in reply}

    def refusals(self) -> int:
        """How often a worker was given a task that had a process elsewhere."""
        return sum(log.read_text(errors="replace").count(_REFUSED) for log in self._home.glob("worker*.log"))

    def shut_down(self, name: str, number: signal.Signals) -> None:
        """Ask a component's main process to end, and forget the component; the caller waits for its processes.

        Args:
            name: The component.
            number: SIGTERM for Celery's warm shutdown, SIGQUIT for the cold one.
        """
        with self._restarting:
            service = self._components.pop(name)
            self._fallen.append(service)
        service.signal(number, alone=True)

    def is_gone(self, name: str) -> bool:
        """Whether all processes of a component that was shut down or killed have ended."""
        fallen = [service for service in self._fallen if service.name == f"airflow {name}"]
        for service in fallen:
            service.process.poll()
        return not processes_of(fallen)

    def kill_what_remains(self, name: str) -> None:
        """Kill all processes of a component that was asked to end."""
        for service in self._fallen:
            if service.name == f"airflow {name}":
                for process in service.processes():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
                service.process.wait()

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Suspend all processes of a component meanwhile."""
        service = self._components[name]
        service.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            service.signal(signal.SIGCONT)

    def wait_for_all(self) -> None:
        """Wait until both schedulers and both triggerers have sent a heartbeat.

        Raises:
            ServiceError: A component ended, or they do not in time.
        """

        def are_alive() -> bool:
            jobs = self.get("/jobs", is_alive=True, job_state="running", limit=100)["jobs"]
            hosts = {job["hostname"] for job in jobs}
            return {name for name in self.components if re.match("scheduler|triggerer", name)} <= hosts

        self.wait(are_alive, "all schedulers and triggerers are alive", timeout=300)

    def _first(self) -> tuple[str, ...]:
        return (*super()._first(), *REPLICAS)

    def _variables_of(self, name: str) -> dict[str, str]:
        return {_HOST: name}


def _options(broker_url: str, visibility_timeout: int) -> dict[str, dict[str, object]]:
    return {
        "core": {"executor": "CeleryExecutor", "hostname_callable": "cluster_host.name"},
        "celery": {"broker_url": broker_url, "sync_parallelism": 1, "worker_concurrency": _CONCURRENCY},
        "celery_broker_transport_options": {
            "visibility_timeout": visibility_timeout,
            # How often, in seconds, a worker searches for messages that are visible again.
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
        },
    }
