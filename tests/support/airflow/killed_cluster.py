"""A cluster of Airflow whose machines, broker and database fail, and what the workspace says of it afterwards."""

from __future__ import annotations

import contextlib
import signal

from airflow_cluster import AirflowCluster
from local_airflow import free_port
from postgres import Postgres
from support.airflow.killing import World
from valkey import Valkey

#: Seconds after which the broker delivers a task again that has not ended.
VISIBILITY_TIMEOUT = 12


class Cluster(World):
    """A real Airflow with Celery's executor, the workspace that its tasks use, and the record of what people did.

    Args:
        home: A folder for Airflow.
    """

    def __init__(self, home):
        # Components may end by themselves in an outage; elsewhere too something starts them again.
        super().__init__(home, retries=20, retry_delay=2, breaks=True)

    def make_airflow(self, guard, resources):
        self._postgres = resources.enter_context(Postgres(guard, log=self._home / "postgres.log"))
        self._broker = resources.enter_context(Valkey(guard, port=free_port(), log=self._home / "valkey.log"))
        return AirflowCluster(
            guard,
            self._home,
            broker=self._broker,
            database_url=self._postgres.url,
            visibility_timeout=VISIBILITY_TIMEOUT,
            **self.options(),
        )

    def __enter__(self):
        super().__enter__()
        self.airflow.wait_for_all()
        return self

    def worker_of(self, case):
        """The worker that runs a task instance."""
        return case.until(lambda: case.state == "running" and case.info.get("hostname"), "a worker runs it")

    def triggerer_of(self, case):
        """The triggerer that a task instance waits in."""
        return (case.info.get("triggerer_job") or {}).get("hostname")

    def refusals(self):
        """How often a worker was given a task that had a process elsewhere."""
        return self.airflow.refusals()

    def shut_down(self, worker, number):
        """Ask a worker to end: SIGTERM for Celery's warm shutdown, SIGQUIT for the cold one."""
        self.counted(f"{'warm' if number == signal.SIGTERM else 'cold'} shutdown of a worker")
        self.airflow.shut_down(worker, number)

    @contextlib.contextmanager
    def broker_away(self):
        """Kill the broker; afterwards it is empty."""
        self.counted("broker killed and emptied")
        self._broker.kill()
        try:
            yield
        finally:
            self._broker.start()

    def drop_connections(self):
        """Close all connections to the broker and to the database."""
        self.counted("connections dropped")
        self._broker.drop_connections()
        self._postgres.drop_connections()

    def processes_of(self, case):
        """The processes of a task instance; None while it has none."""
        return case.until(lambda: self.tasks.processes(*case.task), "it has a process")

    def lives(self, pid):
        """Whether a process of a component is alive."""
        return any(process.pid == pid for process in self.airflow.processes())
