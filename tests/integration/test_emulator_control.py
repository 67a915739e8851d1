"""What surrounds the emulated services: tokens, faults, request log, clock, file, command line."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest

from aml_provider.emulator.server import EmulatorServer

SCOPE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
PIPELINES, HISTORY, DATASTORES = (f"/{name}/v1.0{SCOPE}" for name in ("pipelines", "history", "datastore"))
SCORE = "10000000-0000-4000-8000-000000000001"
TWIN = "10000000-0000-4000-8000-000000000004"
SUBMIT = f"{PIPELINES}/PipelineRuns/PipelineSubmit/{TWIN}"
BODY = {"ExperimentName": "exp"}


def client_of(emulator, token="t"):
    return httpx.Client(base_url=emulator.url, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture
def emulator():
    with EmulatorServer() as running:
        running.clock.hold()
        yield running


@pytest.fixture
def api(emulator):
    with client_of(emulator) as client:
        yield client


def runs(api):
    return api.get("/_emulator/runs").json()["runs"]


class TestTokens:
    @pytest.mark.parametrize(
        ("path", "where"),
        [
            (f"{PIPELINES}/Pipelines", ("Error", "Message")),
            (f"{HISTORY}/runs/x", ("error", "message")),
            (f"{DATASTORES}/datastores", ("error", "message")),
            (SCOPE, ("error", "message")),
        ],
    )
    @pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer"}])
    def test_some_token_is_needed(self, emulator, path, where, headers):
        reply = httpx.get(emulator.url + path, headers=headers)
        assert reply.status_code == 401
        assert "bearer token" in reply.json()[where[0]][where[1]]

    def test_one_token_only(self):
        with EmulatorServer(token="right") as emulator:
            assert httpx.get(f"{emulator.url}/discovery").status_code == 200
            with client_of(emulator, "wrong") as api:
                assert api.get(f"{PIPELINES}/Pipelines").status_code == 401
            with client_of(emulator, "right") as api:
                assert api.get(f"{PIPELINES}/Pipelines").status_code == 200
            assert "right" not in json.dumps(emulator.requests())

    def test_the_control_api_may_have_a_token(self):
        with EmulatorServer(control_token="control") as emulator:
            assert httpx.get(f"{emulator.url}/_emulator/runs").status_code == 401
            with client_of(emulator, "control") as api:
                assert runs(api) == []

    def test_the_control_api_answers_to_this_machine_only(self):
        address = _address_of_this_machine()
        with EmulatorServer(host="0.0.0.0") as emulator:
            url = emulator.url.replace("0.0.0.0", address)
            assert httpx.get(f"{url}/discovery").status_code == 200
            assert httpx.get(f"{url}/_emulator/runs").status_code == 403


def _address_of_this_machine():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing; it only finds the address that a packet to there would come from.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address than loopback")
        return probe.getsockname()[0]


class TestUnknownRoutes:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("DELETE", f"{PIPELINES}/Schedules/x"),
            ("POST", f"{PIPELINES}/Pipelines"),
            ("GET", f"{PIPELINES}/pipelines"),
            ("GET", f"{HISTORY}/nothing"),
            ("GET", f"/mlflow/v1.0{SCOPE}/x"),
            ("GET", "/nothing"),
        ],
    )
    def test_are_named(self, api, method, path):
        reply = api.request(method, path)
        assert reply.status_code == 501
        assert f"{method} {path}" in reply.text


class TestRequestLog:
    def test_entries(self, emulator, api):
        api.post(f"{SUBMIT}?parentRunId=x&a=1&a=2", json=BODY)
        api.get(f"{DATASTORES}/datastores/workspaceblobstore")
        first, second = api.get("/_emulator/requests").json()["requests"]
        assert (first["n"], first["method"], first["path"], first["status"]) == (1, "POST", SUBMIT, 400)
        assert first["query"] == [["parentRunId", "x"], ["a", "1"], ["a", "2"]]
        assert first["body"] == BODY
        assert first["headers"]["authorization"] == "Bearer ***"
        assert second["body"] is None
        found = api.get("/_emulator/requests", params={"method": "get", "path_contains": "datastores"}).json()
        assert found == {"requests": [second]}
        assert api.delete("/_emulator/requests").json() == {"cleared": 2}
        assert emulator.requests() == []

    def test_signatures_are_hidden_from_the_access_log(self, emulator, api, caplog):
        with caplog.at_level("INFO", "aml_provider.emulator.gateway"):
            api.get("/_content/c/p?sv=1&sig=SECRET")
        assert "sig=***" in caplog.text
        assert "SECRET" not in caplog.text + json.dumps(emulator.requests())


class TestClock:
    def test_drive(self, api, emulator):
        before = api.get("/_emulator/clock").json()
        assert before["held"]
        run_id = api.post(SUBMIT, json=BODY).json()["Id"]
        after = api.post("/_emulator/clock", json={"advance": 60}).json()
        assert after["now"] > before["now"]
        assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["Status"]["StatusCode"] == "Finished"
        assert api.post("/_emulator/clock", json={"held": False, "speed": 5}).json()["speed"] == 5
        assert not emulator.clock.held

    @pytest.mark.parametrize("body", [{"advance": -1}, {"advance": "1"}, {"hold": True}, {"speed": 0}, 5])
    def test_nonsense_is_refused(self, api, body):
        assert api.post("/_emulator/clock", json=body).status_code == 400

    def test_reset(self, api, emulator):
        api.put(f"{PIPELINES}/Pipelines/{TWIN}/status", json="Disabled")
        api.post(SUBMIT, json=BODY)
        emulator.clock.advance(1e6)
        emulator.faults.add("drop")
        assert api.post("/_emulator/reset").json() == {"reset": True}
        assert runs(api) == []
        assert emulator.requests() == []
        assert not emulator.clock.held
        assert api.get(f"{PIPELINES}/Pipelines/{TWIN}").json()["EntityStatus"] == "Active"


class TestServer:
    def test_nothing_is_left_behind(self):
        before = set(threading.enumerate())
        with EmulatorServer() as emulator, client_of(emulator) as api:
            api.get("/discovery")
        assert set(threading.enumerate()) <= before
        with pytest.raises(httpx.ConnectError):
            httpx.get(emulator.url)

    def test_a_port_that_is_taken(self, emulator):
        port = int(emulator.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            EmulatorServer(port=port)

    def test_the_state_survives_in_a_file(self, tmp_path):
        path = tmp_path / "state.json"
        with EmulatorServer(state_file=path) as emulator, client_of(emulator) as api:
            emulator.clock.advance(1000)
            run_id = api.post(SUBMIT, json=BODY).json()["Id"]
            assert run_id in path.read_text()
            emulator.clock.advance(60)
            time = emulator.clock.now()
        with EmulatorServer(state_file=path, seed="none") as emulator, client_of(emulator) as api:
            assert emulator.clock.now() >= time
            assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["Status"]["StatusCode"] == "Finished"


@contextlib.contextmanager
def command_line(*arguments):
    command = [sys.executable, "-m", "aml_provider.emulator", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


class TestCommandLine:
    def test_serves_until_it_is_stopped(self, tmp_path):
        state = tmp_path / "state.json"
        with command_line("--state", str(state), "--quirk", "int_enums", "--token", "TOKEN") as (process, line):
            url = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", line)[1]
            reply = httpx.get(f"{url}{PIPELINES}/Pipelines?sig=SECRET", headers={"Authorization": "Bearer TOKEN"})
            assert {item["EntityStatus"] for item in reply.json()} == {0, 2}
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
            assert process.returncode == 0
        assert "sig=***" in errors
        assert "SECRET" not in errors
        assert "TOKEN" not in errors
        assert json.loads(state.read_text())["pipelines"]

    @pytest.mark.parametrize(
        ("arguments", "token", "control"),
        [((), "from-a", "from-b"), (("--token", "mine", "--control-token", "my-own"), "mine", "my-own")],
    )
    def test_tokens_may_come_from_the_environment(self, monkeypatch, arguments, token, control):
        monkeypatch.setenv("AML_EMULATOR_TOKEN", "from-a")
        monkeypatch.setenv("AML_EMULATOR_CONTROL_TOKEN", "from-b")
        with command_line("--seed", "none", *arguments) as (process, line):
            url = line.split()[-1]

            def status(path, bearer):
                return httpx.get(url + path, headers={"Authorization": f"Bearer {bearer}"}).status_code

            assert [status(f"{PIPELINES}/Pipelines", bearer) for bearer in (token, "other")] == [200, 401]
            assert [status("/_emulator/runs", bearer) for bearer in (control, token)] == [200, 401]
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=30)
        assert not any(secret in errors for secret in (token, control))

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--quirk", "nonsense"], "nonsense"),
            (["--seed", "missing.yaml"], "missing.yaml: No such file or directory"),
            (["--speed", "0"], "speed"),
        ],
        ids=str,
    )
    def test_says_what_is_wrong(self, arguments, said):
        with command_line(*arguments) as (process, line):
            _, errors = process.communicate(timeout=30)
            assert (line, process.returncode) == ("", 2)
            assert said in errors
            assert "Traceback" not in errors

    def test_says_which_port_is_taken(self, emulator):
        port = emulator.url.rpartition(":")[2]
        with command_line("--port", port) as (process, _):
            _, errors = process.communicate(timeout=30)
        assert errors == f"port {port} of 127.0.0.1 is in use; --port 0 takes a free one\n"

    def test_without_its_extra_says_what_to_install(self):
        # As if it were not there: the finder of modules is told so before anything is imported.
        program = "import sys; sys.modules['uvicorn'] = None; import aml_provider.emulator.__main__"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "install this package with its extra 'emulator'" in done.stderr
        assert "Traceback" not in done.stderr
