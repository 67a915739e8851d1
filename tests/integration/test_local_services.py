"""``make workspace``: what it says leads a person to the local workspace and its blobs, and nothing outlives it."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def services():
    command = [sys.executable, str(ROOT / "scripts" / "workspace.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process, end):
    lines = []
    while not lines or end not in lines[-1]:
        line = process.stdout.readline()
        assert line, lines
        lines.append(line)
    return "".join(lines)


def test_another_terminal_finds_everything_and_nothing_is_left(services):
    said = read_until(services, "Ctrl-C")
    (url,) = re.findall(r"Workspace +(\S+)", said)
    (file,) = re.findall(r"\. (\S+environment\.sh)", said)
    assert stat.S_IMODE((ROOT / file).stat().st_mode) == 0o600

    def shell(line, text=""):
        command = ["sh", "-c", f". {file}; {line}"]
        # In its test mode Airflow logs to standard output when it is loaded.
        environment = {name: value for name, value in os.environ.items() if name != "AIRFLOW__CORE__UNIT_TEST_MODE"}
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, cwd=ROOT, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "score-files" in shell("python -m aml_provider pipelines list")
    shell("python scripts/put.py incoming/new.csv", "item,amount\na,1.5\nb,2\n")
    submit = "python -m aml_provider submit --pipeline score-files --experiment e"
    said = shell(f"{submit} --data-path input_datapath=workspaceblobstore/incoming/new.csv --wait")
    assert "Finished" in said
    services.send_signal(signal.SIGINT)
    assert services.wait(timeout=30) == 0
    assert not (ROOT / file).parent.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)
