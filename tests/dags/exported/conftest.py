"""A folder of DAG files, and the command that exports native schedules to it."""

from __future__ import annotations

import pytest
from support.airflow.dag_folder import DagFolder
from support.drivers.command_line import CommandLine


@pytest.fixture
def folder(airflow_db, tmp_path):
    """An empty folder for DAG files."""
    return DagFolder(tmp_path)


@pytest.fixture
def export(workspace, folder, monkeypatch, capsys):
    """Export to the folder; the only row."""
    cli = CommandLine(monkeypatch, capsys)

    def run(*options, code=0, to=folder.path, typed=""):
        answer = cli("schedules", "export", "--dag-dir", str(to), "-o", "json", *options, typed=typed)
        assert answer.code == code, answer.err
        (row,) = answer.json
        return row

    return run
