"""Both drivers over real sockets: what they send, and what they make of a server that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import sys
import uuid
from threading import Thread
from types import SimpleNamespace
from urllib.parse import unquote

import httpx
import pytest
from support.drivers.driving import DRIVERS, TOKEN, DrivenClock, failure, one, workspace
from support.services.recorder import Answer, Recorder

from aml_provider import __version__
from aml_provider.client import calls
from aml_provider.client.errors import (
    BadRequest,
    CredentialError,
    InvalidArgument,
    MalformedReply,
    NotFound,
    ReplyLost,
    Unreachable,
)
from aml_provider.client.flows import runs, targets
from aml_provider.client.flows.cancel_run import cancel_run
from aml_provider.client.http.clients import AsyncClient, Client
from aml_provider.client.http.messages import Request
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import PipelineReference
from aml_provider.emulator.server import EmulatorServer

ONCE = RetryPolicy(budget=0.0)
SUBMIT = calls.submit_pipeline("p", RunRequest.of(experiment_name="x").to_wire(own_tags={}, notification=True))
GET = calls.get_run("r")
RUN = Answer(json={"Id": "r"})


@pytest.mark.parametrize("call", [GET, SUBMIT], ids=["GET", "POST"])
class TestBrokenConnections:
    def test_nobody_there_means_that_nothing_was_sent(self, drive, call, closed_port):
        url = f"http://127.0.0.1:{closed_port}"
        error = failure(drive, workspace(endpoint=url), call)
        assert type(error) is Unreachable
        assert not error.in_doubt
        for part in (call.operation, url.removeprefix("http://"), "Nothing was sent", "endpoint"):
            assert part in str(error)

    def test_a_host_without_an_address_means_that_nothing_was_sent(self, drive, call):
        error = failure(drive, workspace(endpoint="https://no-such-host.invalid"), call)
        assert type(error) is Unreachable
        assert "no-such-host.invalid" in str(error)

    @pytest.mark.parametrize("fault", ["drop", "truncate", "hang"])
    def test_a_reply_that_does_not_come_is_in_doubt(self, drive, recorder, settings, call, fault):
        recorder.answer(call.method, "*", Answer(json={"Id": "r"}, fault=fault))
        # Only the reply that never comes is waited for no longer than this.
        timeout = httpx.Timeout(30.0, read=0.3) if fault == "hang" else httpx.Timeout(60.0)
        error = failure(drive, settings, call, timeout=timeout)
        assert type(error) is ReplyLost
        assert error.in_doubt
        assert call.operation in str(error)
        (seen,) = recorder.wait_for(1)
        assert f"[x-ms-client-request-id={seen.headers['x-ms-client-request-id']}]" in str(error)

    def test_a_reply_that_is_no_http_is_in_doubt(self, drive, call):
        with socket.create_server(("127.0.0.1", 0)) as server:
            settings = workspace(endpoint=f"http://127.0.0.1:{server.getsockname()[1]}")

            def babble():
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"SSH-2.0-OpenSSH\r\n")

            thread = Thread(target=babble)
            thread.start()
            error = failure(drive, settings, call)
            thread.join()
        assert type(error) is ReplyLost

    def test_a_body_that_does_not_unpack_is_in_doubt(self, drive, recorder, settings, call):
        recorder.answer(call.method, "*", Answer(body=b"not gzip", headers=(("Content-Encoding", "gzip"),)))
        assert type(failure(drive, settings, call)) is ReplyLost

    def test_a_reply_that_is_no_json_is_in_doubt(self, drive, recorder, settings, call):
        recorder.answer(call.method, "*", Answer(body=b"<html>Sign in</html>"))
        error = failure(drive, settings, call)
        assert type(error) is MalformedReply
        assert error.in_doubt
        assert "<html>Sign in</html>" in str(error)

    def test_a_server_without_tls_means_that_nothing_was_sent(self, drive, recorder, call):
        error = failure(drive, workspace(endpoint=recorder.url.replace("http:", "https:")), call)
        assert type(error) is Unreachable
        assert recorder.seen == []


def test_a_submission_leaves_once_and_a_question_until_it_is_answered(drive, recorder, settings):
    clock = DrivenClock()
    recorder.answer("POST", "*", Answer(fault="drop"))
    recorder.answer("GET", "*", Answer(503), Answer(fault="drop"), Answer(429, headers=(("Retry-After", "7"),)), RUN)
    with pytest.raises(ReplyLost):
        drive(settings, one(SUBMIT), clock=clock)
    assert (len(recorder.seen), clock.pauses) == (1, [])
    policy = RetryPolicy(jitter=lambda: 1.0)
    assert drive(settings, one(GET), clock=clock, policy=policy).id == "r"
    assert len(recorder.seen) == 5
    assert clock.pauses == [0.5, 1.0, 7.0]


@pytest.mark.parametrize("airflow", ["3.3.2", "none"])
def test_every_request_has_an_id_of_its_own_and_says_who_sends_it(drive, recorder, settings, monkeypatch, airflow):
    # Whether another test has imported Airflow does not matter: the client does not.
    monkeypatch.delitem(sys.modules, "airflow", raising=False)
    if airflow != "none":
        monkeypatch.setitem(sys.modules, "airflow", SimpleNamespace(__version__=airflow))
    recorder.answer("*", "*", Answer(503))
    recorder.answer("GET", "*", Answer(503), Answer(503), RUN)
    recorder.answer("POST", "*", RUN)

    def flow():
        yield GET
        yield SUBMIT
        yield GET

    drive(settings, flow())
    assert len(recorder.seen) == 5
    ids = [uuid.UUID(seen.headers["x-ms-client-request-id"]) for seen in recorder.seen]
    assert len(set(ids)) == 5, "a repetition has a new one"
    for seen in recorder.seen:
        agent = re.fullmatch(
            r"airflow-provider-azureml/(\S+) apache-airflow/(\S+) httpx/(\d\S+) python/(\d\S+)",
            seen.headers["user-agent"],
        )
        assert agent is not None
        assert agent[1] == __version__
        assert agent[2] == airflow
        assert seen.headers["authorization"] == f"Bearer {TOKEN}"
        assert seen.headers["accept"] == "application/json"
        assert ("content-type" in seen.headers) is (seen.method == "POST")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500])
def test_a_refusal_carries_the_ids_of_both_sides(drive, recorder, settings, status):
    body = {"Error": {"Code": "C", "Message": "M"}, "Correlation": {"operation": "op-1", "request": "req-1"}}
    recorder.answer("POST", "*", Answer(status, body, headers=(("X-MS-Request-Id", "svc-1"),)))
    error = failure(drive, settings, SUBMIT)
    (seen,) = recorder.seen
    ours = f"x-ms-client-request-id={seen.headers['x-ms-client-request-id']}"
    assert error.request_ids == (ours, "x-ms-request-id=svc-1", "operation=op-1", "request=req-1")
    assert f"{SUBMIT.operation}: the service answered {status} (C): M" in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_no_token_goes_there(drive, recorder, settings, status):
    with Recorder() as elsewhere:
        elsewhere.answer("*", "*", RUN)
        recorder.answer("GET", "*", Answer(status, body=b"", headers=(("Location", f"{elsewhere.url}/x"),)))
        error = failure(drive, settings, GET)
        assert isinstance(error, BadRequest)
        assert "edirect" in str(error)
        assert elsewhere.seen == []
    assert len(recorder.seen) == 1


class TestLogs:
    """An address from a reply: it has a signature of its own and may lead anywhere."""

    LOG = "/c/log.txt?sv=2024&sig=a%2Fb%2Bc%3D&se=2026-01-01T00%3A00%3A00Z"

    def read(self, drive, settings, url, **more):
        def flow():
            return (yield Request("read a log", "GET", url, **more))

        return drive(settings, flow(), policy=ONCE)

    def test_gets_no_token_and_is_requested_exactly_as_given(self, drive, recorder, settings):
        recorder.answer("GET", "/c/log.txt", Answer(body=b"text"))
        assert self.read(drive, settings, recorder.url + self.LOG).body == b"text"
        (seen,) = recorder.seen
        assert "authorization" not in seen.headers
        assert f"{seen.path}?{seen.raw_query}" == self.LOG

    @pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 25, 500_000])
    def test_only_its_end_is_kept(self, drive, recorder, settings, size):
        body = bytes(number % 251 for number in range(size))
        recorder.answer("GET", "/c/log.txt", Answer(body=body))
        assert self.read(drive, settings, recorder.url + self.LOG, tail=10).body == body[-10:]

    @pytest.mark.parametrize("url", ["", "x", "file:///etc/passwd", "https://", "http://h:port/", "\x00"])
    def test_what_is_no_address_is_an_error_like_any_other(self, drive, settings, url):
        with pytest.raises(InvalidArgument, match="read a log"):
            self.read(drive, settings, url)

    def test_the_signature_of_a_log_address_is_in_no_message(self, drive, settings, closed_port):
        with pytest.raises(Unreachable) as caught:
            self.read(drive, settings, f"http://127.0.0.1:{closed_port}{self.LOG}")
        assert "sig" not in str(caught.value)

    def test_the_signature_of_a_log_address_is_not_in_the_http_stacks_log(self, drive, recorder, settings, caplog):
        recorder.answer("GET", "/c/log.txt", Answer(body=b"text"))
        with caplog.at_level(logging.INFO):
            self.read(drive, settings, recorder.url + self.LOG)
        assert "sig" not in caplog.text


def test_a_token_goes_to_no_other_host_whatever_names_it(drive, recorder, settings):
    with Recorder() as foreign:

        def flow():
            return (yield Request("x", "GET", f"{foreign.url}/x", scope=settings.token_scope))

        with pytest.raises(InvalidArgument, match="no token is sent to"):
            drive(settings, flow())
        assert foreign.seen == []


def test_names_with_odd_letters_arrive_as_they_are(drive, recorder, settings):
    recorder.answer("GET", "*", RUN)
    for name in ("a/b", "50%", "a b", "ü", "a+b", "{{ x }}", "a%2Fb"):
        drive(settings, one(calls.get_endpoint_by_name(name)))
        assert recorder.seen[-1].query == [["Name", name]]
        drive(settings, one(calls.get_run(name)))
        before, _, last = recorder.seen[-1].path.rpartition("/")
        assert unquote(last) == name
        assert before.endswith("/PipelineRuns")


def test_no_token_no_request(drive, recorder):
    settings = workspace(
        endpoint=recorder.url, auth_method="managed_identity", secret=None, trusted_endpoints=("127.0.0.1",)
    )

    class Refusing:
        def get_token(self, *_):
            raise ValueError("no identity here")

        def close(self):
            pass

    with Client(settings) as client:
        client._credential.close()
        client._credential = Refusing()
        with pytest.raises(CredentialError, match="no identity here"):
            client.call(GET)
    assert recorder.seen == []


def test_a_client_closes_its_credential_even_when_its_connections_cannot_be_closed():
    class Broken:
        def close(self):
            raise RuntimeError("broken")

    closed = []
    client = Client(workspace())
    client._http.close()
    client._http = Broken()
    client._credential.close = lambda: closed.append(True)
    with pytest.raises(RuntimeError, match="broken"):
        client.close()
    assert closed == [True]


def test_an_event_loop_makes_many_requests_at_once_over_one_client(recorder, settings):
    recorder.answer("GET", "*", RUN)

    async def run():
        async with AsyncClient(settings) as client:
            return await asyncio.gather(*(client.call(calls.get_run(f"r-{number}")) for number in range(50)))

    assert [run.id for run in asyncio.run(run())] == ["r"] * 50
    assert {seen.path.rpartition("/")[2] for seen in recorder.seen} == {f"r-{number}" for number in range(50)}


def story(endpoint_name):
    """A bit of everything, as the operator does it."""
    known = targets.Known()
    target = yield from targets.find_target(PipelineReference(endpoint_name=endpoint_name), known)
    target, _, interface = yield from targets.inspect_target(target, known)
    request = RunRequest.of(experiment_name="parity", parameters={"input_string": "x"}, tags={"k": "v"})
    request.check(interface, "p")
    run = yield calls.submit_endpoint(target.id, request.to_wire(own_tags={"airflow.key": "1"}, notification=False))
    found = yield calls.query_runs("parity", '(Tags/airflow.key eq "1")')
    assert [item.id for item in found] == [run.id]
    yield from runs.list_steps("parity", run.id)
    yield calls.list_datastores()
    yield from cancel_run(run.id, "parity", reason="enough")
    with contextlib.suppress(NotFound):
        yield calls.get_run("missing")
    return run.id


def test_both_drivers_send_the_same_requests():
    told = {}
    for name, drive in DRIVERS.items():
        with EmulatorServer(seed="demo") as emulator:
            emulator.clock.hold()
            endpoint = next(iter(emulator.state.endpoints.values()))
            run_id = drive(workspace(endpoint=emulator.url), story(endpoint.name))
            told[name] = [
                tuple(str(item[key]).replace(run_id, "RUN") for key in ("method", "path", "query", "body"))
                for item in emulator.requests()
            ]
    assert told["sync"] == told["async"]
    assert len(told["sync"]) > 10


@pytest.mark.parametrize("turns", range(3))
def test_a_client_that_is_cancelled_while_it_closes_leaves_no_connection_open(turns):
    """One that stays open is a ResourceWarning of a later garbage collection, and so an error of another test."""
    opened = []

    async def use(settings):
        async with AsyncClient(settings) as client:
            await asyncio.gather(*(client.call(calls.list_schedules()) for _ in range(3)))
            for transport in client._http._transport._ways.made.values():
                opened.extend(transport._pool.connections)
            assert len(opened) == 3
            assert not any(connection.is_closed() for connection in opened)
            loop, task = asyncio.get_running_loop(), asyncio.current_task()

            def cancel_in(turns):
                loop.call_soon(cancel_in, turns - 1) if turns else task.cancel()

            loop.call_soon(cancel_in, turns)

    with EmulatorServer() as server, pytest.raises(asyncio.CancelledError):
        asyncio.run(use(workspace(endpoint=server.url)))
    assert all(connection.is_closed() for connection in opened)
