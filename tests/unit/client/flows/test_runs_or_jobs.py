"""A run by its id alone: which of the two services is asked, and what their refusals mean together."""

from __future__ import annotations

import itertools

import pytest

from aml_provider.client.errors import BadRequest, NotFound, PermissionDenied, ServerFault, Unreachable
from aml_provider.client.flows import runs_or_jobs
from aml_provider.client.flows.runs_or_jobs import get_run, request_cancel
from aml_provider.client.http.messages import OwnSettings
from aml_provider.client.settings import WorkspaceSettings
from aml_provider.client.specs.job import job_id

OWN = job_id("0123456789abcdef" * 2, 3)
GONE = NotFound("get", status=404)
RETIRED = BadRequest("get", status=410)
DENIED = PermissionDenied("get", status=403, hint="It needs x.")
MALFORMED = BadRequest("get", status=400)
BROKEN = ServerFault("get", status=503)


def workspaces():
    for number in itertools.count():
        yield WorkspaceSettings(subscription_id="s", resource_group="g", workspace_name=f"runs-or-jobs-{number}")


NEW = workspaces()


def drive(flow, *answers, workspace=None):
    """Answer a flow's calls in turn; returns the services that were asked, and the result or the error."""
    asked, left, settings = [], list(answers), workspace or next(NEW)
    try:
        step = next(flow)
        while True:
            if isinstance(step, OwnSettings):
                step = flow.send(settings)
                continue
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
    for first in (GONE, DENIED, MALFORMED):
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


def test_what_was_found_to_be_a_job_costs_one_request_from_then_on_in_its_workspace():
    here = next(NEW)
    assert drive(get_run("x"), GONE, "job", workspace=here) == (["pipelines", "arm"], "job")
    assert drive(get_run("x"), "job", workspace=here) == (["arm"], "job")
    assert drive(request_cancel("x"), GONE, workspace=here) == (["arm"], GONE)
    assert drive(get_run("x"), "run") == (["pipelines"], "run")


def test_a_run_is_not_remembered_as_a_job():
    here = next(NEW)
    for _ in range(2):
        assert drive(get_run("x"), "run", workspace=here) == (["pipelines"], "run")
        assert drive(get_run("x"), GONE, GONE, workspace=here) == (["pipelines", "arm"], GONE)


def test_the_oldest_of_too_many_jobs_is_forgotten(monkeypatch):
    monkeypatch.setattr(runs_or_jobs, "_MOST_JOBS", 2)
    monkeypatch.setattr(runs_or_jobs, "_JOBS", {})
    here = next(NEW)
    for name in "abc":
        drive(get_run(name), GONE, "job", workspace=here)
    assert [name for _, name in runs_or_jobs._JOBS] == ["b", "c"]


@pytest.mark.parametrize("flow", [get_run, request_cancel])
def test_if_the_service_of_v1_is_gone_there_are_only_jobs(flow):
    assert drive(flow("x"), RETIRED, "job") == (["pipelines", "arm"], "job")
    asked, error = drive(flow("x"), RETIRED, GONE)
    assert (asked, type(error), error.status) == (["pipelines", "arm"], BadRequest, 410)
    assert "There is no job with this id either." in str(error)
    for second in (DENIED, BROKEN):
        assert drive(flow("x"), RETIRED, second) == (["pipelines", "arm"], second)
