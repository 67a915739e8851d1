"""The hook's methods for components, batch endpoints and pipeline jobs."""

from __future__ import annotations

import pytest

from aml_provider.client.entities import RunState
from aml_provider.client.errors import AzureMLError, PipelineError
from aml_provider.client.specs.job import is_own_job_id
from aml_provider.compat import AirflowFailException

DATA = {"input_datapath": "workspaceblobstore/incoming"}


def sent(emulator):
    """The body of the one job that was submitted."""
    (put,) = emulator.requests("PUT", "/jobs/")
    return put["body"]["properties"]


def test_components_and_their_inputs(hook):
    assert {"score_files", "typed_inputs"} <= {item.name for item in hook.list_components()}
    newest = hook.get_component("score_files")
    assert (newest.version, newest.is_pipeline, newest.data_inputs) == ("2", True, (("input_datapath", "uri_folder"),))
    assert hook.get_component("score_files", "1").version == "1"
    with pytest.raises(AirflowFailException, match="did you mean 'score_files'") as caught:
        hook.get_component("score_file")
    assert isinstance(caught.value, PipelineError)


def test_batch_endpoints_and_their_deployments(hook):
    (listed,) = hook.list_batch_endpoints()
    assert listed == hook.get_batch_endpoint("score-batch")
    assert listed.default_deployment == "current"
    deployments = {item.name: item for item in hook.list_batch_deployments("score-batch")}
    assert deployments["previous"].component_id.endswith("/components/score_files/versions/1")
    assert deployments["current"].settings["default_compute"] == "cpu-cluster"


def test_a_job_of_a_component(emulator, hook):
    job = hook.submit_job(
        component_name="score_files",
        experiment_name="scoring",
        parameters={"input_string": "a.csv"},
        data_paths=DATA,
        tags={"team": "ml"},
        compute="cpu-cluster",
    )
    assert is_own_job_id(job.id)
    assert (job.state, job.experiment_name, job.tags) == (RunState.NOT_STARTED, "scoring", {"team": "ml"})
    assert job.pipeline_id.endswith("/components/score_files/versions/2")
    assert sent(emulator)["settings"]["default_compute"].endswith("/workspaces/ws/computes/cpu-cluster")
    emulator.clock.advance(3600)
    assert hook.get_job(job.id).state is RunState.FINISHED
    assert hook.get_run(job.id).state is RunState.FINISHED
    assert [step.status for step in hook.list_steps(job.id)] == ["Completed", "Completed"]
    assert hook.wait_for_run(job.id).state is RunState.FINISHED
    assert hook.list_runs(experiment_name="scoring")[0].id == job.id


@pytest.mark.parametrize(("deployment", "version"), [(None, "2"), ("previous", "1")])
def test_a_job_through_a_batch_endpoint(emulator, hook, deployment, version):
    job = hook.submit_job(
        batch_endpoint_name="score-batch",
        deployment_name=deployment,
        experiment_name="scoring",
        job_id="mine-1",
        data_paths=DATA,
    )
    assert job.id == "mine-1"
    body = sent(emulator)
    assert body["componentId"].endswith(f"/components/score_files/versions/{version}")
    assert body["settings"]["default_compute"].endswith("/computes/cpu-cluster")
    assert body["settings"]["continue_on_step_failure"] is False
    assert emulator.requests("POST", "/inference/") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "component_name, batch_endpoint_name"),
        ({"component_name": "score_files", "batch_endpoint_name": "score-batch"}, "give only one of them"),
        ({"component_name": "score_files", "parameters": {"input_string": ""}}, "is an empty text"),
        (
            {"component_name": "score_files", "data_paths": {"other": "store/x"}},
            "data_paths\\['other'\\]: is not an input",
        ),
    ],
)
def test_what_cannot_be_sent_is_not(emulator, hook, arguments, said):
    with pytest.raises(AirflowFailException, match=said):
        hook.submit_job(experiment_name="scoring", **arguments)
    assert emulator.requests("PUT", "/jobs/") == []


def test_after_a_lost_reply_the_error_names_the_job(emulator, hook):
    emulator.faults.add("status", status=500, after_commit=True, method="PUT", path="*/jobs/*")
    with pytest.raises(AzureMLError, match="submit job 'airflow-") as caught:
        hook.submit_job(component_name="long_running", experiment_name="scoring")
    assert caught.value.in_doubt
    job_id = str(caught.value).partition("'")[2].partition("'")[0]
    assert hook.get_job(job_id).id == job_id
    assert len(emulator.requests("PUT", "/jobs/")) == 1


def test_jobs_are_listed_and_cancelled(emulator, hook):
    first = hook.submit_job(component_name="long_running", experiment_name="scoring", tags={"team": "ml"})
    second = hook.submit_job(component_name="long_running", experiment_name="other")
    assert {job.id for job in hook.list_jobs()} == {first.id, second.id}
    assert [job.id for job in hook.list_jobs(tag="team")] == [first.id]
    assert hook.list_jobs(properties={"airflow.key": "none"}) == ()
    assert len(hook.list_jobs(limit=1)) == 1
    ended = hook.cancel_job(first.id, reason="not needed")
    assert ended.state is RunState.CANCELED
    assert hook.get_job(first.id).tags["airflow.cancel"] == "not needed"
    assert not hook.get_job(second.id).state.is_final


def test_a_published_pipelines_run_is_not_a_job(hook, finished):
    with pytest.raises(AirflowFailException, match="404"):
        hook.get_job(finished.id)
