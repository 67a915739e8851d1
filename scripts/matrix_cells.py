"""The cells of the matrix: which Airflow, with which other packages, on which Python."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "requirements" / "matrix"


@dataclass(frozen=True)
class Lock:
    """One file of locked requirements.

    Args:
        name: The name of the file, and how the names of its cells begin.
        airflow: The version of Airflow.
        pythons: The versions of Python that this Airflow takes.
        as_of: The day from which the other packages are; None: today.
        resolution: The strategy of uv.
        constraints: A file of pins in the same folder.
        beside: More packages to install.
    """

    name: str
    airflow: str
    pythons: tuple[str, ...]
    as_of: date | None = None
    resolution: str = "highest"
    constraints: str | None = None
    beside: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The file."""
        return FOLDER / f"{self.name}.txt"

    @property
    def until(self) -> datetime | None:
        """The end of that day."""
        if self.as_of is None:
            return None
        return datetime.combine(self.as_of + timedelta(days=1), time(), UTC)


@dataclass(frozen=True)
class Cell:
    """A lock on a Python.

    Args:
        lock: The lock.
        python: The version of Python, such as ``3.12``.
    """

    lock: Lock
    python: str

    @property
    def name(self) -> str:
        """Its name in commands and tables, such as ``3.1-py312``."""
        return f"{self.lock.name}-py{self.python.replace('.', '')}"


def locks() -> list[Lock]:
    """All locks, in the order of the file."""
    described: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "cells.toml").read_text(encoding="utf-8"))
    found = []
    for name, fields in described.items():
        values: dict[str, Any] = {key: tuple(it) if isinstance(it, list) else it for key, it in fields.items()}
        found.append(Lock(name=name, **values))
    return found


def cells(wanted: str = "") -> list[Cell]:
    """The cells with one of these names, or all.

    Args:
        wanted: Names of cells or of locks, separated by spaces or commas. Empty: all cells.

    Raises:
        ValueError: There is no such cell.
    """
    every = [Cell(lock, python) for lock in locks() for python in lock.pythons]
    names = [name for name in re.split(r"[\s,]+", wanted) if name]
    for name in names:
        if not any(name in {cell.name, cell.lock.name} for cell in every):
            raise ValueError(f"there is no cell {name!r}; the cells are {', '.join(cell.name for cell in every)}")
    return [cell for cell in every if not names or {cell.name, cell.lock.name} & set(names)]
