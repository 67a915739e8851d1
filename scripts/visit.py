"""What a person needs to use the local services from another terminal."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local_workspace import LocalWorkspace

_ROOT = Path(__file__).resolve().parents[1]


def prepare(workspace: LocalWorkspace, file: Path) -> str:
    """Write a file for a shell that leads to the workspace; what to do with it, as text.

    Args:
        workspace: The local workspace.
        file: For the owner's eyes only, as the token is in it.
    """
    lines = [
        f"export AIRFLOW_CONN_AZUREML_DEFAULT={shlex.quote(json.dumps(workspace.connection()))}",
        f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"',
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as opened:
        opened.write("".join(f"{line}\n" for line in lines))
    return (
        "In another terminal, in this folder:\n\n"
        f"  . {file.relative_to(_ROOT)}    # the connection azureml_default, and this Python\n"
        "  python -m aml_provider pipelines list\n"
        "  python scripts/put.py incoming/new.csv < FILE\n"
    )
