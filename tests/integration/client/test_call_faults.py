"""Every call of the client under every fault: the right error or a right repetition, and nothing carried out twice.

Calls and faults are looked up, so a new one joins by itself. One server, one client of each kind and a clock that only
notes pauses keep some thousand cases within a minute.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from dataclasses import replace
from email.utils import formatdate
from typing import Any, NamedTuple

import httpx
import pytest
from support.drivers.driving import TOKEN, DrivenClock, workspace
from support.samples.call_samples import World, every_call

from aml_provider.client.calls.call import nothing
from aml_provider.client.errors import (
    AuthenticationRefused,
    AzureMLError,
    BadRequest,
    Conflict,
    MalformedReply,
    NotFound,
    PermissionDenied,
    ReplyLost,
    ServerFault,
    ServiceError,
    Throttled,
    Unreachable,
)
from aml_provider.client.http.clients import AsyncClient, Client
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.emulator.faults import KINDS
from aml_provider.emulator.seeds import reader as seeds
from aml_provider.emulator.server import EmulatorServer

CALLS = every_call()
# A whole retry budget, waited for by the driven clock.
MOST_TRIES = 15
LASTING = 10**6
# Seconds that are enough however busy the machine is.
ENOUGH = 30.0
# An answer without a body has a meaning here.
EMPTY_IS_AN_ANSWER = {"get_last_run_of_schedule"}
# Of an answer without a body, nothing can be cut off.
WITHOUT_A_BODY = {"cancel_job", "delete_job_schedule"}


def _result_of(function):
    return str(inspect.signature(function).return_annotation)


class Case(NamedTuple):
    """A fault, and what a call makes of it.

    Args:
        fault: The fault as the control API takes it.
        error: What comes out where the call is not repeated; None where the fault does no harm.
        repeated: Whether a call that may be repeated is, and then fares well.
        in_doubt: Whether the error says that the request may have been carried out.
        permanent: Whether the error says that a retry would meet the same wall.
        timeout: Seconds that the client waits for the next byte, until it first pauses.
    """

    fault: dict[str, Any]
    error: type[AzureMLError] | None = None
    repeated: bool = False
    in_doubt: bool = False
    permanent: bool = False
    timeout: float = ENOUGH

    def with_patience(self, factor):
        """The same with times so many times as long; unchanged if the client is patient anyway."""
        if self.timeout == ENOUGH:
            return self
        fault = {**self.fault, "seconds": self.fault["seconds"] * factor}
        return self._replace(fault=fault, timeout=self.timeout * factor)


def lost(kind, **details):
    timeout = details.pop("timeout", ENOUGH)
    return Case({"kind": kind, **details}, ReplyLost, repeated=True, in_doubt=True, timeout=timeout)


def refused(status, error, *, permanent=True, **details):
    return Case({"kind": "status", "status": status, **details}, error, permanent=permanent)


def failed(status, **details):
    return Case({"kind": "status", "status": status, **details}, ServerFault, repeated=True, in_doubt=True)


def throttled(**details):
    return Case({"kind": "status", "status": 429, **details}, Throttled, repeated=True)


def unreadable(kind, **details):
    return Case({"kind": kind, **details}, MalformedReply, in_doubt=True)


CASES = {
    "drop": lost("drop"),
    "refuse": lost("refuse"),
    "cut": lost("cut"),
    "delay": lost("delay", seconds=0.6, timeout=0.1),
    "slow": Case({"kind": "slow", "seconds": 0.02}),
    "content_type": Case({"kind": "content_type"}),
    "400": refused(400, BadRequest),
    "400 in the other casing": refused(400, BadRequest, envelope="camel"),
    "401": refused(401, AuthenticationRefused),
    "403": refused(403, PermissionDenied),
    "403 after the commit": refused(403, PermissionDenied, after_commit=True),
    "404": refused(404, NotFound),
    "409": refused(409, Conflict, permanent=False),
    "412": refused(412, Conflict, permanent=False),
    "429": throttled(),
    "429 in 7 seconds": throttled(retry_after=7),
    "429 at a date": throttled(retry_after="DATE"),
    "408": failed(408),
    "500": failed(500),
    "500 after the commit": failed(500, after_commit=True),
    "502 in the other casing": failed(502, envelope="camel"),
    "503 in 7 seconds": failed(503, retry_after=7),
    "504 after the commit": failed(504, after_commit=True),
    "501": Case({"kind": "status", "status": 501}, ServerFault, in_doubt=True),
    "broken_json": unreadable("broken_json"),
    "malformed_json": unreadable("malformed_json"),
    "empty": unreadable("empty"),
    "html 200": unreadable("html", status=200),
    "html 200 after the commit": unreadable("html", status=200, after_commit=True),
    "html 403": Case({"kind": "html", "status": 403}, PermissionDenied, permanent=True),
    "html 502": Case({"kind": "html"}, ServerFault, repeated=True, in_doubt=True),
    "redirect": Case({"kind": "redirect"}, BadRequest, permanent=True),
    "redirect after a POST": Case({"kind": "redirect", "status": 303}, BadRequest, permanent=True),
}
ENDLESS = {name: CASES[name] for name in ("drop", "refuse", "cut", "429", "429 in 7 seconds", "500", "html 502")}


class PatientClock(DrivenClock):
    """Notes pauses; after one of them the client has time enough again, however busy the machine is."""

    def __init__(self):
        super().__init__()
        self.impatient = None

    def sleep(self, seconds):
        super().sleep(seconds)
        self.impatient.timeout = ENOUGH

    async def asleep(self, seconds):
        self.sleep(seconds)


class Bench:
    """One server with both clients; each case starts from the same workspace."""

    def __init__(self, emulator, runner, world):
        self.emulator = emulator
        self.world = world
        self.clock = PatientClock()
        self._runner = runner
        settings, policy = workspace(endpoint=emulator.url), RetryPolicy(jitter=lambda: 1.0)
        self.sync = Client(settings, policy=policy, clock=self.clock)
        self.asynchronous = AsyncClient(settings, policy=policy, clock=self.clock)
        runner.run(self.asynchronous.__aenter__())

    def close(self):
        self.sync.close()
        self._runner.run(self.asynchronous.__aexit__(None, None, None))

    def renew(self):
        """The workspace as it was, always at the same instant, and nothing asked of it yet."""
        self.emulator.reset()
        self.emulator.clock.hold()
        self.emulator.clock.advance(self.world.now - self.emulator.clock.now())
        self.clock.pauses.clear()

    def carry_out(self, driver, call, timeout=ENOUGH):
        """The result, or the error."""
        client = self.sync if driver == "sync" else self.asynchronous
        self.clock.impatient = client._http
        client._http.timeout = httpx.Timeout(ENOUGH, read=timeout)
        try:
            return self.sync.call(call) if driver == "sync" else self._runner.run(self.asynchronous.call(call))
        except AzureMLError as error:
            return error

    def wait_for_requests(self, count):
        """What is delayed is logged, and carried out, after the client has gone."""
        deadline = time.monotonic() + 30
        while len(self.emulator.requests()) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    def contents(self):
        """Everything that the workspace holds."""
        return json.loads(json.dumps(seeds.dump(self.emulator.state)))

    def sizes(self):
        return {key: len(value) for key, value in self.contents().items() if isinstance(value, (list, dict))}


@pytest.fixture(scope="module")
def bench():
    world = World()
    with EmulatorServer(world.seed) as emulator, asyncio.Runner() as runner:
        bench = Bench(emulator, runner, world)
        try:
            yield bench
        finally:
            bench.close()


@pytest.fixture(scope="module")
def plain(bench):
    """What each call does where nothing goes wrong: result, contents of the workspace, requests, sizes."""
    done = {}

    def plain(name):
        if name not in done:
            bench.renew()
            result = bench.carry_out("sync", bench.world.call(CALLS[name]))
            assert not isinstance(result, AzureMLError), f"the samples of {name} do not do: {result}"
            done[name] = (result, bench.contents(), len(bench.emulator.requests()), bench.sizes())
        return done[name]

    return plain


def test_all_calls_are_found():
    assert {"get_workspace", "submit_pipeline", "create_schedule", "get_last_run_of_schedule"} <= CALLS.keys()
    assert len(CALLS) > 40


def test_every_kind_of_fault_is_here():
    assert {case.fault["kind"] for case in CASES.values()} == set(KINDS)


def does_no_harm(name, call, case):
    """Whether the spoilt body still says all that the operation has to say."""
    if case.error is None or (case.fault["kind"] == "cut" and name in WITHOUT_A_BODY):
        return True
    if case.error is not MalformedReply or case.fault["kind"] == "html":
        return False
    any_body = call.parse is nothing or call.parse is str
    return any_body or (case.fault["kind"] == "empty" and name in EMPTY_IS_AN_ANSWER)


def with_date(fault, now):
    if fault.get("retry_after") != "DATE":
        return fault
    return {**fault, "retry_after": formatdate(now + 20, usegmt=True)}


def check_error(error, call, case):
    assert type(error) is case.error, error
    assert (error.in_doubt, error.permanent) == (case.in_doubt, case.permanent)
    text = str(error)
    assert call.operation in text
    assert "x-ms-client-request-id=" in text
    assert TOKEN not in text
    if isinstance(error, ServiceError):
        # A PUT in Azure Resource Manager creates or replaces.
        successes = {200, 201} if call.service == "arm" and call.method == "PUT" else {200}
        status = case.fault.get("status") or {"html": 502, "redirect": 307}.get(case.fault["kind"])
        assert error.status in ({status} if status else successes)
    if case.fault["kind"] == "status":
        assert error.code == "ServiceError"
        assert error.message == "An injected fault."
    if case.fault["kind"] == "redirect":
        assert "Redirects are not followed" in text


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("name", CALLS)
def test_each_call_under_each_fault_is_right_or_fails_safely(bench, plain, name, case):
    expected, contents, requests, sizes = plain(name)
    call = bench.world.call(CALLS[name])
    for driver in ("sync", "async"):
        for patience in (1, 10, 100):
            bench.renew()
            before = bench.sizes()
            patient = case.with_patience(patience)
            bench.emulator.faults.add(**with_date(patient.fault, bench.emulator.clock.now()))
            result = bench.carry_out(driver, call, patient.timeout)
            if does_no_harm(name, call, case):
                tries = requests
                assert not isinstance(result, AzureMLError), result
            elif case.repeated and call.repeatable:
                tries = requests + 1
                assert result == expected
            else:
                tries = 1
                check_error(result, call, case)
            bench.wait_for_requests(tries)
            # On a busy machine, an impatient client may go before its request arrives.
            if case.timeout == ENOUGH or len(bench.emulator.requests()) == tries:
                break
        assert len(bench.emulator.requests()) == tries
        if tries > 1 and "retry_after" in case.fault:
            assert bench.clock.pauses[0] >= 7
        grown = {key: after - before[key] for key, after in bench.sizes().items()}
        once = {key: after - before[key] for key, after in sizes.items()}
        assert all(change in (0, once[key]) for key, change in grown.items()), "carried out more than once"
        if call.repeatable and not isinstance(result, AzureMLError):
            assert bench.contents() == contents, "twice is not the same as once"


@pytest.mark.parametrize("case", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("name", CALLS)
def test_a_fault_that_lasts(bench, name, case):
    if does_no_harm(name, call := bench.world.call(CALLS[name]), case):
        pytest.skip("the fault does no harm")
    for driver in ("sync", "async"):
        bench.renew()
        bench.emulator.faults.add(**case.fault, times=LASTING)
        check_error(bench.carry_out(driver, call), call, case)
        tries = len(bench.emulator.requests())
        assert (1 < tries <= MOST_TRIES) if call.repeatable else tries == 1
        assert sum(bench.clock.pauses) <= RetryPolicy().budget


@pytest.mark.parametrize("driver", ["sync", "async"])
@pytest.mark.parametrize("name", ["list_pipelines", "submit_pipeline"])
def test_a_body_that_does_not_end(bench, name, driver):
    """Each byte comes in time, and so the timeout for reading never passes."""
    bench.renew()
    bench.emulator.faults.add("slow", seconds=15.0, times=LASTING)
    call = bench.world.call(CALLS[name])
    # It has five times as long for the whole as for the next byte.
    error = bench.carry_out(driver, replace(call, repeatable=False), timeout=2.0)
    assert isinstance(error, ReplyLost)
    assert "had not ended after 10 seconds" in str(error)
    assert error.in_doubt
    assert len(bench.emulator.requests()) == 1


@pytest.fixture(scope="module")
def paged():
    """The same workspace, which answers every list item by item."""
    world = World()
    with (
        EmulatorServer(world.seed, quirks=["page_size=1", "list_envelope=entity"]) as emulator,
        asyncio.Runner() as runner,
    ):
        bench = Bench(emulator, runner, world)
        try:
            yield bench
        finally:
            bench.close()


@pytest.mark.parametrize("driver", ["sync", "async"])
@pytest.mark.parametrize("kind", ["drop", "status", "cut", "broken_json"])
@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if "[tuple[" in _result_of(call)])
def test_a_fault_between_two_pages_of_a_list(paged, plain, name, kind, driver):
    expected = plain(name)[0]
    paged.renew()
    paged.emulator.faults.add(kind, after=1)
    result = paged.carry_out(driver, paged.world.call(CALLS[name]))
    tries = len(paged.emulator.requests())
    if kind == "broken_json" and tries > 1:
        assert isinstance(result, MalformedReply), "half a list is no list"
    else:
        assert len(result) == len(expected)
        assert tries == max(1, len(expected)) + (len(expected) > 1)


@pytest.mark.parametrize("name", CALLS)
def test_a_closed_port_makes_each_call_unreachable(bench, name, closed_port):
    settings = workspace(endpoint=f"http://127.0.0.1:{closed_port}")
    call = bench.world.call(CALLS[name])
    with (
        Client(settings, policy=RetryPolicy(budget=0.0), clock=DrivenClock()) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.call(call)
    assert not caught.value.in_doubt
    assert not caught.value.permanent
    assert call.operation in str(caught.value)
