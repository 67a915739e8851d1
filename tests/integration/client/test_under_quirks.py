"""The client's promises in every kind of workspace that the service might be.

What is run here goes through most of the wire and says what has to hold everywhere: a lost reply leads to one run, a
run ends as it ended, what was cancelled is cancelled, lists are whole, a schedule is created once and changes as told.
What a quirk takes away (the tags of a run, where tags are dropped) is no part of it.
"""

from __future__ import annotations

import pytest
from support.airflow.task import RunPipeline
from support.samples.quirks import COMBINATIONS, QUIRKS
from support.services.local_workspace import Workspace

from aml_provider.client.entities import RunState
from aml_provider.client.errors import ProvisioningFailed
from aml_provider.client.models import Recurrence
from aml_provider.hooks.azure_ml import AzureMLHook


@pytest.fixture(
    scope="module",
    params=[*((quirk,) for quirk in QUIRKS), *COMBINATIONS.values()],
    ids=[*QUIRKS, *COMBINATIONS],
)
def running_workspace(request):
    with Workspace(quirks=request.param) as running:
        yield running


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory):
    return kept_in_memory


@pytest.fixture
def hook(workspace):
    return AzureMLHook()


def ids(items):
    return sorted(item.id for item in items)


def test_a_lost_reply_leads_to_one_run(workspace, task):
    workspace.faults.add("drop", method="POST", path="*PipelineSubmit*")
    run_id = RunPipeline(pipeline_id="quick").execute(task.context)
    assert run_id == workspace.only_run().id
    assert len(workspace.posts()) == 1
    assert workspace.status() == "Finished"


def test_lists_are_whole(workspace, hook):
    pipelines = workspace.state.pipelines
    assert ids(hook.list_pipelines(active_only=False)) == sorted(pipelines)
    assert ids(hook.list_pipelines()) == sorted(pipelines.keys() - {"retired"})
    assert ids(hook.list_endpoints()) == ["door"]
    assert [store.name for store in hook.list_datastores()] == ["store"]
    runs = [hook.submit_pipeline("long", experiment_name="exp").id for _ in range(3)]
    workspace.clock.advance(60)
    assert ids(hook.list_runs(pipeline_id="long")) == sorted(runs)
    assert ids(hook.list_runs(experiment_name="exp")) == sorted(runs)


def test_a_run_is_followed_to_its_end(workspace, hook):
    run = hook.submit_pipeline("quick", experiment_name="exp", parameters={"count": 2})
    ended = hook.wait_for_run(run.id, poll_interval=0.05)
    assert (ended.id, ended.state) == (run.id, RunState.FINISHED)
    workspace.clock.advance(60)
    assert [step.status for step in hook.list_steps(ended)] == ["Completed"]
    assert hook.get_run(run.id).state is RunState.FINISHED


def test_a_run_is_cancelled(workspace, hook):
    run = hook.submit_pipeline("long", experiment_name="exp")
    assert not run.state.is_final
    hook.cancel_run(run.id)
    workspace.clock.advance(60)
    assert hook.get_run(run.id).state is RunState.CANCELED
    assert hook.cancel_run(run.id).state is RunState.CANCELED, "once more does no harm"


def test_a_schedule_is_created_once_and_changes_as_it_is_told(workspace, hook):
    yearly = Recurrence("Month", 12, start_time="2099-01-01T00:00:00", time_zone="UTC")
    given = {"experiment_name": "exp", "pipeline_id": "quick", "wait_for_provisioning": False}
    if workspace.state.quirks.provisioning_fails:
        with pytest.raises(ProvisioningFailed):
            hook.create_schedule("yearly", recurrence=yearly, **given)
        return
    made = hook.create_schedule("yearly", recurrence=yearly, **given)
    assert made.is_active
    assert hook.create_schedule("yearly", recurrence=yearly, if_exists="reuse", **given).id == made.id
    changed = hook.create_schedule("yearly", recurrence=yearly._replace(interval=6), if_exists="update", **given)
    assert changed.id == made.id
    (schedule,) = workspace.state.schedules.all()
    assert schedule.recurrence.interval == 6
    assert not hook.disable_schedule(made.id).is_active
    assert hook.find_schedule("yearly").id == made.id
    assert schedule.status == "Disabled"
    assert hook.enable_schedule(made.id).is_active
    assert ids(hook.list_schedules()) == [made.id]
    assert hook.get_last_run_of_schedule(made.id) is None
    hook.disable_pipeline("quick")
    assert (schedule.status, workspace.state.pipelines["quick"].status) == ("Disabled", "Disabled")
