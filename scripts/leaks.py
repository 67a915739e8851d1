"""A search for secrets that leaked into files or into any row of an SQLite database."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from cryptography.fernet import Fernet, InvalidToken

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

# Airflow's table for secrets. It encrypts them there, if it has a key.
_SAFE_TABLE = "connection"
_ENCRYPTED = re.compile(rb"gAAAAA[A-Za-z0-9_-]{64,}={0,2}")
# A signature of a SAS, plain or as part of another URL, unless it is masked.
_SIGNATURE = re.compile(rb"(?i)(?:\b|%3F|%26)sig(?:=|%3D)(?!\*\*\*)[A-Za-z0-9%+/]{8}")

_SIGNATURE_NAME = "an unmasked SAS signature"


class Leak(NamedTuple):
    """A secret's name and where it was found."""

    secret: str
    place: str


class LeakSearch:
    """Searches for secrets, and counts what it has read.

    Args:
        secrets: Their values by name.
        fernet_key: The key with which Airflow encrypts variables and connections. Encrypted values are searched too,
            except in the table of connections, which is meant for secrets.

    Attributes:
        secrets: The names of the secrets that are searched for.
        files: How many files were read.
        rows: How many rows were read, by table.
        leaks: What was found.
    """

    def __init__(self, secrets: Mapping[str, str], *, fernet_key: bytes | None = None) -> None:
        self._needles = [
            (name, form.encode()) for name, value in secrets.items() for form in {value, quote(value, safe="")}
        ]
        self._fernet = Fernet(fernet_key) if fernet_key is not None else None
        self.secrets = [*secrets, _SIGNATURE_NAME]
        self.files = 0
        self.rows: dict[str, int] = {}
        self.leaks: list[Leak] = []

    def read_files(self, folder: Path) -> None:
        """Search all files below a folder, as bytes."""
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                self.files += 1
                self._search(path.read_bytes(), str(path))

    def read_database(self, path: Path) -> None:
        """Search each value of each row; others may write meanwhile."""
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
            tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - the database's own names
                    self.rows[table] = self.rows.get(table, 0) + 1
                    content = b"\n".join(_bytes(row))
                    if table != _SAFE_TABLE:
                        content += b"\n".join(self._decrypted(content))
                    self._search(content, f"table {table} of {path}")

    def _decrypted(self, content: bytes) -> Iterable[bytes]:
        if self._fernet is not None:
            for found in _ENCRYPTED.findall(content):
                with contextlib.suppress(InvalidToken):
                    yield self._fernet.decrypt(found)

    def _search(self, content: bytes, place: str) -> None:
        found = {name for name, needle in self._needles if needle in content}
        if _SIGNATURE.search(content):
            found.add(_SIGNATURE_NAME)
        self.leaks += [Leak(name, place) for name in sorted(found)]


def _bytes(row: Iterable[object]) -> Iterable[bytes]:
    for value in row:
        if isinstance(value, bytes):
            yield value
        elif isinstance(value, str):
            yield value.encode()
