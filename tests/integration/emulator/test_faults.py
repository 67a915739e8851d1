"""Every kind of fault, over HTTP."""

from __future__ import annotations

import contextlib
import time

import httpx
import pytest

from aml_provider.emulator.faults import KINDS
from aml_provider.emulator.server import EmulatorServer

SCOPE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
PIPELINES, HISTORY = (f"/{name}/v1.0{SCOPE}" for name in ("pipelines", "history"))
TWIN = "10000000-0000-4000-8000-000000000004"
GET = f"{PIPELINES}/Pipelines/{TWIN}"
SUBMIT = f"{PIPELINES}/PipelineRuns/PipelineSubmit/{TWIN}"
BODY = {"ExperimentName": "exp"}


@pytest.fixture(scope="module")
def running():
    with EmulatorServer() as running:
        yield running


@pytest.fixture
def emulator(running):
    running.reset()
    running.clock.hold()
    return running


@pytest.fixture
def api(emulator):
    with httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer t"}) as client:
        yield client


def committed(emulator):
    return len(emulator.state.runs)


def test_drop_commits_the_request(emulator, api):
    fault = {"kind": "drop", "method": "POST", "path": "*/PipelineSubmit/*"}
    assert api.post("/_emulator/faults", json=fault).json()["kind"] == "drop"
    with pytest.raises(httpx.RemoteProtocolError):
        api.post(SUBMIT, json=BODY)
    assert committed(emulator) == 1
    assert api.get("/_emulator/faults").json() == {"faults": []}
    assert api.post(SUBMIT, json=BODY).status_code == 200
    logged = [(item["status"], item["fault"]) for item in emulator.requests("POST", "PipelineSubmit")]
    assert logged == [(None, "drop"), (200, None)]


def test_refuse_does_not_commit_the_request(emulator, api):
    emulator.faults.add("refuse", times=2)
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            api.post(SUBMIT, json=BODY)
    assert committed(emulator) == 0


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("kind", ["status", "html"])
@pytest.mark.parametrize("status", [202, 204, 401, 404, 429, 503, 599])
def test_status_with_or_without_a_commit(emulator, api, kind, status, after_commit):
    emulator.faults.add(kind, status=status, after_commit=after_commit)
    reply = api.post(SUBMIT, json=BODY)
    assert reply.status_code == status
    assert committed(emulator) == after_commit
    if status == 204:
        assert reply.content == b""
    elif kind == "html":
        assert reply.headers["Content-Type"].startswith("text/html")
        assert reply.text.startswith("<!DOCTYPE html>")
    else:
        assert reply.json()["Error"]["Code"] == "ServiceError"


@pytest.mark.parametrize("asked", [7, 0.5, "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_retry_after_in_both_forms(emulator, api, asked):
    emulator.faults.add("status", status=429, retry_after=asked)
    assert api.get(GET).headers["Retry-After"] == str(asked)


@pytest.mark.parametrize(
    ("path", "envelope", "key"),
    [
        (GET, None, "Error"),
        (GET, "camel", "error"),
        (f"{HISTORY}/runs/x", None, "error"),
        (f"{HISTORY}/runs/x", "pascal", "Error"),
        (SCOPE, None, "error"),
    ],
)
def test_the_casing_of_the_error(emulator, api, path, envelope, key):
    emulator.faults.add("status", **({"envelope": envelope} if envelope else {}))
    assert next(iter(api.get(path).json())) == key


def test_redirect_to_the_same_or_another_address(emulator, api):
    emulator.faults.add("redirect")
    emulator.faults.add("redirect", status=301, location="https://elsewhere.example/x")
    first, second = (api.post(f"{SUBMIT}?a=1", json=BODY) for _ in range(2))
    assert (first.status_code, first.headers["Location"]) == (307, f"{emulator.url}{SUBMIT}?a=1")
    assert (second.status_code, second.headers["Location"]) == (301, "https://elsewhere.example/x")
    assert committed(emulator) == 0


@pytest.mark.parametrize("kind", ["broken_json", "malformed_json", "empty"])
def test_corrupt_but_complete_bodies(emulator, api, kind):
    emulator.faults.add(kind, path=SUBMIT)
    reply = api.post(SUBMIT, json=BODY)
    assert reply.status_code == 200
    assert reply.headers["Content-Length"] == str(len(reply.content))
    assert reply.headers["Content-Type"].startswith("application/json")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|Extra"):
        reply.json()
    assert committed(emulator) == 1


def test_another_content_type(emulator, api):
    emulator.faults.add("content_type")
    emulator.faults.add("content_type", content_type="application/xml")
    first, second = api.get(GET), api.get(GET)
    assert (first.headers["Content-Type"], first.json()["Id"]) == ("text/html", TWIN)
    assert second.headers["Content-Type"] == "application/xml"


def test_cut_closes_the_connection_in_the_middle_of_the_body(emulator, api):
    emulator.faults.add("cut", path=SUBMIT)
    with api.stream("POST", SUBMIT, json=BODY) as reply:
        assert reply.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
            reply.read()
    assert committed(emulator) == 1
    assert api.get(GET).status_code == 200


def test_slow_sends_the_body_in_pieces(emulator, api):
    emulator.faults.add("slow", seconds=0.3)
    started = time.monotonic()
    with api.stream("GET", GET) as reply:
        pieces = list(reply.iter_raw())
    assert time.monotonic() - started >= 0.3
    assert len(pieces) > 1
    assert len(b"".join(pieces)) == int(reply.headers["Content-Length"])


def test_delay_commits_the_request_even_if_the_client_gave_up(emulator, api):
    emulator.faults.add("delay", seconds=2.0)
    with pytest.raises(httpx.ReadTimeout):
        api.post(SUBMIT, json=BODY, timeout=httpx.Timeout(10.0, read=0.1))
    deadline = time.monotonic() + 30
    while not emulator.requests("POST") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert committed(emulator) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_next_request_after_a_fault_succeeds(emulator, api, kind):
    emulator.faults.add(kind)
    with contextlib.suppress(httpx.RemoteProtocolError):
        api.get(GET)
    assert api.get(GET).json()["Id"] == TWIN
    assert [item["fault"] for item in emulator.requests()] == [kind, None]


def test_patterns_can_use_the_query_and_the_body(emulator, api):
    emulator.faults.add("status", query="*parentRunId=x*", body='*"exp"*')
    assert api.post(SUBMIT, json=BODY).status_code == 200
    assert api.post(f"{SUBMIT}?parentRunId=x", json={"ExperimentName": "other"}).status_code == 400
    assert api.post(f"{SUBMIT}?parentRunId=x", json=BODY).status_code == 503


@pytest.mark.parametrize(
    ("fault", "argument"),
    [({}, "kind"), ({"kind": "explode"}, "kind"), ({"kind": "drop", "x": 1}, "x"), ([], "body")],
)
def test_invalid_faults_are_refused(api, fault, argument):
    reply = api.post("/_emulator/faults", json=fault)
    assert reply.status_code == 400
    assert argument in reply.json()["error"]["message"]


def test_faults_can_be_removed(api, emulator):
    emulator.faults.add("drop")
    api.delete("/_emulator/faults")
    assert api.get(GET).status_code == 200
