"""Pipeline jobs: submitting, reading, streaming, cancelling, deleting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.ai.ml.exceptions import JobException, MlException
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from helpers import FOLDER, call, inner_code, inputs_of, submit, written, yaml_job

examines = pytest.mark.examines


@examines("JobOperations.create_or_update", "JobOperations.get")
def test_a_job_of_a_component_that_is_called_in_python(ml, emulator):
    made = submit(ml)
    found = ml.jobs.get("score-1")
    assert (made.name, found.name, found.type) == ("score-1", "score-1", "pipeline")
    assert (found.display_name, found.experiment_name) == ("Score files", "scoring")
    assert found.component.endswith("/components/score_files/versions/2")
    assert inputs_of(found) == {"input_datapath": FOLDER}
    assert found.services["Studio"].endpoint.startswith(f"{emulator.url}/runs/score-1?wsid=")
    assert found.creation_context.created_at
    emulator.advance(60)
    assert ml.jobs.get("score-1").status == "Completed"


@examines("JobOperations.create_or_update", "JobOperations.get")
def test_a_job_from_a_file(ml):
    job = yaml_job(
        more="""
display_name: morning
description: from a file
tags: {a: b}
properties: {k: v}
outputs:
  scores: {type: uri_folder, path: "azureml://datastores/workspaceblobstore/paths/out/", mode: upload}
"""
    )
    job.settings.continue_on_step_failure, job.settings.default_datastore = True, "workspaceblobstore"
    ml.jobs.create_or_update(job)
    found = ml.jobs.get("yaml-1")
    assert (found.display_name, found.tags, found.properties["k"]) == ("morning", {"a": "b"}, "v")
    assert found.properties["azureml.continue_on_step_failure"] == "True"
    assert (found.settings.continue_on_step_failure, found.settings.default_datastore) == (True, "workspaceblobstore")
    assert found.outputs["scores"]._data.path == "azureml://datastores/workspaceblobstore/paths/out/"
    assert found.outputs["scores"]._data.mode == "upload"


@examines("JobOperations.create_or_update")
@pytest.mark.parametrize("component", ["score_files@latest", "score_files@default"])
def test_a_label_names_the_newest_version(ml, emulator, component):
    ml.jobs.create_or_update(yaml_job(component=component))
    assert emulator.jobs()["yaml-1"]["component_id"] == "score_files:2"


@examines("JobOperations.create_or_update")
def test_the_arguments_of_the_submission(ml):
    job = yaml_job()
    made = ml.jobs.create_or_update(
        job, description="d", compute="gpu-cluster", tags={"x": "y"}, experiment_name="other", skip_validation=True
    )
    assert (made.tags, made.experiment_name) == ({"x": "y"}, "other")


@examines("JobOperations.create_or_update", "JobOperations.get")
def test_a_job_without_a_name_gets_one_from_the_sdk(ml):
    job = call(ml)
    job.name = None
    made = ml.jobs.create_or_update(job)
    assert ml.jobs.get(made.name).component == made.component


@examines("JobOperations.create_or_update", "JobOperations.list")
def test_a_job_of_several_components(ml, emulator):
    job = written(
        f"""
type: pipeline
name: several
experiment_name: scoring
inputs:
  folder: {{type: uri_folder, path: "{FOLDER}"}}
  names: f.csv
jobs:
  one:
    type: pipeline
    component: azureml:score_files:1
    inputs: {{input_datapath: "${{{{parent.inputs.folder}}}}", input_string: "${{{{parent.inputs.names}}}}"}}
  two:
    type: pipeline
    component: azureml:score_files@latest
    inputs: {{input_datapath: {{type: uri_folder, path: "{FOLDER}"}}, input_string: "f.csv"}}
  three:
    type: command
    component: azureml:count_rows:1
    inputs: {{data: {{type: uri_file, path: "{FOLDER}f.csv"}}}}
settings: {{default_compute: azureml:cpu-cluster, continue_on_step_failure: true}}
"""
    )
    made = ml.jobs.create_or_update(job)
    assert list(made.jobs) == ["one", "two", "three"]
    emulator.advance(60)
    steps = [(item.display_name, item.status) for item in ml.jobs.list(parent_job_name="several")]
    assert steps == [(name, "Completed") for name in ("read", "score", "read", "score", "three")]


@examines("JobOperations.create_or_update")
def test_a_pipeline_in_python(ml, emulator):
    from azure.ai.ml import Input, dsl

    score = ml.components.get("score_files", "2")

    @dsl.pipeline(name="twice", default_compute="cpu-cluster", experiment_name="scoring")
    def twice(folder):
        score(input_datapath=folder)
        score(input_datapath=folder)

    job = twice(folder=Input(type="uri_folder", path=FOLDER))
    job.name = "twice-1"
    assert list(ml.jobs.create_or_update(job).jobs) == ["score_files", "score_files_1"]
    emulator.advance(60)
    assert ml.jobs.get("twice-1").status == "Completed"


@examines("JobOperations.create_or_update")
@pytest.mark.parametrize(
    ("component", "code"),
    [("score_files:9", "ComponentNotFound"), ("nope:1", "ComponentNotFound"), ("count_rows:1", "BadArgument")],
)
def test_a_component_that_cannot_be_run_is_refused_by_the_server(ml, emulator, component, code):
    with pytest.raises(HttpResponseError) as raised:
        ml.jobs.create_or_update(yaml_job(component=component))
    assert (raised.value.status_code, inner_code(raised.value)) == (400, code)
    assert emulator.jobs() == {}


@examines("JobOperations.get")
def test_get_of_a_missing_job(ml):
    with pytest.raises(ResourceNotFoundError, match="nope"):
        ml.jobs.get("nope")


@examines("JobOperations.validate")
def test_a_job_is_valid(ml, emulator):
    assert ml.jobs.validate(call(ml)).passed
    assert emulator.jobs() == {}


@examines("JobOperations.validate", "JobOperations.create_or_update")
def test_a_job_whose_steps_have_no_compute_is_refused_by_the_sdk(ml):
    job = call(ml)
    job.settings.default_compute = None
    assert set(ml.jobs.validate(job).error_messages) == {"jobs.read.compute", "jobs.score.compute"}
    with pytest.raises(MlException, match="Compute not set"):
        ml.jobs.create_or_update(job)


@examines("JobOperations.validate")
def test_a_compute_is_looked_up(ml, emulator):
    job = yaml_job()
    job.compute = "gpu-cluster"
    assert ml.jobs.validate(job).passed
    assert emulator.requests("GET", "/computes/gpu-cluster")


def finish_while_streamed(emulator):
    """Move the clock as soon as the SDK has read the details of a running job a second time."""
    # Bounded, so that a stream that reads nothing fails and does not hang.
    for _ in range(5000):
        if len(emulator.requests("GET", "/details")) >= 2:
            emulator.advance(60)
            return
    raise AssertionError("the SDK has not read the details of the job twice")


@pytest.fixture
def finished_while_streamed(emulator):
    """Call it before the stream begins; the job then ends during the stream."""
    with ThreadPoolExecutor(1) as pool:
        started = []
        yield lambda: started.append(pool.submit(finish_while_streamed, emulator))
        for future in started:
            future.result(60)


@examines("JobOperations.stream")
def test_the_log_of_a_running_job_is_printed(ml, emulator, finished_while_streamed, capsys):
    submit(ml)
    emulator.advance(1)
    finished_while_streamed()
    ml.jobs.stream("score-1")
    printed = capsys.readouterr().out
    assert "Streaming logs/azureml/executionlogs.txt" in printed
    assert "step read queued" in printed
    assert "Execution Summary" in printed


@examines("JobOperations.stream")
def test_the_stream_of_a_failed_job_raises_its_error(ml, emulator, finished_while_streamed, capsys):
    submit(ml, component="fails_at_train", version="1")
    finished_while_streamed()
    with pytest.raises(JobException, match="the disk is full"):
        ml.jobs.stream("score-1")


@examines("JobOperations.stream")
def test_the_stream_of_an_ended_or_missing_job(ml, emulator, capsys):
    submit(ml)
    emulator.advance(60)
    ml.jobs.stream("score-1")
    assert "RunId: score-1" in capsys.readouterr().out
    with pytest.raises(ResourceNotFoundError):
        ml.jobs.stream("nope")


@examines("JobOperations.begin_cancel")
def test_a_job_is_cancelled(ml, emulator):
    submit(ml, component="long_running", version="1")
    emulator.advance(10)
    assert ml.jobs.begin_cancel("score-1").result(60) is None
    assert ml.jobs.get("score-1").status == "Canceled"
    # A second time, which changes nothing.
    ml.jobs.begin_cancel("score-1").result(60)


@examines("JobOperations.begin_cancel")
def test_a_cancellation_that_takes_time_is_polled(serve):
    emulator, ml = serve("--quirk", "slow_cancel=20s")
    submit(ml, component="long_running", version="1")
    poller = ml.jobs.begin_cancel("score-1", polling_interval=0)
    poller.result(60)
    assert poller.done()
    assert ml.jobs.get("score-1").status == "Canceled"
    assert emulator.requests("GET", "/operations/")


@examines("JobOperations.begin_cancel")
def test_jobs_are_cancelled_by_tag(ml):
    for name, tag in (("one", "night"), ("two", "night"), ("three", "day")):
        ml.jobs.create_or_update(call(ml, name, "long_running", "1"), tags={tag: "x"})
    assert len(ml.jobs.begin_cancel("", tag="night")) == 2
    assert [ml.jobs.get(name).status == "Canceled" for name in ("one", "two", "three")] == [True, True, False]


@examines("JobOperations.begin_delete", "JobOperations.get")
def test_an_ended_job_is_deleted(ml, emulator):
    submit(ml)
    with pytest.raises(HttpResponseError) as raised:
        ml.jobs.begin_delete("score-1").result(60)
    assert inner_code(raised.value) == "JobActive"
    emulator.advance(60)
    ml.jobs.begin_delete("score-1").result(60)
    with pytest.raises(ResourceNotFoundError):
        ml.jobs.get("score-1")


@examines("JobOperations.begin_cancel", "JobOperations.begin_delete")
def test_a_missing_job_is_neither_cancelled_nor_deleted(ml):
    for operation in (ml.jobs.begin_cancel, ml.jobs.begin_delete):
        with pytest.raises(ResourceNotFoundError, match="nope"):
            operation("nope")


@examines("JobOperations.show_services")
def test_a_job_has_no_interactive_services(ml):
    submit(ml)
    assert ml.jobs.show_services("score-1") is None


@examines("JobOperations.create_or_update")
@pytest.mark.parametrize("status", [500, 503])
def test_a_job_whose_reply_was_lost_is_there_once(ml, emulator, status):
    emulator.refuse(status, method="PUT", path="*/jobs/*", after_commit=True)
    assert submit(ml).name == "score-1"
    assert list(emulator.jobs()) == ["score-1"]
