"""No wait is silent: a failure is logged immediately, then once a minute, and when it is over; the clock is driven."""

from __future__ import annotations

import contextlib
import logging

import pytest
from support.drivers.driving import one, reply, workspace
from support.drivers.waiting_runs import FOR_GOOD, THROTTLING, TRANSIENT, World

from aml_provider.blobs.access import ContainerAccess
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.rules import Rules
from aml_provider.client import calls
from aml_provider.client.errors import PermissionDenied, ReplyLost, Unreachable
from aml_provider.client.flows.runs import wait_for_run
from aml_provider.client.flows.schedules import wait_for_provisioning
from aml_provider.client.http import retry
from aml_provider.client.http.messages import Pause, Request
from aml_provider.client.http.protocol import Session
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.durable.lookup import search

REFUSED = Unreachable("get run: no connection to ws.example: refused.")


class Time:
    """A clock that goes on with the pauses, and with what requests take."""

    def __init__(self, takes=0.0):
        self.now = 0.0
        self.takes = takes

    def play(self, machine, answers):
        """Drive a machine; ``answers`` says by the time what a request is answered."""
        try:
            step = next(machine)
            while True:
                if isinstance(step, Pause):
                    self.now += step.seconds
                    step = machine.send(None)
                    continue
                self.now += self.takes
                answer = answers(self.now)
                step = machine.throw(answer) if isinstance(answer, Exception) else machine.send(answer)
        except StopIteration as stop:
            return stop.value
        except Exception as error:  # noqa: BLE001 - the test checks it
            return error


def machine_of(flow, time, **options):
    policy = RetryPolicy(**{"budget": 600.0, "jitter": lambda: 1.0, "now": lambda: time.now, **options})
    return Session(workspace(), policy).run(flow)


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, retry.logger.name)
    return lambda level=logging.WARNING: [
        record.getMessage() for record in caplog.records if record.levelno == level and record.name == retry.logger.name
    ]


def run_of(status):
    return reply(body=b'{"Id": "r", "Status": {"StatusCode": %d}, "RunHistoryExperimentName": "x"}' % status)


FLOWS = {
    "a call": lambda time: one(calls.get_run("r")),
    "a wait": lambda time: wait_for_run(
        "r", "x", poll_interval=30.0, deadline=1000.0, log=lambda _: None, policy=RetryPolicy(), now=lambda: time.now
    ),
    "provisioning": lambda time: wait_for_provisioning(
        lambda: calls.get_schedule("s"), deadline=1000.0, now=lambda: time.now
    ),
    "a look-up": lambda time: search("key", "x", "p", timeout=300.0, now=lambda: time.now),
    "blobs": lambda time: poll_folder(
        FolderState(Folder("https://a.blob.core.windows.net/c", ""), Rules.of(), None), ContainerAccess(sas="sig=x")
    ),
}


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("failure", [REFUSED, ReplyLost("the connection broke"), reply(503), reply(429)], ids=str)
def test_a_failure_is_logged_immediately_then_each_minute(name, failure, said):
    time = Time()
    moments = []

    def answers(now):
        moments.append(now)
        if len(moments) == 2:
            assert len(said()) == 1, "the first failure is logged before the first repetition"
        return failure

    time.play(machine_of(FLOWS[name](time), time), answers)
    lines = said()
    why = "The service answered" if not isinstance(failure, Exception) else failure.text
    assert "It failed, and is tried again for up to 600 s" in lines[0]
    assert all(why in line for line in lines)
    assert "Still failing after" in lines[1]
    # Different requests, such as the ways of a lookup, are different troubles.
    of_one = [line for line in lines if line.partition(":")[0] == lines[0].partition(":")[0]]
    assert 2 <= len(of_one) <= time.now / 60 + 1


def test_the_end_of_a_failure_is_logged_once(said):
    time = Time()
    options = {"poll_interval": 30.0, "log": lambda _: None, "policy": RetryPolicy()}
    flow = wait_for_run("r", "x", deadline=400.0, now=lambda: time.now, **options)
    time.play(machine_of(flow, time), lambda now: REFUSED if 50 < now < 140 else run_of(1))
    assert len(said()) == 2
    [over] = [line for line in said(logging.INFO) if "works again" in line]
    assert ": It works again, after " in over


def test_without_a_failure_nothing_is_logged(said):
    time = Time()
    time.play(machine_of(one(calls.get_run("r")), time), lambda _: run_of(1))
    assert said() == said(logging.INFO) == []


def test_the_time_that_requests_take_counts_too(said):
    """A host that has stopped answers nothing for a minute each time: the pauses alone are seconds."""
    time = Time(takes=60.0)
    time.play(machine_of(one(calls.get_run("r")), time, budget=20.0), lambda _: ReplyLost("no answer"))
    assert len(said()) == time.now // 60 - 1, "all but the last failure, each a minute and more after the one before"


def test_a_long_pause_that_the_service_asks_for_is_logged(said):
    time = Time()
    busy = reply(429, retry_after="300")
    time.play(machine_of(one(calls.get_run("r")), time), lambda now: run_of(1) if now else busy)
    assert "The service answered 429. The next request is in 300 s, as the service wants." in said()[0]


@pytest.mark.parametrize("failure", [REFUSED, reply(503)], ids=str)
def test_a_failure_that_is_not_repeated_is_only_an_error(failure, said):
    for call, budget in ((calls.submit_pipeline("p", {}), 600.0), (calls.get_run("r"), 0.0)):
        time = Time()
        error = time.play(machine_of(one(call), time, budget=budget), lambda _: failure)
        assert isinstance(error, Exception)
    assert said() == []


def test_a_brief_policy_is_silent_and_does_not_repeat_a_long_failure(said):
    for takes, tries in ((0.1, 3), (60.0, 1)):
        time, asked = Time(takes), []
        machine = machine_of(one(calls.get_run("r")), time, budget=2.0, is_brief=True)
        time.play(machine, lambda now, asked=asked: asked.append(now) or ReplyLost("x"))
        assert len(asked) == tries
    assert said() == []


def notices(world, wait, seconds):
    """The notices of a wait, with their times."""
    found = []
    end = world.now + seconds
    while world.now < end:
        world.run(1.0)
        if wait.notice is not None:
            found.append((world.now, *wait.notice))
            wait.notice = None
    return found


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
@pytest.mark.parametrize("runs", [1, 50])
def test_each_deferred_wait_is_notified_of_its_failures(error, runs):
    world = World()
    waits = [world.wait() for _ in range(runs)]
    world.run(40)
    world.service.query_error = world.service.read_error = error
    began = world.now
    logged = notices(world, waits[-1], 100)
    assert [level for _, level, _ in logged] == [logging.WARNING] * 2
    first, second = (moment for moment, _, _ in logged)
    assert first - began <= 32
    assert 59 <= second - first <= 92
    assert "It failed, and is tried again for up to 120 s" in logged[0][2]
    assert logged[0][2].endswith(error.text)
    assert "Still failing after" in logged[1][2]
    world.service.query_error = world.service.read_error = None
    [(_, level, text)] = notices(world, waits[-1], 100)
    assert (level, "It works again, after " in text) == (logging.INFO, True)


@pytest.mark.parametrize("error", THROTTLING, ids=repr)
def test_a_deferred_wait_is_notified_of_throttling(error):
    world = World()
    wait = world.wait()
    world.run(40)
    world.service.query_error = world.service.read_error = error
    logged = notices(world, wait, 700)
    assert "is tried again for as long as it takes" in logged[0][2]
    assert len(logged) <= 12
    world.service.query_error = world.service.read_error = None
    assert [level for _, level, _ in notices(world, wait, 1200)][-1] == logging.INFO


def test_a_run_that_can_never_be_read_is_an_error_without_a_notice():
    for error in FOR_GOOD:
        world = World()
        wait = world.wait()
        world.run(40)
        world.service.read_error = error
        assert notices(world, wait, 60) == []
        assert wait.error is error


def test_a_wait_that_ends_leaves_no_failure_in_the_list():
    world = World()
    wait = world.wait()
    world.run(40)
    world.service.query_error = world.service.read_error = TRANSIENT[0]
    world.run(300)
    assert wait.error is not None
    assert not world.queue.troubles._lasting


def test_a_failure_is_logged_with_its_operation(said):
    time = Time()

    def flow():
        yield Request("list blobs", "GET", "https://a.blob.core.windows.net/c")

    time.play(machine_of(flow(), time), lambda now: REFUSED if now < 30 else reply())
    assert said() == [f"list blobs: It failed, and is tried again for up to 600 s. {REFUSED.text}"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_a_refusal_after_an_outage_is_not_logged_as_working_again(said, status):
    answers = iter([reply(503), reply(status)])
    time = Time()
    machine = machine_of(one(calls.get_run("r")), time)
    error = time.play(machine, lambda _: next(answers))
    assert error.status == status
    assert len(said()) == 1
    assert said(logging.INFO) == []


def test_an_outage_that_ended_in_a_refusal_is_over(said):
    """The next outage is logged as a new one."""
    answers = iter([reply(503), reply(403), reply(503), run_of(1)])

    def flow():
        for _ in range(2):
            with contextlib.suppress(PermissionDenied):
                yield calls.get_run("r")

    time = Time()
    time.play(machine_of(flow(), time), lambda _: next(answers))
    assert [line.count("It failed") for line in said()] == [1, 1]
    assert len(said(logging.INFO)) == 1
