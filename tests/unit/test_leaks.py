"""The demo's search for secrets: it must find what is there, or "none" means nothing."""

from __future__ import annotations

import json
import sqlite3

import pytest
from cryptography.fernet import Fernet
from leaks import Leak, LeakSearch

KEY = "Ab+/cd=="
NAME = "the key"
SIGNATURE = "an unmasked SAS signature"


@pytest.fixture
def search():
    return LeakSearch({NAME: KEY})


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (f"key {KEY}.", [NAME]),
        ("AccountKey=Ab%2B%2Fcd%3D%3D", [NAME]),
        (json.dumps({"key": KEY}), [NAME]),
        ("https://host/c?sv=1&sig=AbCdEfGh%2F1&se=2", [SIGNATURE]),
        ("url=https%3A%2F%2Fhost%3Fsig%3DAbCdEfGh12", [SIGNATURE]),
        ("https://host/c?sv=1&SIG=AbCdEfGh12", [SIGNATURE]),
        ("https://host/c?sig=***&se=2 and sig%3D***", []),
        ("design=AbCdEfGh12 Ab+/cd", []),
    ],
)
def test_secrets_are_found_in_files_in_every_spelling(search, tmp_path, content, found):
    (tmp_path / "deep").mkdir()
    path = tmp_path / "deep" / "a.log"
    path.write_bytes(b"\xff\x00" + content.encode())
    (tmp_path / "other.log").write_text("nothing")
    search.read_files(tmp_path)
    assert search.leaks == [Leak(name, str(path)) for name in found]
    assert search.files == 2


@pytest.mark.parametrize("value", [f"text {KEY}", f"blob {KEY}".encode()])
def test_secrets_are_found_in_a_database_once(search, tmp_path, value):
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as database:
        database.execute('CREATE TABLE "order" (n INTEGER, value BLOB)')
        database.executemany('INSERT INTO "order" VALUES (?, ?)', [(1, None), (2, value), (3, "x")])
    database.close()
    search.read_database(path)
    search.read_database(path)
    assert search.leaks == [Leak(NAME, f"table order of {path}")] * 2
    assert search.rows == {"order": 6}


def test_what_airflow_encrypts_is_searched_too_except_where_it_keeps_secrets(tmp_path):
    key = Fernet.generate_key()
    fernet = Fernet(key)
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as database:
        for table, value in (
            ("variable", fernet.encrypt(f"a {KEY}".encode()).decode()),
            ("xcom", json.dumps({"x": fernet.encrypt(KEY.encode()).decode()})),
            ("job", Fernet(Fernet.generate_key()).encrypt(KEY.encode()).decode()),
            ("connection", fernet.encrypt(KEY.encode()).decode()),
        ):
            database.execute(f"CREATE TABLE {table} (value TEXT)")
            database.execute(f"INSERT INTO {table} VALUES (?)", (value,))
    database.close()
    search = LeakSearch({NAME: KEY}, fernet_key=key)
    search.read_database(path)
    assert search.leaks == [Leak(NAME, f"table {table} of {path}") for table in ("variable", "xcom")]


def test_a_connection_in_clear_is_a_leak(search, tmp_path):
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE connection (password TEXT)")
        database.execute("INSERT INTO connection VALUES (?)", (KEY,))
    database.close()
    search.read_database(path)
    assert search.leaks == [Leak(NAME, f"table connection of {path}")]
