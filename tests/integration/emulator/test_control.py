"""Everything around the emulated services: tokens, request log, clock, state file, command line."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest

from aml_provider.emulator.clock import LAST_INSTANT
from aml_provider.emulator.seeds.shape import SeedError
from aml_provider.emulator.server import EmulatorServer

SCOPE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
PIPELINES, HISTORY, DATASTORES = (f"/{name}/v1.0{SCOPE}" for name in ("pipelines", "history", "datastore"))
SCORE = "10000000-0000-4000-8000-000000000001"
TWIN = "10000000-0000-4000-8000-000000000004"
SUBMIT = f"{PIPELINES}/PipelineRuns/PipelineSubmit/{TWIN}"
BODY = {"ExperimentName": "exp"}
AS_JSON = {"Content-Type": "application/json"}
HUGE = "9" * 400
NO_NUMBERS = ["1e300", "-1e300", "-1", "NaN", "Infinity", "-Infinity", "1e999", HUGE, '"1"', "true", "null", "[]", "{}"]


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
    def test_a_call_needs_a_token(self, emulator, path, where, headers):
        reply = httpx.get(emulator.url + path, headers=headers)
        assert reply.status_code == 401
        assert "bearer token" in reply.json()[where[0]][where[1]]

    def test_only_the_given_token_is_accepted(self):
        with EmulatorServer(token="right") as emulator:
            assert httpx.get(f"{emulator.url}/discovery").status_code == 200
            with client_of(emulator, "wrong") as api:
                assert api.get(f"{PIPELINES}/Pipelines").status_code == 401
            with client_of(emulator, "right") as api:
                assert api.get(f"{PIPELINES}/Pipelines").status_code == 200
            assert "right" not in json.dumps(emulator.requests())

    def test_the_control_api_can_have_a_token(self):
        with EmulatorServer(control_token="control") as emulator:
            assert httpx.get(f"{emulator.url}/_emulator/runs").status_code == 401
            with client_of(emulator, "control") as api:
                assert runs(api) == []

    def test_the_control_api_answers_only_to_this_machine(self):
        address = _address_of_this_machine()
        with EmulatorServer(host="0.0.0.0") as emulator:
            url = emulator.url.replace("0.0.0.0", address)
            assert httpx.get(f"{url}/discovery").status_code == 200
            assert httpx.get(f"{url}/_emulator/runs").status_code == 403


def _address_of_this_machine():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Sends nothing; it only finds the source address of a packet to that address.
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
    def test_the_reply_names_an_unknown_route(self, api, method, path):
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
        with caplog.at_level("INFO", "aml_provider.emulator.serving.middleware"):
            api.get("/_content/c/p?sv=1&sig=SECRET")
        assert "sig=***" in caplog.text
        assert "SECRET" not in caplog.text + json.dumps(emulator.requests())

    def test_a_path_cannot_write_control_characters_to_the_terminal(self, emulator, api, caplog):
        with caplog.at_level("INFO", "aml_provider.emulator.serving.middleware"):
            api.get("/no%0Athing%1B%5B2J")
            api.get("/no%0Athing%1B%5B2J", headers={"Origin": "http://evil.example"})
        assert [record.getMessage().split(": ")[0] for record in caplog.records if "thing" in record.getMessage()] == [
            "GET /no%0Athing%1B%5B2J 501",
            "GET /no%0Athing%1B%5B2J 403",
        ]


class TestClock:
    def test_hold_advance_and_release(self, api, emulator):
        before = api.get("/_emulator/clock").json()
        assert before["held"]
        run_id = api.post(SUBMIT, json=BODY).json()["Id"]
        after = api.post("/_emulator/clock", json={"advance": 60}).json()
        assert after["now"] > before["now"]
        assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["Status"]["StatusCode"] == "Finished"
        assert api.post("/_emulator/clock", json={"held": False, "speed": 5}).json()["speed"] == 5
        assert not emulator.clock.held

    @pytest.mark.parametrize(
        "body",
        [
            *(f'{{"{key}": {value}}}' for key in ("advance", "speed") for value in NO_NUMBERS),
            '{"advance": 0}',
            '{"advance": 31622401}',
            '{"speed": 0}',
            '{"speed": 1000001}',
            '{"held": 1}',
            '{"held": null}',
            '{"hold": true}',
            '{"held": false, "speed": 5, "advance": 1e300}',
            "5",
            "[]",
            "null",
        ],
    )
    def test_invalid_settings_are_refused_and_change_nothing(self, api, emulator, body):
        before = api.get("/_emulator/clock").json()
        reply = api.post("/_emulator/clock", content=body, headers=AS_JSON)
        assert (reply.status_code, len(reply.text) < 1500) == (400, True), reply.text
        assert api.get("/_emulator/clock").json() == before
        assert emulator.clock.held
        assert api.get("/runs").status_code == 200

    @pytest.mark.parametrize("value", [0.001, 31622400, 60])
    def test_valid_settings(self, api, value):
        assert api.post("/_emulator/clock", json={"advance": value}).status_code == 200

    def test_the_clock_ends_with_2199_and_everything_still_works(self, api, emulator):
        emulator.clock.not_before(LAST_INSTANT - 5)
        run_id = api.post(SUBMIT, json=BODY).json()["Id"]
        end = "2200-01-01T00:00:00.0000000Z"
        assert api.post("/_emulator/clock", json={"advance": 31622400}).json()["now"] == end
        emulator.clock.set(held=False, speed=1e6)
        assert api.get("/_emulator/clock").json()["now"] == end
        assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["Status"]["StatusCode"] == "Finished"
        assert [api.get(path).status_code for path in ("/", f"/runs/{run_id}", "/_emulator/runs")] == [200] * 3
        assert api.post("/_emulator/reset").status_code == 200
        assert not emulator.clock.now() > time.time() + 60

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


class TestNumbers:
    @pytest.mark.parametrize("value", NO_NUMBERS)
    @pytest.mark.parametrize(("kind", "key"), [("delay", "seconds"), ("slow", "seconds"), ("status", "status")])
    def test_invalid_numbers_in_faults(self, api, kind, key, value):
        reply = api.post("/_emulator/faults", content=f'{{"kind": "{kind}", "{key}": {value}}}', headers=AS_JSON)
        assert (reply.status_code, len(reply.text) < 1500) == (400, True), reply.text
        assert api.get("/_emulator/faults").json() == {"faults": []}

    @pytest.mark.parametrize("value", [value for value in NO_NUMBERS if value != HUGE])
    @pytest.mark.parametrize("key", ["times", "after"])
    def test_invalid_numbers_of_requests_in_faults(self, api, key, value):
        self.test_invalid_numbers_in_faults(api, "drop", key, value)

    @pytest.mark.parametrize("value", [HUGE, "1e300", "0"])
    def test_any_retry_after_is_sent(self, api, value):
        body = f'{{"kind": "status", "retry_after": {value}}}'
        assert api.post("/_emulator/faults", content=body, headers=AS_JSON).status_code == 200
        reply = api.get(f"{PIPELINES}/Pipelines")
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, str(json.loads(value)))

    @pytest.mark.parametrize("value", ["-1", "1e3", "1.5", "1001", "9" * 5000, "x", "", "²"])
    def test_invalid_counts_of_schedules(self, api, value):
        reply = api.get("/_emulator/schedules", params={"count": value})
        assert (reply.status_code, len(reply.text) < 1500) == (400, True)
        assert "count is a whole number from 0 to 1000" in reply.text


class TestServer:
    def test_a_stopped_server_leaves_no_threads_or_sockets(self):
        before = set(threading.enumerate())
        with EmulatorServer() as emulator, client_of(emulator) as api:
            api.get("/discovery")
        assert set(threading.enumerate()) <= before
        with pytest.raises(httpx.ConnectError):
            httpx.get(emulator.url)

    def test_a_port_in_use_is_an_error(self, emulator):
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
            _, errors = process.communicate(timeout=240)
            assert process.returncode == 0
        assert "sig=***" in errors
        assert "SECRET" not in errors
        assert "TOKEN" not in errors
        assert json.loads(state.read_text())["pipelines"]

    @pytest.mark.parametrize(
        ("arguments", "token", "control"),
        [((), "from-a", "from-b"), (("--token", "mine", "--control-token", "my-own"), "mine", "my-own")],
    )
    def test_tokens_can_come_from_the_environment(self, monkeypatch, arguments, token, control):
        monkeypatch.setenv("AML_EMULATOR_TOKEN", "from-a")
        monkeypatch.setenv("AML_EMULATOR_CONTROL_TOKEN", "from-b")
        with command_line("--seed", "none", *arguments) as (process, line):
            url = line.split()[-1]

            def status(path, bearer):
                return httpx.get(url + path, headers={"Authorization": f"Bearer {bearer}"}).status_code

            assert [status(f"{PIPELINES}/Pipelines", bearer) for bearer in (token, "other")] == [200, 401]
            assert [status("/_emulator/runs", bearer) for bearer in (control, token)] == [200, 401]
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=240)
        assert not any(secret in errors for secret in (token, control))

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--quirk", "nonsense"], "nonsense"),
            (["--seed", "missing.yaml"], "missing.yaml: No such file or directory"),
            *(
                ([f"--speed={value}"], "speed is a number from 1e-06 to 1,000,000")
                for value in ("inf", "nan", "-1", "1e300")
            ),
            (["--quirk", "history_lag=1e300"], "quirk history_lag is a number of seconds from 0 to 31622400"),
            (["--quirk", "provisioning=nan"], "quirk provisioning is a number of seconds from 0 to 31622400"),
            (["--port", "65536"], "port is a whole number from 0 to 65535"),
            (["--port=-1"], "port is a whole number from 0 to 65535"),
            (["--host", "no.such.host.invalid"], "no.such.host.invalid"),
            (["--allowed-host", "http://a:1"], "'http://a:1' is not the name or address of a machine"),
            (["--host", "[::1]"], "'[::1]' is not the name or address of a machine"),
            *(
                ([f"--token={value}"], "the token must be ASCII")
                for value in ("", " ", "a b", " a", "pässe", "a\n", "\a")
            ),
            (["--control-token="], "the control token must be ASCII"),
            (["--state", "missing/state.json"], "missing: No such file or directory"),
        ],
        ids=str,
    )
    def test_the_error_says_what_is_wrong(self, arguments, said):
        with command_line(*arguments) as (process, line):
            _, errors = process.communicate(timeout=240)
            assert (line, process.returncode) == ("", 2)
            assert said in errors
            assert "Traceback" not in errors

    @pytest.mark.parametrize("value", ["1e300", "-1", "NaN", "Infinity", '"x"', "true", "9" * 400, "7258118401"])
    def test_the_error_names_the_broken_clock_of_a_state_file(self, tmp_path, value):
        state = tmp_path / "state.json"
        state.write_text(f'{{"clock": {value}, "location": "eastus"}}')
        with pytest.raises(SeedError, match=re.escape(f"{state}, line 1: clock is")):
            EmulatorServer(state_file=state)

    def test_a_state_file_without_a_clock_starts_at_real_time(self, tmp_path):
        state = tmp_path / "state.json"
        state.write_text('{"clock": null}')
        with EmulatorServer(state_file=state) as emulator:
            assert abs(emulator.clock.ahead()) < 60

    def test_allowed_hosts_can_come_from_the_environment(self, monkeypatch):
        monkeypatch.setenv("AML_EMULATOR_ALLOWED_HOSTS", "workspace, host.docker.internal")
        with command_line("--seed", "none") as (_, line):
            for host, status in (("workspace:1", 200), ("host.docker.internal", 200), ("evil.example", 421)):
                assert httpx.get(line.split()[-1], headers={"Host": host}).status_code == status

    def test_the_error_names_the_port_in_use(self, emulator):
        port = emulator.url.rpartition(":")[2]
        with command_line("--port", port) as (process, _):
            _, errors = process.communicate(timeout=240)
        assert errors == f"port {port} of 127.0.0.1 is in use; --port 0 uses a free one\n"

    def test_without_its_extra_the_error_says_what_to_install(self):
        # None in sys.modules makes every import of the module fail.
        program = "import sys; sys.modules['uvicorn'] = None; import aml_provider.emulator.__main__"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "install this package with its extra 'emulator'" in done.stderr
        assert "Traceback" not in done.stderr
