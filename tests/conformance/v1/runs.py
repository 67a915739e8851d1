"""Pipeline runs."""

from __future__ import annotations

import pytest
from azureml._common.exceptions import AzureMLException
from azureml._restclient.exceptions import ServiceException
from azureml.core import Experiment, Run
from azureml.exceptions import ActivityFailedException
from azureml.pipeline.core import PipelineRun
from azureml.pipeline.core._restclients.aeva.models import ErrorResponseException
from helpers import submit
from seeded import LONG, SCORE, UNKNOWN

examines = pytest.mark.examines


@examines("Run.get", "Workspace.get_run", "PipelineRun.get")
def test_a_run_is_found_by_its_id_alone(workspace):
    run = submit(workspace, SCORE)
    for found in (Run.get(workspace, run.id), workspace.get_run(run.id), PipelineRun.get(workspace, run.id)):
        assert isinstance(found, PipelineRun)
        assert (found.id, found.experiment.name) == (run.id, "nightly")


@examines("Run.get", "Workspace.get_run")
def test_an_unknown_run_is_a_404(workspace):
    with pytest.raises(ServiceException, match=UNKNOWN) as refusal:
        workspace.get_run(UNKNOWN)
    assert refusal.value.status_code == 404


@examines("Run.id", "Run.name", "Run.number", "Run.type", "Run.status", "Run.description", "Run.experiment")
def test_the_fields_of_a_run(finished):
    assert (finished.id, finished.type, finished.status) == (finished.id, "azureml.PipelineRun", "Completed")
    assert (finished.number, finished.experiment.name) == (1, "nightly")
    assert finished.name == finished.description == "nightly"


@examines("Run.properties", "Run.get_properties")
def test_the_properties_of_a_run_name_its_pipeline(finished):
    properties = finished.get_properties()
    assert properties == finished.properties
    assert properties["azureml.pipelineid"] == SCORE
    assert (properties["azureml.runsource"], properties["runSource"]) == ("azureml.PipelineRun", "SDK")
    assert properties["runType"] == "SDK"


@examines("PipelineRun.get_status", "Run.status")
def test_the_status_follows_the_run(workspace, emulator):
    emulator.hold()
    run = submit(workspace, LONG)
    assert (run.get_status(), run.status) == ("NotStarted", "NotStarted")
    emulator.advance(60)
    assert (run.get_status(), Run.get(workspace, run.id).status) == ("Running", "Running")
    emulator.advance(3600)
    assert (run.get_status(), Run.get(workspace, run.id).status) == ("Finished", "Completed")


@examines("Run.get_detailed_status")
def test_the_detailed_status_of_a_running_run(running):
    assert running.get_detailed_status() == {"status": "Running", "details": None}


@examines("PipelineRun.wait_for_completion")
def test_waiting_without_output(workspace):
    run = submit(workspace, SCORE)
    assert run.wait_for_completion(show_output=False) == "Finished"


@examines("PipelineRun.wait_for_completion", "StepRun.wait_for_completion")
def test_waiting_with_output_streams_the_steps(workspace, emulator, capsys):
    emulator.set_speed(0.5)  # so that the SDK, which polls every second, sees running steps
    run = submit(workspace, LONG)
    emulator.advance(2)
    emulator.set_speed(3600)
    assert run.wait_for_completion(show_output=True) == "Finished"
    output = capsys.readouterr().out
    assert "PipelineRun Status: Running" in output
    assert "StepRun(work) Execution Summary" in output
    assert "PipelineRun Execution Summary" in output


@examines("PipelineRun.wait_for_completion")
def test_waiting_for_a_run_that_fails_raises_with_the_reason(failed):
    with pytest.raises(ActivityFailedException, match="the disk is full"):
        failed.wait_for_completion(show_output=False)
    assert failed.wait_for_completion(show_output=False, raise_on_error=False) == "Failed"


@examines("PipelineRun.wait_for_completion")
def test_waiting_for_a_run_that_fails_shows_the_reason(failed, capsys):
    assert failed.wait_for_completion(show_output=True, raise_on_error=False) == "Failed"
    assert "the disk is full" in capsys.readouterr().out


@examines("PipelineRun.cancel", "PipelineRun.get_status")
def test_cancelling_a_run_cancels_the_step_that_runs(workspace, running, emulator):
    running.cancel()
    assert running.get_status() == "Canceled"
    assert Run.get(workspace, running.id).status == "Canceled"
    assert {item.name: item.get_status() for item in running.get_steps()} == {"warm-up": "Finished", "work": "Canceled"}
    assert emulator.runs()[running.id]["canceled"]


@examines("PipelineRun.cancel")
def test_cancel_after_the_end_changes_nothing(workspace, finished):
    finished.cancel()
    assert Run.get(workspace, finished.id).status == "Completed"


@examines("PipelineRun.cancel")
def test_cancel_of_an_unknown_run(workspace, finished):
    finished._run_id = UNKNOWN
    with pytest.raises(ErrorResponseException, match=UNKNOWN) as refusal:
        finished.cancel()
    assert refusal.value.response.status_code == 404


@examines("Run.parent")
def test_a_plain_run_has_no_parent(finished):
    assert finished.parent is None


@examines("Run.get_details", "Run.get_details_with_logs")
def test_the_details_of_a_run(finished, failed):
    details = finished.get_details()
    assert (details["runId"], details["status"]) == (finished.id, "Completed")
    assert details["endTimeUtc"] > details["startTimeUtc"]
    assert "error" not in details
    (log,) = details["logFiles"]
    assert "step score finished" in finished.get_details_with_logs()["logFiles"][log]
    assert "the disk is full" in failed.get_details()["error"]["error"]["message"]


@examines("Run.tag", "Run.set_tags", "Run.tags", "Run.remove_tags", "PipelineRun.get_tags")
def test_tags_with_and_without_a_value(workspace, finished):
    before = finished.get_tags()
    finished.tag("flag")
    finished.tag("team", "data")
    finished.set_tags({"team": "science", "stage": "final"})
    assert finished.get_tags() == before | {"flag": None, "team": "science", "stage": "final"}
    assert Run.get(workspace, finished.id).tags == finished.get_tags()
    finished.remove_tags(["flag", "stage"])
    assert Run.get(workspace, finished.id).get_tags() == before | {"team": "science"}


@examines("Run.add_properties", "Run.get_properties")
def test_properties_are_written_once(workspace, finished):
    finished.add_properties({"model": "m1"})
    assert Run.get(workspace, finished.id).get_properties()["model"] == "m1"
    with pytest.raises(ServiceException, match="model") as refusal:
        finished.add_properties({"model": "m2"})
    assert refusal.value.status_code == 400
    assert Run.get(workspace, finished.id).get_properties()["model"] == "m1"


@examines("Run.display_name")
def test_the_display_name_of_a_run_can_be_changed(workspace, finished):
    assert finished.display_name == "nightly"
    finished.display_name = "The best run"
    assert Run.get(workspace, finished.id).display_name == "The best run"


@examines("Run.get_metrics")
def test_a_run_without_metrics(finished):
    assert finished.get_metrics() == {}


@examines("Run.get_portal_url", "Run.portal_url")
def test_the_portal_url_opens_the_run(finished, emulator):
    url = finished.get_portal_url()
    assert url.startswith(f"{emulator.url}/runs/{finished.id}?wsid=/subscriptions/")
    page = emulator.call("GET", url.removeprefix(emulator.url))
    assert (page.status_code, finished.id in page.text) == (200, True)
    assert finished.portal_url == emulator.url


@examines("Run.get_status", "Run.cancel")
def test_a_pipeline_run_is_cancelled_through_history(workspace, running):
    plain = Run(Experiment(workspace, "nightly"), running.id)
    assert plain.get_status() == "Running"
    plain.cancel()
    assert plain.get_status() == "Canceled"
    assert running.get_status() == "Canceled"


@pytest.mark.parametrize("status", [401, 404, 409])
@examines("Run.tag")
def test_a_refusal_of_history_reaches_the_user(finished, emulator, status):
    emulator.refuse(status, method="PATCH", path="*/runs/*")
    with pytest.raises(ServiceException) as refusal:
        finished.tag("flag")
    assert refusal.value.status_code == status
    assert "fault" in str(refusal.value).lower()


@examines("Run.tag")
def test_the_sdk_has_its_own_message_for_a_403_of_history(finished, emulator):
    emulator.refuse(403, method="PATCH", path="*/runs/*")
    with pytest.raises(AzureMLException, match=r"(?i)authoriz"):
        finished.tag("flag")


@pytest.mark.parametrize("status", [429, 500, 503])
@examines("Run.tag")
def test_failed_calls_of_history_are_repeated(finished, emulator, status):
    emulator.forget_requests()
    emulator.refuse(status, method="PATCH", path="*/runs/*")
    finished.tag("flag")
    assert "flag" in finished.get_tags()
    assert [request["status"] for request in emulator.requests("PATCH")] == [status, 200]


@examines("Run.get")
def test_a_run_with_the_experiment_only(workspace, finished):
    again = PipelineRun(Experiment(workspace, "nightly"), finished.id)
    assert again.get_status() == "Finished"
    with pytest.raises(ServiceException):
        PipelineRun(Experiment(workspace, "weekly"), finished.id)
    assert Run.get(workspace, again.id).id == finished.id
