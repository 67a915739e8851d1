"""The run operator with a component: the same promises, and a job whose id is known before it is submitted."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import httpx
import pytest
from support.airflow.task import RunPipeline
from support.services.local_workspace import serving
from support.services.recorded_workspace import TOKEN

from aml_provider.client.errors import BadRequest, ForeignRun, RunCanceled, RunFailed, RunTimedOut, ServerFault
from aml_provider.client.specs.job import is_own_job_id
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AirflowFailException, TaskDeferred
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.state import variables

JOBS = "*/jobs/*"


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory, airflow):
    return kept_in_memory


def put(workspace, path, **properties):
    """Create something on Azure Resource Manager."""
    scope = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
    body = {"location": "eastus", "properties": properties}
    address = f"{workspace.url}{scope}/batchEndpoints/{path}"
    httpx.put(address, json=body, headers={"Authorization": f"Bearer {TOKEN}"}).raise_for_status()


def run(task, **arguments):
    return RunPipeline(**{"component_name": "quick"} | arguments).execute(task.context)


def puts(workspace):
    return workspace.requests("PUT", "/jobs/")


def ended(run_id, outcome="ended"):
    return {"run_id": run_id, "experiment_name": "exp", "outcome": outcome, "message": ""}


def test_a_job_is_submitted_waited_for_and_returned(workspace, task):
    job_id = run(task, parameters={"count": 3}, data_paths={"input": "store/in"}, tags={"team": "red"}, compute="cpu")
    assert is_own_job_id(job_id)
    made = workspace.only_run()
    assert made.id == job_id
    assert made.parameters["count"] == "3"
    assert (made.history_tags["team"], made.history_tags["airflow.component"]) == ("red", "quick:2")
    assert task.record["run_id"] == job_id
    assert task.record["pipeline_id"].endswith("/components/quick/versions/2")
    assert (task.record["is_job"], task.record["finished"]) == (True, True)
    assert task.ti.xcoms["_link_AzureMLPipelineRunLink"].startswith(f"{workspace.url}/runs/{job_id}?wsid=")
    assert f"Submitting component quick version 2 as job {job_id}." in str(RunPipeline.log)


@pytest.mark.parametrize(("target", "reads"), [({}, 0), ({"component_name": None, "pipeline_id": "quick"}, 1)])
def test_evidence_is_read_only_for_a_published_pipeline(
    workspace, learnt, task, kept_variables, monkeypatch, target, reads
):
    read = []
    monkeypatch.setattr(variables, "read", lambda key: read.append(key) or kept_variables.get(key))
    run(task, **target)
    assert len([key for key in read if key.startswith("azureml_evidence")]) == reads


def test_a_batch_endpoint_that_was_created_on_azure_resource_manager(workspace, task):
    put(workspace, "new-gate", authMode="AADToken")
    settings = {"default_compute": "cpu", "continue_on_step_failure": "True"}
    configuration = {"deploymentConfigurationType": "PipelineComponent", "settings": settings}
    configuration["componentId"] = {"referenceType": "Id", "assetId": "quick:1"}
    put(workspace, "new-gate/deployments/blue", deploymentConfiguration=configuration)
    put(workspace, "new-gate", authMode="AADToken", defaults={"deploymentName": "blue"})
    made = run(task, component_name=None, batch_endpoint_name="new-gate")
    assert made == workspace.only_run().id
    assert workspace.only_run().component_id == "quick:1"
    assert workspace.only_run().continue_on_step_failure


@pytest.mark.parametrize(("deployment", "component"), [(None, "quick:2"), ("green", "long:1")])
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_batch_endpoint_is_a_pointer_to_a_component_and_its_settings(
    workspace, task, deployment, component, deferrable
):
    arguments = {"component_name": None, "batch_endpoint_name": "gate", "deployment_name": deployment}
    arguments["wait_for_completion"] = deployment is None
    with contextlib.suppress(TaskDeferred):
        run(task, deferrable=deferrable, **arguments)
    made = workspace.only_run()
    assert made.history_tags["airflow.component"] == component
    assert made.job.definition["settings"]["default_compute"].endswith("/computes/cpu")
    if deferrable and deployment is None:
        workspace.clock.advance(60)
        operator = RunPipeline(deferrable=True, **arguments)
        assert operator.execute_complete(task.context, ended(made.id)) == made.id


def test_an_unvalidated_submission_of_a_version_is_one_request(workspace, task):
    run(task, component_version="1", validate=False, wait_for_completion=False)
    assert [entry["method"] for entry in workspace.requests()] == ["PUT"]
    assert workspace.only_run().history_tags["airflow.component"] == "quick:1"


def test_a_deferred_job_is_concluded_by_its_own_record(workspace, task):
    with pytest.raises(TaskDeferred) as deferral:
        run(task, deferrable=True)
    job_id = workspace.only_run().id
    assert deferral.value.trigger.run_id == job_id
    workspace.clock.advance(60)
    operator = RunPipeline(component_name="quick", deferrable=True)
    assert operator.execute_complete(task.context, ended(job_id)) == job_id


async def test_the_shared_poller_waits_for_a_job(workspace, task):
    with pytest.raises(TaskDeferred) as deferral:
        run(task, deferrable=True)
    event = await anext(aiter(deferral.value.trigger.run()))
    assert (event.payload["outcome"], event.payload["message"]) == ("ended", "Completed")


def test_a_failed_job_is_explained(workspace, task):
    with pytest.raises(RunFailed, match=r"Step 'score' failed: row 2 is empty[\s\S]*row 2: oh no"):
        run(task, component_name="fails")


@pytest.mark.parametrize("kind", ["drop", "status"])
def test_a_lost_reply_is_resolved_by_one_read(workspace, task, kind):
    workspace.faults.add(kind, method="PUT", path=JOBS, times=1, **({"status": 503} if kind == "status" else {}))
    with contextlib.suppress(Exception):
        run(task, component_version="1", validate=False, wait_for_completion=False)
    task.next_try()
    run(task, component_version="1", validate=False)
    assert len(workspace.runs()) == 1


@pytest.mark.parametrize("put_again", [200, 400])
def test_a_retry_with_an_open_record_reads_the_job_and_takes_it_over(monkeypatch, task, put_again):
    with serving(monkeypatch, quirks=[f"put_again={put_again}"] if put_again != 200 else []) as workspace:
        first = run(task, component_name="long", wait_for_completion=False)
        task.store["azureml_submission"] |= {"run_id": None, "finished": False}
        task.next_try()
        again = run(task, component_name="long", wait_for_completion=False)
        assert first == again == workspace.only_run().id
        assert len(puts(workspace)) == 1


def test_a_refusal_that_is_no_conflict_is_the_error(workspace, task):
    workspace.faults.add("status", method="PUT", path=JOBS, times=1, status=400)
    with pytest.raises(AirflowFailException) as failure:
        run(task)
    assert isinstance(failure.value, BadRequest)
    assert workspace.runs() == []
    assert task.record["sent"] is False


def test_somebody_elses_job_under_the_id_is_left_alone(workspace, task):
    job_id = run(task, component_name="long", wait_for_completion=False)
    task.store["azureml_submission"] |= {"run_id": None, "finished": False}
    made = workspace.only_run()
    made.history_tags["airflow.key"] = made.history_properties["airflow.key"] = "somebody"
    task.next_try()
    with pytest.raises(AirflowFailException, match="was not submitted by this task") as failure:
        run(task, component_name="long", wait_for_completion=False)
    assert isinstance(failure.value, ForeignRun)
    assert workspace.status(job_id) == "Running"


def test_a_clear_cancels_the_job_and_submits_another_one(workspace, task):
    first = run(task, component_name="long", wait_for_completion=False)
    task.clear()
    second = run(task, component_name="long", wait_for_completion=False)
    assert first != second
    assert workspace.status(first) == "Canceled"
    assert "airflow.cancel" in workspace.state.runs[first].history_tags


@pytest.mark.parametrize("to_v2", [True, False])
def test_one_changed_line_replaces_the_active_run_by_one_of_the_other_kind(workspace, task, to_v2):
    targets = [{"component_name": None, "pipeline_id": "long"}, {"component_name": "long"}]
    old, new = targets if to_v2 else reversed(targets)
    with pytest.raises(TaskDeferred):
        run(task, deferrable=True, **old)
    first = workspace.only_run().id
    task.next_try()
    with pytest.raises(TaskDeferred):
        run(task, deferrable=True, **new)
    ours = sorted(workspace.runs(), key=lambda run: run.created)
    assert [is_own_job_id(run.id) for run in ours] == [not to_v2, to_v2]
    assert workspace.status(first) == "Canceled"
    assert workspace.state.view(ours[0]).ended <= ours[1].created


def test_a_job_at_the_deadline_is_cancelled(workspace, task):
    with pytest.raises(RunTimedOut, match="was cancelled"):
        run(task, component_name="long", execution_timeout=timedelta(seconds=0.5))
    assert workspace.status() == "Canceled"


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 ends the process")
def test_a_kill_cancels_the_job(workspace, task):
    with pytest.raises(TaskDeferred):
        run(task, component_name="long", deferrable=True)
    operator = RunPipeline(component_name="long", deferrable=True)
    operator.on_kill()
    with pytest.raises(RunFailed, match="ended in Airflow"):
        operator.execute_complete(task.context, ended(workspace.only_run().id))
    assert workspace.status() == "Canceled"


def test_a_job_that_was_cancelled_in_the_studio_is_not_submitted_again(workspace, task):
    job_id = run(task, component_name="long", wait_for_completion=False)
    task.store["azureml_submission"]["finished"] = False
    workspace.state.cancel(job_id)
    task.next_try()
    with pytest.raises(AirflowFailException) as failure:
        run(task, component_name="long")
    assert isinstance(failure.value, RunCanceled)


@pytest.mark.parametrize("deferrable", [False, True])
def test_the_sensor_takes_ids_of_jobs_that_others_have_chosen(workspace, task, deferrable):
    from aml_provider.hooks.azure_ml import AzureMLHook

    job_id = run(task, component_name="quick")
    copy = workspace.state.runs.pop(job_id)
    copy.id = f"olive_tree_{deferrable}"
    workspace.state.runs[copy.id] = copy
    sensor = AzureMLPipelineRunSensor(task_id="wait", run_id=copy.id, poke_interval=0.1, deferrable=deferrable)
    assert sensor.execute(task.context) == copy.id
    assert AzureMLHook().get_run(copy.id).status == "Completed"
    # The process asks once which kind of run it is.
    assert [entry["status"] for entry in workspace.requests("GET", f"PipelineRuns/{copy.id}")] == [404]
    assert len(workspace.requests("GET", f"/jobs/{copy.id}")) == 2


def test_a_service_that_fails_for_longer_than_the_budget_is_left_to_the_next_try(workspace, task):
    workspace.faults.add("status", method="PUT", path=JOBS, times=100, status=503)
    with pytest.raises(ServerFault):
        run(task)
    assert (task.record["sent"], task.record["run_id"]) == (True, None)
    workspace.faults.clear()
    task.next_try()
    assert run(task) == workspace.only_run().id
