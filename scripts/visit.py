"""Files and instructions for a person who uses the local services from another terminal."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_workspace import LocalWorkspace

_ROOT = Path(__file__).resolve().parents[1]


def prepare(workspace: LocalWorkspace, folder: Path) -> str:
    """Write files that connect a shell, or an Airflow, to the workspace; returns instructions for them.

    Args:
        workspace: The local workspace.
        folder: Gets the files. Only their owner can read them, as they hold the token.
    """
    shell, saved = write_connection(workspace.connection(), folder)
    return (
        "In another terminal, in this folder:\n\n"
        f"  . {shell.relative_to(_ROOT)}    # the connection azureml_default, and this Python\n"
        "  python -m aml_provider pipelines list\n"
        "  python scripts/put.py incoming/new.csv < FILE\n\n"
        "Into the database of an Airflow of your own:\n\n"
        f"  airflow connections import {saved.relative_to(_ROOT)}\n"
    )


def write_connection(connection: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write a connection as a file for a shell and as one for ``airflow connections import``; returns both files."""
    shell, saved = folder / "environment.sh", folder / "connections.json"
    write_secret(
        shell,
        f"export AIRFLOW_CONN_AZUREML_DEFAULT={shlex.quote(json.dumps(connection))}\n"
        f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"\n',
    )
    write_secret(saved, json.dumps({"azureml_default": {**connection, "extra": json.dumps(connection["extra"])}}))
    return shell, saved


def write_secret(file: Path, text: str) -> None:
    """Write a file that only its owner can read; replaces an existing one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as opened:
        opened.write(text)
