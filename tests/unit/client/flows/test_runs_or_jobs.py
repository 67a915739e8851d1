"""A run by its id alone: which of the two services is asked, and what their refusals mean together."""

from __future__ import annotations

import pytest

from aml_provider.client.errors import BadRequest, NotFound, PermissionDenied, ServerFault, Unreachable
from aml_provider.client.flows.runs_or_jobs import get_run, request_cancel
from aml_provider.client.specs.job import job_id

OWN = job_id("0123456789abcdef" * 2, 3)
GONE = NotFound("get", status=404)
DENIED = PermissionDenied("get", status=403, hint="It needs x.")
MALFORMED = BadRequest("get", status=400)
SHUT_DOWN = BadRequest("get", status=410)
BROKEN = ServerFault("get", status=503)


def drive(flow, *answers):
    """Answer a flow's calls in turn; returns the services that were asked, and the result or the error."""
    asked, left = [], list(answers)
    try:
        step = next(flow)
        while True:
            asked.append(step.service)
            answer = left.pop(0)
            step = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
    except StopIteration as stop:
        return asked, stop.value
    except (BadRequest, NotFound, PermissionDenied, ServerFault, Unreachable) as error:
        return asked, error


@pytest.mark.parametrize("flow", [get_run, request_cancel])
def test_an_id_of_ours_is_a_job(flow):
    assert drive(flow(OWN), "job") == (["arm"], "job")
    assert drive(flow(OWN), GONE) == (["arm"], GONE)


@pytest.mark.parametrize("flow", [get_run, request_cancel])
@pytest.mark.parametrize("name", ["3f6b0b6c-0000-4000-8000-000000000000", "olive_tree_0123456789", OWN + "a"])
def test_any_other_id_is_a_run_or_else_a_job(flow, name):
    assert drive(flow(name), "run") == (["pipelines"], "run")
    for first in (GONE, DENIED, MALFORMED, SHUT_DOWN):
        assert drive(flow(name), first, "job") == (["pipelines", "arm"], "job")
        assert drive(flow(name), first, GONE) == (["pipelines", "arm"], first)


def test_that_it_is_no_run_says_nothing_while_jobs_cannot_be_read():
    unreachable = Unreachable("no route")
    assert drive(get_run("x"), GONE, unreachable) == (["pipelines", "arm"], unreachable)
    assert drive(get_run("x"), BROKEN) == (["pipelines"], BROKEN)


def test_a_refused_cancel_may_mean_that_the_run_has_ended_though_jobs_cannot_be_reached():
    unreachable = Unreachable("no route")
    assert drive(get_run("x"), MALFORMED, unreachable) == (["pipelines", "arm"], unreachable)
    asked, error = drive(request_cancel("x"), MALFORMED, unreachable)
    assert asked == ["pipelines", "arm"]
    assert (type(error), error.status) == (BadRequest, 400)
    assert "Nor could it be found as a job: no route" in str(error)


def test_a_missing_right_to_read_jobs_is_named_too():
    _, error = drive(get_run("x"), GONE, DENIED)
    assert isinstance(error, NotFound)
    assert "Nor could it be found as a job: get: the service answered 403" in str(error)
    assert "It needs x." in str(error)
