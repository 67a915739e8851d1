"""The steps of pipeline runs: their states, logs, files, outputs and metrics."""

from __future__ import annotations

import pytest
from azureml._common.exceptions import AzureMLException
from azureml._restclient.exceptions import ServiceException
from azureml.core import Experiment, Run
from azureml.exceptions import ActivityFailedException
from azureml.pipeline.core import StepRun
from helpers import step

examines = pytest.mark.examines


@pytest.fixture
def plain_step(running, workspace):
    """A running step as a plain run of run history, without the pipeline's methods."""
    return Run(Experiment(workspace, "nightly"), step(running, "work").id)


@examines("StepRun.wait_for_completion")
def test_waiting_for_a_step(failed):
    assert step(failed, "prepare").wait_for_completion(show_output=False) == "Finished"
    with pytest.raises(ActivityFailedException, match="the disk is full"):
        step(failed, "train").wait_for_completion(show_output=False)


@examines("PipelineRun.get_steps", "PipelineRun.find_step_run", "Run.get_children", "StepRun.pipeline_run_id")
def test_the_steps_of_a_run(finished):
    steps = list(finished.get_steps())
    assert {item.name for item in steps} == {"read", "score"}
    assert {item.type for item in finished.get_children()} == {"azureml.StepRun"}
    assert all(isinstance(item, StepRun) for item in steps)
    assert {item.pipeline_run_id for item in steps} == {finished.id}
    assert {item.parent.id for item in steps} == {finished.id}
    assert [item.id for item in finished.find_step_run("score")] == [step(finished, "score").id]
    assert finished.find_step_run("no such step") == []


@examines("Run.get_children")
def test_children_by_status(failed):
    assert [item.name for item in failed.get_children(status="Failed")] == ["train"]
    assert {item.name for item in failed.get_children(recursive=True)} == {"prepare", "train"}


@examines("StepRun.get_status")
def test_the_status_of_a_step(running, failed):
    assert {item.name: item.get_status() for item in running.get_steps()} == {"warm-up": "Finished", "work": "Running"}
    assert {item.name: item.get_status() for item in failed.get_steps()} == {"prepare": "Finished", "train": "Failed"}


@examines("StepRun.get_stdout_log", "StepRun.get_stderr_log", "StepRun.get_job_log")
def test_the_logs_of_a_step(failed):
    assert step(failed, "prepare").get_stdout_log().splitlines() == ["3 rows prepared"]
    train = step(failed, "train")
    assert train.get_stdout_log().splitlines() == ["loading the model", "the disk is full"]
    assert train.get_stderr_log().strip() == "the disk is full"
    assert "loading the model" in train.get_job_log()


@examines("StepRun.get_details_with_logs", "Run.get_details")
def test_the_details_of_a_step_hold_its_logs(failed):
    details = step(failed, "train").get_details_with_logs()
    assert (details["status"], details["error"]["error"]["message"].count("the disk is full")) == ("Failed", 1)
    assert {"STDOUT", "STDERR", "JOBLOG"} < set(details["logFiles"])
    assert "loading the model" in details["logFiles"]["user_logs/std_log.txt"]


@examines("Run.get_all_logs")
def test_all_logs_of_a_step_as_files(failed, tmp_path):
    files = step(failed, "train").get_all_logs(destination=str(tmp_path))
    assert str(tmp_path / "user_logs/std_log.txt") in files
    assert "loading the model" in (tmp_path / "user_logs/std_log.txt").read_text()


@examines("Run.get_file_names", "Run.download_file", "Run.download_files")
def test_the_files_of_a_step(failed, tmp_path):
    train = step(failed, "train")
    assert train.get_file_names() == ["user_logs/std_log.txt"]
    train.download_file("user_logs/std_log.txt", output_file_path=str(tmp_path / "one"))
    assert "loading the model" in (tmp_path / "one").read_text()
    train.download_files(prefix="user_logs", output_directory=str(tmp_path / "all"))
    assert (tmp_path / "all/user_logs/std_log.txt").read_text() == (tmp_path / "one").read_text()


@examines("Run.download_file")
def test_a_missing_file(failed, tmp_path):
    with pytest.raises(AzureMLException, match="no-such-file"):
        step(failed, "train").download_file("no-such-file", output_file_path=str(tmp_path / "one"))


@examines(
    "StepRun.get_outputs", "StepRun.get_output", "StepRun.get_output_data", "StepRunOutput.get_port_data_reference"
)
@examines("PortDataReference.name", "PortDataReference.datastore_name", "PortDataReference.path_on_datastore")
@examines("PortDataReference.datastore")
def test_the_outputs_of_a_step(finished):
    score = step(finished, "score")
    name = f"{finished.id}.json"
    assert list(score.get_outputs()) == [name]
    data = score.get_output_data(name)
    assert data.datastore_name == score.get_output(name).get_port_data_reference().datastore_name
    assert (data.name, data.datastore_name, data.datastore.name) == (name, "workspaceblobstore", "workspaceblobstore")
    assert data.path_on_datastore == f"results/{finished.id}.json"
    assert step(finished, "read").get_outputs() == {}


@examines("PipelineRun.get_pipeline_output")
def test_the_output_of_a_pipeline(finished):
    data = finished.get_pipeline_output(f"{finished.id}.json")
    assert data.path_on_datastore == f"results/{finished.id}.json"


@examines("Run.get_tags", "Run.tag")
def test_tags_of_a_step(finished):
    score = step(finished, "score")
    score.tag("checked", "yes")
    assert score.get_tags()["checked"] == "yes"
    assert score.get_tags()["azureml.pipeline"] == finished.id
    assert "checked" not in step(finished, "read").get_tags()


@examines("Run.log", "Run.log_list", "Run.log_row", "Run.log_table", "Run.flush", "Run.get_metrics")
def test_logged_metrics_are_read_back(workspace, plain_step):
    plain_step.log("rows", 3)
    plain_step.log_list("losses", [0.5, 0.25])
    plain_step.log_row("best", epoch=2, loss=0.25)
    plain_step.log_table("epochs", {"epoch": [1, 2], "loss": [0.5, 0.25]})
    plain_step.flush()
    assert Run.get(workspace, plain_step.id).get_metrics() == {
        "rows": 3,
        "losses": [0.5, 0.25],
        "best": {"epoch": 2, "loss": 0.25},
        "epochs": {"epoch": [1, 2], "loss": [0.5, 0.25]},
    }
    assert plain_step.get_metrics(name="rows") == {"rows": 3}


@examines("Run.get_snapshot_id")
def test_a_run_has_no_snapshot(plain_step):
    assert plain_step.get_snapshot_id() is None


@examines("Run.start", "Run.complete", "Run.fail")
def test_only_the_pipelines_service_changes_the_status_of_a_run(plain_step):
    for change in (plain_step.start, plain_step.complete, plain_step.fail):
        with pytest.raises(ServiceException, match="pipelines service") as refusal:
            change()
        assert refusal.value.status_code == 400
    assert plain_step.get_status() == "Running"


@examines("Run.cancel")
def test_a_step_cannot_be_cancelled_alone(running, plain_step):
    with pytest.raises(ServiceException, match=running.id) as refusal:
        plain_step.cancel()
    assert refusal.value.status_code == 400
    assert plain_step.get_status() == "Running"


@examines("Run.wait_for_completion")
def test_waiting_for_a_step_through_history(plain_step, emulator):
    emulator.advance(3600)
    assert plain_step.wait_for_completion()["status"] == "Completed"
