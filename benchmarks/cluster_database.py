"""The metadata database of a benchmark: it counts what is written, and multiplies tasks that have deferred."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import psycopg2
from cluster_counters import Writes
from psycopg2 import sql
from psycopg2.extras import Json, execute_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

_RUN_ID = re.compile(r'"run_id": "([^"]+)"')
_VARIABLE = re.compile(r'"cursor_variable": "([^"]+)"')
_CONTAINER_URL = re.compile(r'"container_url": "([^"]+)"')
_BATCH = 1000


class Deferred(NamedTuple):
    """A task instance that has deferred.

    Args:
        task_instance: Its id.
        dag_run: The row of its DAG run.
        trigger: The row of its trigger.
        dag_run_id: The id of its DAG run.
        arguments: The arguments of this trigger, as Airflow has stored them.
    """

    task_instance: str
    dag_run: int
    trigger: int
    dag_run_id: str
    arguments: str

    @property
    def run_id(self) -> str:
        """The pipeline run for which it waits."""
        return _only(_RUN_ID, self.arguments)

    @property
    def variable(self) -> str:
        """The Variable with the versions that a sensor knows."""
        return _only(_VARIABLE, self.arguments)

    @property
    def container_url(self) -> str:
        """The container that a sensor watches."""
        return _only(_CONTAINER_URL, self.arguments)


class Database:
    """A context manager around a connection to Airflow's metadata database.

    Args:
        url: Its address, for SQLAlchemy.
    """

    def __init__(self, url: str) -> None:
        self._url = url.replace("+psycopg2", "")

    def __enter__(self) -> Self:
        self._connection = psycopg2.connect(self._url)
        self._connection.autocommit = True
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def commits(self) -> int:
        """The transactions that the server has committed in this database."""
        ((commits,),) = self._ask("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
        return int(commits)

    def tables(self) -> dict[str, Writes]:
        """The rows that were written, by table."""
        found = self._ask("SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables")
        return {table: Writes(*counts) for table, *counts in found}

    def deferred(self, dag_id: str) -> list[Deferred]:
        """The task instances of a DAG that have deferred."""
        found = self._ask(
            "SELECT ti.id::text, d.id, t.id, ti.run_id, t.kwargs FROM task_instance ti"
            " JOIN dag_run d ON d.dag_id = ti.dag_id AND d.run_id = ti.run_id JOIN trigger t ON t.id = ti.trigger_id"
            " WHERE ti.dag_id = %s AND ti.state = 'deferred'",
            dag_id,
        )
        return [Deferred(*row) for row in found]

    def waiting(self, prefix: str) -> int:
        """The number of task instances that have deferred, of all DAG runs whose ids begin like this."""
        query = "SELECT count(*) FROM task_instance WHERE state = 'deferred' AND run_id LIKE %s"
        ((count,),) = self._ask(query, f"{prefix}%")
        return int(count)

    def triggers(self) -> dict[int | None, int]:
        """The number of triggers of each triggerer, by the id of its job; None: those that no triggerer has taken."""
        return dict(self._ask("SELECT triggerer_id, count(*) FROM trigger GROUP BY triggerer_id"))

    def resumed(self, prefix: str) -> dict[str, datetime]:
        """The instants at which tasks were no longer deferred, by DAG run, of all whose ids begin like this."""
        return dict(
            self._ask(
                "SELECT run_id, scheduled_dttm FROM task_instance WHERE state <> 'deferred' AND run_id LIKE %s",
                f"{prefix}%",
            )
        )

    def ended(self, dag_id: str) -> dict[str, datetime]:
        """The instants at which tasks of a DAG have succeeded, by DAG run."""
        query = "SELECT run_id, end_date FROM task_instance WHERE dag_id = %s AND state = 'success'"
        return dict(self._ask(query, dag_id))

    def copy(
        self,
        original: Deferred,
        names: Sequence[str],
        arguments: Callable[[int], str],
        *,
        pool: str,
        classpath: str | None = None,
    ) -> None:
        """Multiply a task instance that has deferred, with its DAG run and its trigger.

        The copies are what Airflow itself has stored for the original, with other ids. All appear simultaneously.

        Args:
            original: The task instance.
            names: The ids of the DAG runs of the copies.
            arguments: The arguments of the trigger of each copy, by its place in ``names``.
            pool: The pool of the copies.
            classpath: The class of their trigger; None: that of the original.
        """
        dag_runs, triggers = self._ids("dag_run", len(names)), self._ids("trigger", len(names))
        changed: dict[str, Any] = {"triggerer_id": None} | ({"classpath": classpath} if classpath else {})
        waits = [changed | {"kwargs": arguments(number)} for number in range(len(names))]
        tasks = [
            {"run_id": name, "trigger_id": trigger, "pool": pool} for name, trigger in zip(names, triggers, strict=True)
        ]
        with self._connection:
            self._insert("dag_run", original.dag_run, dag_runs, [{"run_id": name} for name in names])
            self._insert("trigger", original.trigger, triggers, waits)
            self._insert("task_instance", original.task_instance, [str(uuid.uuid4()) for _ in names], tasks)

    def copy_variable(self, key: str, keys: Sequence[str]) -> None:
        """Multiply a Variable."""
        ((row,),) = self._ask("SELECT id FROM variable WHERE key = %s", key)
        self._insert("variable", row, self._ids("variable", len(keys)), [{"key": key} for key in keys])

    def delete_copies(self, prefix: str) -> None:
        """Delete copies with their DAG runs, as if a person had deleted these; Airflow then deletes their triggers."""
        with self._connection, self._connection.cursor() as cursor:
            for table in ("task_instance", "dag_run"):
                cursor.execute(f"DELETE FROM {table} WHERE run_id LIKE %s", (f"{prefix}%",))  # noqa: S608 - ours

    def _ids(self, table: str, count: int) -> list[int]:
        query = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"
        return [row_id for (row_id,) in self._ask(query, table, count)]

    def _insert(self, table: str, row: int | str, ids: Iterable[int | str], changes: Iterable[dict[str, Any]]) -> None:
        # jsonb_populate_record takes all columns that are not changed from the original row.
        statement = sql.SQL(
            "INSERT INTO {table} SELECT copied.* FROM (VALUES %s) AS change (data)"
            " CROSS JOIN {table} original CROSS JOIN LATERAL jsonb_populate_record(original, change.data) copied"
            " WHERE original.id = {row}"
        ).format(table=sql.Identifier(table), row=sql.Literal(row))
        values = [(Json({"id": row_id} | change),) for row_id, change in zip(ids, changes, strict=True)]
        with self._connection.cursor() as cursor:
            execute_values(cursor, statement.as_string(cursor), values, template="(%s::jsonb)", page_size=_BATCH)

    def _ask(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(query, arguments or None)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def _only(pattern: re.Pattern[str], text: str) -> str:
    found: set[str] = set(pattern.findall(text))
    assert len(found) == 1, text
    return found.pop()
