"""Flows about runs: the calls that they make, and the results."""

from __future__ import annotations

import pytest
from support.drivers.driving import play, reply, session
from support.models.service import FAILURES, Service, a_run, a_step, carry_out

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, ServerFault, Throttled
from aml_provider.client.flows import runs as flows
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.specs.target import Target


class TestSteps:
    CHILDREN = "GET /experiments/x/runs/r-1/children"

    def test_they_come_in_the_order_of_their_creation(self):
        steps = (
            a_step("b", createdUtc="2026-11-22T11:00:02Z"),
            a_step("none"),
            a_step("a", createdUtc="2026-11-22T11:00:01Z"),
            a_step("also"),
        )
        found = carry_out(flows.list_steps("x", "r-1"), {self.CHILDREN: steps})
        assert [item.name for item in found] == ["a", "b", "also", "none"]


class TestWaitForRun:
    GET = "GET /PipelineRuns/r-1"
    CHILDREN = "GET /experiments/x/runs/r-1/children"

    def wait(self, runs, pages=None, **options):
        service = Service({self.GET: runs, self.CHILDREN: pages or [()]})
        told = []
        options = {"poll_interval": 30.0, "log": told.append, "policy": RetryPolicy(), **options}
        options.setdefault("now", lambda: 100.0 + sum(service.pauses))
        flow = flows.wait_for_run("r-1", "x", **options)
        return service.carry_out(flow), service, told

    @pytest.mark.parametrize("status", ["Finished", "Failed", "Canceled"])
    def test_a_final_run_is_returned_at_once(self, status):
        last, service, _ = self.wait([a_run(status)])
        assert last.status == status
        assert service.pauses == []

    @pytest.mark.parametrize(
        "status", ["NotStarted", "Running", "Queued", "Unknown", "Preparing", "CancelRequested", "Completed", "", 9]
    )
    def test_nothing_else_ends_the_wait(self, status):
        last, service, _ = self.wait([a_run(status), a_run(status), a_run("Finished")])
        assert last.status == "Finished"
        assert service.pauses == [30.0, 30.0]

    def test_an_interval_of_zero_still_waits(self):
        last, service, _ = self.wait([a_run(), a_run("Finished")], poll_interval=0.0)
        assert last.status == "Finished"
        assert service.pauses == [0.0]

    def test_progress_is_logged_only_when_it_changes(self):
        states = [[a_step(status="Queued")], [a_step(status="Queued")], [a_step(status="Running")], [a_step()]]
        _, _, told = self.wait(
            [a_run("Running"), a_run("Running"), a_run("Running"), a_run("Finished")],
            [tuple(steps) for steps in states],
        )
        assert [str(item) for item in told] == [
            "Running (one Queued)",
            "Running (one Running)",
            "Finished (one Completed)",
        ]

    def test_a_run_that_does_not_change_is_logged_at_growing_intervals(self):
        _, _, told = self.wait([a_run()] * 13 + [a_run("Finished")], poll_interval=300.0)
        assert told == ["Running", "Running, unchanged for 10 min", "Running, unchanged for 30 min", "Finished"]

    @pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
    def test_steps_that_cannot_be_read_do_not_end_it(self, failure):
        last, _, told = self.wait([a_run(), a_run("Finished")], [failure])
        assert last.status == "Finished"
        assert [str(item) for item in told] == ["Running", "Finished"]

    @pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
    def test_a_run_that_cannot_be_read_does(self, failure):
        with pytest.raises(type(failure)):
            self.wait([a_run(), failure])

    def test_the_deadline_ends_it_with_the_run_as_it_is(self):
        last, service, _ = self.wait([a_run()], deadline=145.0)
        assert last.status == "Running"
        assert service.pauses == [30.0, 15.0], "the last pause is cut short"

    def test_a_deadline_that_has_passed_still_polls_once(self):
        last, service, _ = self.wait([a_run("Finished")], deadline=0.0)
        assert last.status == "Finished"
        last, service, _ = self.wait([a_run()], deadline=0.0)
        assert last.status == "Running"
        assert service.pauses == []


class TestObserveRun:
    def observe(self, runs, pages, **options):
        service = Service({TestWaitForRun.GET: runs, TestWaitForRun.CHILDREN: pages})
        seen = []
        options = {"poll_interval": 30.0, "notify": seen.append, "policy": RetryPolicy(), **options}
        return service.carry_out(flows.observe_run("r-1", "x", **options)), service, seen

    def test_every_poll_is_reported_with_its_steps(self):
        pages = [(a_step(status="Running"),), (a_step(status="Running"),), (a_step(),)]
        last, service, seen = self.observe([a_run(), a_run(), a_run("Finished")], pages)
        assert last is seen[-1].run
        assert [item.steps[0].status for item in seen] == ["Running", "Running", "Completed"]
        assert [item.problem for item in seen] == [None] * 3
        assert service.pauses == [30.0, 30.0]

    @pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
    def test_steps_that_cannot_be_read_are_a_problem_and_no_steps(self, failure):
        _, _, seen = self.observe([a_run("Finished")], [failure])
        assert (seen[0].steps, type(seen[0].problem)) == ((), type(failure))


class TestOutlastThrottling:
    def outlast(self, outcomes, **options):
        """Repeat a wait with these outcomes; return the result, the pauses and the errors that were logged."""
        left, logged = list(outcomes), []

        def wait():
            outcome = left.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
            yield

        flow = flows.outlast_throttling(wait, **{"deadline": None, "log": logged.append, **options})
        result, steps = play(flow, None)
        return result, len(steps), logged

    def test_a_busy_service_is_waited_for(self):
        busy = Throttled("x", status=429)
        assert self.outlast([busy, busy, "end"]) == ("end", 2, [busy, busy])

    def test_not_beyond_the_deadline(self):
        busy, now = Throttled("x", status=429), iter([1.0, 10.0])
        result, pauses, logged = self.outlast([busy, busy, "end"], deadline=10.0, now=lambda: next(now))
        assert (result, pauses, logged) == (busy, 1, [busy])

    def test_other_errors_end_it(self):
        error = ServerFault("x", status=500)
        assert self.outlast([error]) == (error, 0, [])


def test_a_target_and_a_progress_read_well():
    assert str(Target("pipeline", "p")) == "pipeline p"
    assert str(Target("endpoint", "e", "0")) == "endpoint e version 0"
    assert str(flows.Progress("Running")) == "Running"


def test_a_flow_that_swallows_an_error_goes_on_in_a_session():
    def flow():
        try:
            yield calls.get_run("r")
        except AzureMLError:
            return (yield calls.submit_pipeline("p", {}))

    result, _ = play(session(budget=0.0).run(flow()), reply(404), reply(body=b'{"Id": "r-2"}'))
    assert result.id == "r-2"
