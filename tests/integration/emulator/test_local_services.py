"""``make workspace``: its output leads a person to the workspace and its blobs, and nothing outlives it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import workspace
from airflow.secrets.local_filesystem import load_connections_dict

ROOT = Path(__file__).resolve().parents[3]


@contextlib.contextmanager
def serving(port):
    command = [sys.executable, str(ROOT / "scripts" / "workspace.py"), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def services():
    with serving(0) as process:
        yield process


def read_until(process, end):
    lines = []
    while not lines or end not in lines[-1]:
        line = process.stdout.readline()
        assert line, lines
        lines.append(line)
    return "".join(lines)


def test_another_terminal_can_use_the_workspace_and_nothing_is_left(services):
    said = read_until(services, "Ctrl-C")
    (url,) = re.findall(r"Workspace +(\S+)", said)
    (file,) = re.findall(r"\. (\S+environment\.sh)", said)
    secret = [ROOT / file, (ROOT / file).with_name("connections.json"), ROOT / ".cache/workspace/token"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in secret] == [0o600] * 3

    def shell(line, text=""):
        command = ["sh", "-c", f". {file}; {line}"]
        # In its test mode Airflow logs to standard output when it is imported.
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
    assert services.wait(timeout=240) == 0
    assert not (ROOT / file).parent.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


@contextlib.contextmanager
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


# Below the ports that systems give to connections and to servers that ask for any: nobody takes one of these by chance.
PORTS = range(10_000, 30_000, 2)


def pair_of_free_ports():
    """A free port whose next one is free too, and stays so while its server is restarted."""
    first = os.getpid() % len(PORTS)
    for port in [*PORTS[first:], *PORTS[:first]]:
        if workspace._is_free(port) and workspace._is_free(port + 1):
            return port
    raise AssertionError("no free ports")


def test_a_saved_connection_works_after_a_restart():
    port = pair_of_free_ports()
    saved = []
    for _ in range(2):
        with serving(port) as process:
            said = read_until(process, "Ctrl-C")
            (file,) = re.findall(r"airflow connections import (\S+)", said)
            saved.append(load_connections_dict(str(ROOT / file))["azureml_default"])
            extra = saved[0].extra_dejson
            assert (extra["endpoint"], f":{port + 1}/" in extra["blob_endpoint"]) == (f"http://127.0.0.1:{port}", True)
            headers = {"Authorization": f"Bearer {saved[0].password}"}
            assert httpx.get(f"{extra['endpoint']}/subscriptions", headers=headers, trust_env=False).status_code == 200
            assert httpx.get(f"{extra['blob_endpoint']}?comp=list", trust_env=False).status_code == 403
            commands = [entry / "cmdline" for entry in Path("/proc").iterdir() if entry.name.isdigit()]
            assert not any(saved[0].password.encode() in _content(path) for path in commands)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=240) == 0
    assert saved[0].get_uri() == saved[1].get_uri()
    assert saved[0].conn_type == "azureml"


def test_only_one_of_several_simultaneous_starts_succeeds():
    port = pair_of_free_ports()
    with serving(port) as one, serving(port) as other, serving(port) as third:
        results = [process.stdout.readline() for process in (one, other, third)]
        (served,) = [process for process, line in zip((one, other, third), results, strict=True) if line]
        for process in {one, other, third} - {served}:
            _, errors = process.communicate(timeout=240)
            assert (process.returncode, errors.startswith(f"port {port} is in use")) == (2, True), errors
        (file,) = re.findall(r"airflow connections import (\S+)", read_until(served, "Ctrl-C"))
        extra = load_connections_dict(str(ROOT / file))["azureml_default"].extra_dejson
        assert httpx.get(extra["endpoint"], trust_env=False).status_code == 200
        served.send_signal(signal.SIGTERM)
        assert served.wait(timeout=240) == 0
        assert not (ROOT / file).parent.exists()


def _content(path):
    try:
        return path.read_bytes()
    except OSError:
        # The process has ended meanwhile.
        return b""


def test_the_token_can_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("AML_EMULATOR_TOKEN", "my-own")
    with serving(0) as process:
        (file,) = re.findall(r"airflow connections import (\S+)", read_until(process, "Ctrl-C"))
        assert json.loads((ROOT / file).read_text())["azureml_default"]["password"] == "my-own"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=240) == 0


def test_the_error_names_the_port_in_use():
    with taken_port() as port, serving(port) as process:
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 2
    assert errors == f"port {port} is in use, and PORT={port} needs {port} and {port + 1}; PORT=0 uses free ports\n"


def test_free_ports_are_used_if_the_default_port_is_in_use(monkeypatch, capsys):
    with taken_port() as port:
        # The default port may be in use by the person who runs this test.
        monkeypatch.setattr(workspace, "_PORT", port)
        ports = workspace._ports("")
    assert port not in ports
    assert f"The default port {port} is in use" in capsys.readouterr().out


@pytest.mark.parametrize("wish", ["65535", "-1", "x", "8700 8701", "1e3", "٣", "9" * 5000])
def test_an_invalid_port_is_refused(wish):
    with pytest.raises(ValueError, match="PORT is a whole number from 0 to 65534, not"):
        workspace._ports(wish)
