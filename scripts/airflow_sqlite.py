"""Airflow's metadata database where it is an SQLite file."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def prepare(database: Path) -> None:
    """Make a new database behave more like the databases that people use."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        # Airflow 3 does so itself: readers do not wait for writers.
        connection.execute("PRAGMA journal_mode=WAL")
        _number_triggers_once(connection)


def writer(database: Path) -> int | None:
    """The process that holds the database's lock for writing; None if nobody does, or there is no such database."""
    try:
        index = Path(f"{database}-shm").stat().st_ino
    except FileNotFoundError:  # nobody uses it at this moment
        return None
    for line in Path("/proc/locks").read_text().splitlines():
        match line.split():
            # The byte of the lock for writing, as SQLite's documentation of its WAL index has it.
            case [_, "POSIX", _, "WRITE", pid, file, "120", "120"] if file.endswith(f":{index}"):
                return int(pid)
    return None


@contextlib.contextmanager
def locked(database: Path) -> Iterator[None]:
    """Block all writers meanwhile."""
    with contextlib.closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


def _number_triggers_once(connection: sqlite3.Connection) -> None:
    """Give no trigger the number of a deleted one, as on the databases that people use.

    SQLite's own numbering reuses them, and Airflow then delivers a late event of the old trigger to the new one's task.
    """
    found = connection.execute("SELECT sql FROM sqlite_master WHERE tbl_name = 'trigger' ORDER BY type DESC")
    table, *indices = [sql for (sql,) in found if sql]
    numbered, changes = re.subn(r"\bid INTEGER NOT NULL", "id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL", table)
    numbered, removals = re.subn(r"CONSTRAINT trigger_pkey PRIMARY KEY \(id\),?", "", numbered)
    assert (changes, removals) == (1, 1), table
    connection.execute("DROP TABLE trigger")
    for sql in [re.sub(r",\s*\)$", "\n)", numbered), *indices]:
        connection.execute(sql)
    connection.commit()
