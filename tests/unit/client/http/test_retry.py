"""What is sent again, when, and for how long; driven by hand, without a network or a clock."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.drivers.driving import MISSING, one, pauses, play, reply, requests, session, workspace

from aml_provider.client import calls
from aml_provider.client.errors import (
    AuthenticationRefused,
    BadRequest,
    Conflict,
    CredentialError,
    InvalidArgument,
    MalformedReply,
    NotFound,
    PermissionDenied,
    ReplyLost,
    ServerFault,
    Throttled,
    Unreachable,
)
from aml_provider.client.http.messages import Pause, Request
from aml_provider.client.http.retry import RetryPolicy, attempt
from aml_provider.client.trouble import Troubles

SUBMISSIONS = [calls.submit_pipeline("p", {}), calls.submit_endpoint("e", {}, version="1")]
# One of each method, and the POSTs that only read.
REPEATABLE = [
    calls.get_run("r"),
    calls.cancel_run("r"),
    calls.tag_run("x", "r", {"k": "v"}),
    calls.query_runs("x", "f"),
    calls.get_step_log("r", "n", "STDOUT"),
    calls.list_datastores(),
    calls.get_workspace(),
]
PASSING = [
    reply(408),
    reply(429),
    reply(500),
    reply(502),
    reply(503),
    reply(504),
    reply(530),
    Unreachable("no connection"),
    ReplyLost("no answer"),
]


def named(value):
    return getattr(value, "operation", None) or getattr(value, "status", None) or type(value).__name__


def good(call):
    if call.service == "history":
        return reply(body=b'{"value": [], "runId": "r"}')
    return reply(body=b'{"Id": "r", "value": []}')


@pytest.mark.parametrize("failure", PASSING, ids=named)
@pytest.mark.parametrize("call", REPEATABLE, ids=named)
def test_what_is_safe_to_repeat_is_repeated(call, failure):
    result, steps = play(session().run(one(call)), failure, failure, good(call))
    assert not isinstance(result, Exception)
    assert [type(step) for step in steps] == [Request, Pause, Request, Pause, Request]
    assert len(set(requests(steps))) == 1


@pytest.mark.parametrize("failure", [*PASSING, reply(400), reply(401), reply(403), reply(404), reply(409)], ids=named)
@pytest.mark.parametrize("call", SUBMISSIONS, ids=named)
def test_a_submission_is_sent_once_whatever_happens(call, failure):
    result, steps = play(session().run(one(call)), failure, good(call))
    assert isinstance(result, Exception)
    assert [type(step) for step in steps] == [Request]


@pytest.mark.parametrize("call", SUBMISSIONS, ids=named)
@pytest.mark.parametrize(
    "answer", [reply(200, b"<html>"), reply(200, b""), reply(202, b""), reply(200, b'{"Id": null}'), reply(204, b"")]
)
def test_a_submission_whose_reply_cannot_be_read_is_in_doubt_and_not_repeated(call, answer):
    result, steps = play(session().run(one(call)), answer)
    assert isinstance(result, MalformedReply)
    assert result.in_doubt
    assert len(steps) == 1


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_success_of_a_submission_is_one(status):
    result, _ = play(session().run(one(SUBMISSIONS[0])), reply(status, b'{"Id": "r"}'))
    assert result.id == "r"


@pytest.mark.parametrize(
    ("failure", "kind", "in_doubt", "permanent"),
    [
        (reply(302), BadRequest, False, True),
        (reply(400), BadRequest, False, True),
        (reply(401), AuthenticationRefused, False, True),
        (reply(403), PermissionDenied, False, True),
        (reply(404, MISSING), NotFound, False, True),
        # A proxy may have answered after it has passed the request on.
        (reply(404), ServerFault, True, False),
        (reply(409), Conflict, False, False),
        (reply(412), Conflict, False, False),
        (reply(422), BadRequest, False, True),
        (reply(429), Throttled, False, False),
        (reply(408), ServerFault, True, False),
        (reply(500), ServerFault, True, False),
        (reply(501), ServerFault, True, False),
        (reply(503), ServerFault, True, False),
        (Unreachable("x"), Unreachable, False, False),
        (ReplyLost("x"), ReplyLost, True, False),
        (CredentialError("x"), CredentialError, False, True),
        (InvalidArgument("endpoint", "x"), InvalidArgument, False, True),
    ],
    ids=named,
)
def test_what_a_failed_submission_means(failure, kind, in_doubt, permanent):
    result, _ = play(session().run(one(SUBMISSIONS[0])), failure)
    assert type(result) is kind
    assert (result.in_doubt, result.permanent) == (in_doubt, permanent)


@pytest.mark.parametrize(
    "failure",
    [reply(400), reply(401), reply(403), reply(404), reply(409), reply(412), reply(501), reply(301)],
    ids=named,
)
def test_what_would_fail_again_is_not_repeated(failure):
    result, steps = play(session().run(one(REPEATABLE[0])), failure)
    assert isinstance(result, Exception)
    assert len(steps) == 1


def test_a_missing_token_is_not_asked_for_again_but_an_identity_provider_that_is_away_is():
    assert len(play(session().run(one(REPEATABLE[0])), CredentialError("no"))[1]) == 1
    result, steps = play(session().run(one(REPEATABLE[0])), Unreachable("away"), good(REPEATABLE[0]))
    assert result.id == "r"
    assert len(requests(steps)) == 2


@pytest.mark.parametrize("failure", PASSING, ids=named)
@pytest.mark.parametrize("budget", [0.0, 0.4, 2.0, 10.0, 120.0])
def test_pauses_stay_within_the_budget_and_the_last_failure_comes_out(failure, budget):
    result, steps = play(session(budget=budget).run(one(REPEATABLE[0])), failure)
    assert sum(pauses(steps)) <= budget
    assert len(requests(steps)) == len(pauses(steps)) + 1
    assert isinstance(steps[-1], Request), "after the last pause it is tried once more"
    if isinstance(failure, Exception):
        assert result is failure
    else:
        assert result.status == failure.status


def test_pauses_double_up_to_half_a_minute():
    _, steps = play(session(budget=100.0, jitter=1.0).run(one(REPEATABLE[0])), reply(503))
    assert pauses(steps) == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


@given(st.floats(0.0, 1.0), st.integers(0, 5000))
def test_jitter_takes_away_half_at_most(jitter, tries):
    full = RetryPolicy(jitter=lambda: 1.0).pause(tries, None)
    pause = RetryPolicy(jitter=lambda: jitter).pause(tries, None)
    assert full / 2 <= pause <= full <= 30.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": ""}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": " 7.5 "}, 7.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "3600"}, 3600.0),
        ({"retry_after": "3601"}, 3600.0),
        ({"retry_after": "inf"}, 3600.0),
        ({"retry_after": "-inf"}, 0.0),
        ({"retry_after": "1e999"}, 3600.0),
        ({"retry_after": "9" * 5000}, 3600.0),
        ({"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3600.0),
        ({"retry_after": "Fri, 31 Dec 9999 23:59:59 -2359", "date": "Mon, 01 Jan 0001 00:00:00 +2359"}, 3600.0),
        ({"retry_after": "Sun, 22 Nov 2026 10:00:20 GMT", "date": "Mon, 01 Jan 2001 00:00:00 GMT"}, 3600.0),
        ({"retry_after": "Fri, 31 Dec 99999999999999999999 23:59:59 GMT"}, None),
        ({"retry_after": "Sun, 22 Nov 2026 10:00:20 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 20.0),
        ({"retry_after": "Sun, 22 Nov 2026 09:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 0.0),
        ({"retry_after": "Sun, 22 Nov 2026 10:00:20 -0000", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 20.0),
        ({"retry_after": "Sun, 22 Nov 2026 10:00:20 GMT", "date": "Sun, 22 Nov 2026 10:00:00 -0000"}, 20.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT", "date": "just now"}, 3600.0),
        (
            {"retry_after": "Fri, 31 Dec 9999 23:59:59 GMT", "date": "Fri, 1 Jan 99999999999999999999 00:00:00 GMT"},
            3600.0,
        ),
    ],
)
def test_retry_after_in_both_forms(headers, seconds):
    assert reply(429, **headers).retry_after() == seconds


def test_a_retry_after_date_without_a_date_counts_from_now():
    assert reply(429, retry_after="Mon, 01 Jan 2001 00:00:00 GMT").retry_after() == 0.0


@pytest.mark.parametrize("date", ["", "just now", "Fri, 1 Jan 99999999999999999999 00:00:00 GMT"])
def test_a_date_that_cannot_be_read_says_nothing_about_clocks(date):
    assert reply(401, date=date).on_clocks(datetime.now(UTC)) == ""


@given(st.text())
def test_no_retry_after_breaks_anything(text):
    seconds = reply(429, retry_after=text).retry_after()
    assert seconds is None or 0 <= seconds <= 3600


@given(
    st.one_of(st.floats().map(str), st.integers().map(str), st.datetimes(timezones=st.timezones()).map(format_datetime))
)
def test_no_service_makes_us_wait_for_longer_than_an_hour(asked):
    seconds = reply(429, retry_after=asked, date="Sun, 22 Nov 2026 10:00:00 GMT").retry_after()
    assert seconds is None or 0 <= seconds <= 3600


def test_what_the_service_asks_for_is_waited_at_least():
    call = REPEATABLE[0]
    _, steps = play(session().run(one(call)), reply(429, retry_after="7"), reply(503, retry_after="1"), good(call))
    assert pauses(steps) == [7.0, 1.0]


@pytest.mark.parametrize("asked", ["0", "-1", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_a_retry_after_of_zero_neither_hammers_nor_repeats_for_ever(asked):
    result, steps = play(session(budget=120.0).run(one(REPEATABLE[0])), reply(429, retry_after=asked))
    assert isinstance(result, Throttled)
    assert min(pauses(steps)) >= 0.25
    assert len(requests(steps)) < 15


def test_a_wait_beyond_the_budget_is_not_begun():
    result, steps = play(session(budget=120.0).run(one(REPEATABLE[0])), reply(429, retry_after="3600"))
    assert isinstance(result, Throttled)
    assert len(steps) == 1


def test_an_endless_budget_does_not_overflow():
    policy = RetryPolicy(budget=float("inf"), jitter=lambda: 0.0)
    machine = attempt(Request("x", "GET", "https://h"), policy, Troubles())
    step = next(machine)
    for _ in range(3000):
        step = machine.send(reply(503) if isinstance(step, Request) else None)
    machine.close()


class TestDiscovery:
    """A connection without region and endpoint: the address is asked for before the first call."""

    RECORD = b'{"name": "w", "properties": {"discoveryUrl": "https://north.api.azureml.ms/discovery"}}'
    SERVICES = b'{"api": "https://north.api.azureml.ms"}'
    SUBMIT = calls.submit_pipeline("p", {})

    def run(self, *answers, call=SUBMIT):
        return play(session(workspace(region=None), budget=0.0).run(one(call)), *answers)

    def test_discovery_is_requested_once(self):
        rules = session(workspace(region=None))
        _, first = play(rules.run(one(self.SUBMIT)), reply(body=self.RECORD), reply(body=self.SERVICES), reply(503))
        _, second = play(rules.run(one(self.SUBMIT)), reply(503))
        assert [len(requests(first)), len(requests(second))] == [3, 1]

    @pytest.mark.parametrize(
        "answers",
        [
            (reply(503),),
            (ReplyLost("x"),),
            (reply(200, b"<html>"),),
            (reply(body=RECORD), reply(500)),
            (reply(body=RECORD), ReplyLost("x")),
            (reply(body=RECORD), reply(200, b"{}")),
            (reply(body=RECORD), reply(200, b'{"api": 5}')),
        ],
    )
    def test_its_failure_leaves_no_doubt_about_a_submission(self, answers):
        result, steps = self.run(*answers)
        assert isinstance(result, (ServerFault, ReplyLost, MalformedReply))
        assert not result.in_doubt
        assert not any("PipelineSubmit" in request.url for request in requests(steps))

    def test_what_it_names_must_be_a_host_of_the_cloud(self):
        record = self.RECORD.replace(b"north.api.azureml.ms", b"api.azureml.ms.evil.com")
        result, steps = self.run(reply(body=record))
        assert isinstance(result, InvalidArgument)
        assert result.argument == "region"
        assert "evil.com" in str(result)
        assert len(requests(steps)) == 1, "discovery itself is not even asked"

    @pytest.mark.parametrize("url", ["", "https://[", "//x", "https://a b.azureml.ms/"])
    def test_an_address_that_cannot_be_read_is_refused(self, url):
        record = self.RECORD.replace(b"https://north.api.azureml.ms/discovery", url.encode())
        result, _ = self.run(reply(body=record))
        assert isinstance(result, InvalidArgument)
