"""Cancelling a run: the tag first, then the cancel, then the end."""

from __future__ import annotations

import pytest
from support.models.service import FAILURES, Service, a_run

from aml_provider.client.errors import (
    BadRequest,
    Conflict,
    NotFound,
    PermissionDenied,
)
from aml_provider.client.flows.cancel_run import cancel_run


class TestCancelRun:
    GET = "GET /PipelineRuns/r-1"
    TAG = "PATCH /experiments/x/runs/r-1"
    CANCEL = "DELETE /PipelineRuns/r-1/Execution"

    def cancel(self, runs, tag=None, cancel=None, **options):
        service = Service({self.GET: runs, self.TAG: tag, self.CANCEL: cancel})
        notes = []
        flow = cancel_run("r-1", "x", **{"reason": "why", "log": notes.append, **options})
        return service.carry_out(flow), service, notes

    @pytest.mark.parametrize("status", ["Finished", "Failed", "Canceled"])
    def test_a_run_that_has_ended_is_not_touched(self, status):
        last, service, _ = self.cancel([a_run(status)])
        assert last.status == status
        assert service.asked == [self.GET]

    def test_the_cancel_tag_is_set_first_and_the_end_is_waited_for(self):
        last, service, notes = self.cancel([a_run(), a_run(), a_run("CancelRequested"), a_run("Canceled")])
        assert last.status == "Canceled"
        assert service.asked == [self.GET, self.TAG, self.CANCEL, self.GET, self.GET, self.GET]
        assert service.steps[1].body == {"runId": "r-1", "tags": {"airflow.cancel": "why"}}
        assert notes == []

    def test_twice_does_no_harm(self):
        for _ in range(2):
            last, _, _ = self.cancel([a_run(), a_run("Canceled")])
            assert last.status == "Canceled"

    @pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
    def test_a_mark_that_fails_is_noted_and_the_run_cancelled(self, failure):
        last, service, notes = self.cancel([a_run(), a_run("Canceled")], tag=failure)
        assert last.status == "Canceled"
        assert self.CANCEL in service.asked
        assert len(notes) == 1
        assert "r-1" in notes[0]

    def test_a_run_that_history_does_not_know_yet_gets_its_tag_after_the_cancel(self):
        missing = NotFound("x", status=404)
        last, service, notes = self.cancel([a_run(), a_run("Canceled")], tag=[missing, missing, None])
        assert last.status == "Canceled"
        marked = [self.CANCEL, self.GET, self.TAG, self.GET, self.TAG]
        assert service.asked == [self.GET, self.TAG, *marked]
        assert len(notes) == 1

    def test_a_run_that_history_never_knows_is_given_up_after_some_seconds(self):
        _, service, _ = self.cancel([a_run(), a_run("Canceled")], tag=NotFound("x", status=404), timeout=0.0)
        assert 1 <= sum(service.pauses) <= 3

    @pytest.mark.parametrize("kind", [BadRequest, Conflict])
    def test_a_run_that_ends_in_that_very_moment_is_no_error(self, kind):
        last, _, _ = self.cancel([a_run(), a_run("Finished")], cancel=kind("x", status=400))
        assert last.status == "Finished"

    @pytest.mark.parametrize("kind", [BadRequest, Conflict])
    def test_a_refusal_for_a_run_that_goes_on_is_one(self, kind):
        with pytest.raises(kind):
            self.cancel([a_run()], cancel=kind("x", status=400))

    def test_a_missing_right_is_logged(self):
        with pytest.raises(PermissionDenied):
            self.cancel([a_run()], cancel=PermissionDenied("x", status=403))

    def test_the_timeout_ends_the_wait_and_not_the_cancel(self):
        last, service, _ = self.cancel([a_run()], timeout=5.0)
        assert last.status == "Running"
        assert service.pauses == [2.0, 2.0, 2.0]

    def test_without_a_timeout_it_polls_once(self):
        _, service, _ = self.cancel([a_run()], timeout=0.0)
        assert service.pauses == []
        assert service.asked[-1] == self.GET
