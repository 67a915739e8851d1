"""Why a run failed, as far as it can be read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.drivers.driving import reply
from support.models.service import FAILURES, Service, a_run, a_step

from aml_provider.client.entities import RunDetails
from aml_provider.client.errors import NotFound, Unreachable
from aml_provider.client.flows import failures
from aml_provider.client.http.messages import Request


class TestExplainFailure:
    CHILDREN = "GET /experiments/x/runs/r-1/children"
    INSIDE = "GET /experiments/x/runs/s-train/children"
    DETAILS = "GET /experiments/x/runs/s-train/details"
    STDOUT = "POST /PipelineRuns/r-1/Graph/Shareable/STDOUT"
    LOG = "https://logs.example/std_log.txt?sig=a%2Fb"
    FAILED = a_step("train", "Failed", tags={"azureml.nodeid": "n-1"}, createdUtc="2026-11-22T11:00:01Z")

    def explain(self, *, ended=None, steps=(FAILED,), details=None, log=None, stdout=None):
        answers = {
            self.CHILDREN: steps if isinstance(steps, Exception) else tuple(steps),
            self.INSIDE: (),
            self.DETAILS: details or RunDetails("Boom.", {"user_logs/std_log.txt": self.LOG}),
            f"GET {self.LOG}": log or reply(body=b"one\ntwo\n"),
            self.STDOUT: stdout if stdout is not None else "from stdout",
        }
        service = Service(answers)
        return service.carry_out(failures.explain_failure(ended or a_run("Failed", "Detail."))), service

    def test_the_step_its_error_and_the_end_of_its_log(self):
        text, service = self.explain()
        assert text == "Step 'train' failed: Boom. \nThe end of its log:\n  | one\n  | two\n"
        assert self.STDOUT not in service.asked

    def test_a_logs_address_gets_no_token_and_is_shown_nowhere_and_is_asked_once(self):
        text, service = self.explain()
        (request,) = [item for item in service.steps if isinstance(item, Request)]
        assert (request.scope, request.url, request.query) == (None, self.LOG, ())
        assert not request.repeatable, "the storage of a closed network must not cost the whole budget"
        assert "sig" not in text + request.operation

    def test_several_failed_steps_are_named(self):
        text, _ = self.explain(steps=[self.FAILED, a_step("score", "Failed"), a_step("fine")])
        assert text.startswith("2 steps failed: train, score. Step 'train' failed: Boom.")
        assert "fine" not in text

    @pytest.mark.parametrize("steps", [(), (a_step("fine"),)])
    def test_without_a_failed_step_the_runs_own_detail(self, steps):
        assert self.explain(steps=steps)[0] == "Detail."

    @pytest.mark.parametrize("steps", [(), (a_step("fine"),)])
    def test_a_job_that_failed_as_a_whole_has_its_error_in_the_run_history(self, steps):
        service = Service({self.CHILDREN: steps, "GET /experiments/x/runs/r-1/details": RunDetails("No compute.", {})})
        assert service.carry_out(failures.explain_failure(a_run("Failed"))) == "No compute."

    @pytest.mark.parametrize("details", [RunDetails("", {}), *FAILURES], ids=lambda item: type(item).__name__)
    def test_a_job_that_failed_as_a_whole_without_a_reason(self, details):
        service = Service({self.CHILDREN: (), "GET /experiments/x/runs/r-1/details": details})
        assert service.carry_out(failures.explain_failure(a_run("Failed"))) == "The service gives no reason."

    @pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
    def test_steps_that_cannot_be_read(self, failure):
        text, _ = self.explain(steps=failure)
        assert text.startswith("Detail. (Its steps could not be read: ")

    def test_a_run_without_an_experiment(self):
        text, _ = self.explain(ended=replace(a_run("Failed", "Detail."), experiment_name=""))
        assert text.startswith("Detail. (Its steps could not be read: ")

    @pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
    def test_details_that_cannot_be_read(self, failure):
        text, _ = self.explain(details=failure)
        assert text == "Step 'train' failed: Detail. \nThe end of its log:\n  | from stdout\n"

    @pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
    def test_a_log_that_cannot_be_read(self, failure):
        text, _ = self.explain(log=failure)
        assert text.endswith("\nThe end of its log:\n  | from stdout\n")

    @pytest.mark.parametrize("status", [302, 403, 404, 500])
    def test_a_log_that_is_refused(self, status):
        assert "from stdout" in self.explain(log=reply(status, b"<Error>"))[0]

    @pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
    def test_nothing_can_be_read(self, failure):
        text, _ = self.explain(details=failure, stdout=failure)
        assert text == "Step 'train' failed: Detail."
        text, _ = self.explain(log=failure, stdout=failure)
        assert text == "Step 'train' failed: Boom."

    def test_nobody_gives_a_reason(self):
        text, _ = self.explain(
            ended=a_run("Failed"), details=NotFound("x", status=404), stdout=NotFound("x", status=404)
        )
        assert text == "Step 'train' failed: the service gives no reason."

    def test_a_step_without_a_node_has_no_output_to_ask_for(self):
        text, service = self.explain(steps=[a_step("train", "Failed")], details=RunDetails("Boom.", {}))
        assert text == "Step 'train' failed: Boom."
        assert self.STDOUT not in service.asked

    # github.com/Azure/azureml-examples/pull/3911
    def test_a_step_that_is_a_pipeline_itself_leads_to_the_step_in_it(self):
        inner = a_step("train", "Failed", tags={"azureml.nodeid": "n-2"})
        service = Service(
            {
                self.CHILDREN: (a_step("sub", "Failed", tags={"azureml.nodeid": "n-1"}),),
                "GET /experiments/x/runs/s-sub/children": (a_step("fine"), inner, a_step("upload", "Failed")),
                self.INSIDE: (),
                self.DETAILS: RunDetails("Boom.", {}),
                "POST /PipelineRuns/s-sub/Graph/Shareable/STDOUT": "from stdout",
            }
        )
        failure = service.carry_out(failures.find_failure(a_run("Failed", "Detail.")))
        assert failure.text == "Step 'train' of step 'sub' failed: Boom. \nThe end of its log:\n  | from stdout\n"
        assert failure.failed_steps == ("sub",)

    @pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
    def test_a_step_into_which_nobody_can_see_is_explained_itself(self, failure):
        service = Service(
            {self.CHILDREN: (a_step("train", "Failed"),), self.INSIDE: failure, self.DETAILS: RunDetails("Boom.", {})}
        )
        assert service.carry_out(failures.explain_failure(a_run("Failed"))) == "Step 'train' failed: Boom."

    def test_steps_in_steps_without_end_are_followed_for_a_while(self):
        service = Service(
            {
                self.CHILDREN: (a_step("train", "Failed"),),
                self.INSIDE: (a_step("train", "Failed"),),
                self.DETAILS: RunDetails("Boom.", {}),
            }
        )
        text = service.carry_out(failures.explain_failure(a_run("Failed")), most=10)
        assert text == f"Step {' of step '.join([repr('train')] * 5)} failed: Boom."

    def test_the_steps_own_log_comes_first_and_not_every_log_is_tried(self):
        files = {f"system_logs/{number}.txt": f"https://logs.example/{number}" for number in range(50)}
        files |= {"user_logs/std_log.txt": self.LOG, "picture.png": "https://logs.example/png"}
        service = Service(
            {
                self.CHILDREN: (self.FAILED,),
                self.INSIDE: (),
                self.DETAILS: RunDetails("Boom.", files),
                f"GET {self.LOG}": Unreachable("away"),
                **{f"GET https://logs.example/{number}": Unreachable("away") for number in range(50)},
                self.STDOUT: "from stdout",
            }
        )
        service.carry_out(failures.explain_failure(a_run("Failed")))
        tried = [item.url for item in service.steps if isinstance(item, Request)]
        assert tried[0] == self.LOG
        assert len(tried) <= 3
        assert "https://logs.example/png" not in tried

    def test_a_long_log_is_cut_to_its_end(self):
        text, _ = self.explain(log=reply(body="\n".join(f"line {number}" for number in range(1000)).encode()))
        assert "line 999" in text
        assert "line 980" in text
        assert "line 979" not in text

    def test_bytes_that_are_no_text_do_not_break_it(self):
        assert "\ufffd" in self.explain(log=reply(body=b"\xff\xfe\x80"))[0]
