"""Runs commands in this process, as ``python -m aml_provider`` does, against a local workspace."""

from __future__ import annotations

import io
import json
import sys
from typing import Any, NamedTuple

from support.services.recorded_workspace import TOKEN

from aml_provider.__main__ import main

WAIT = ("--wait", "--poll-interval", "0.02")


class Answer(NamedTuple):
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be JSON and nothing else."""
        return json.loads(self.out)


class CommandLine:
    """Call it with a command's arguments; the output is checked for secrets and tracebacks."""

    def __init__(self, monkeypatch, capsys):
        self._monkeypatch, self._capsys = monkeypatch, capsys
        # A command sets all three for its process; the fixture restores them after the test.
        monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
        monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")
        monkeypatch.setenv("AIRFLOW__AZUREML__THROTTLED_BUDGET", "")
        monkeypatch.delenv("AIRFLOW__AZUREML__THROTTLED_BUDGET")

    def __call__(self, *arguments, typed=""):
        self._monkeypatch.setattr(sys, "stdin", io.StringIO(typed) if isinstance(typed, str) else typed)
        self._capsys.readouterr()  # what the local workspace, in this same process, has logged
        code = 0
        try:
            main(arguments)
        except SystemExit as ending:
            code = ending.code
        out, err = self._capsys.readouterr()
        assert TOKEN not in out + err
        assert "Traceback" not in err
        return Answer(code, out, err)

    def submit(self, pipeline, *options):
        """Submit a pipeline to the experiment `work`; the answer is JSON."""
        return self("submit", "--pipeline", pipeline, "--experiment", "work", "-o", "json", *options)

    def started(self, pipeline, *options):
        """Submit a pipeline and return the run's id."""
        return self.submit(pipeline, *options).json["id"]

    def ended(self, pipeline):
        """Submit a pipeline, wait for its end and return the run's id."""
        return self.submit(pipeline, *WAIT).json["id"]
