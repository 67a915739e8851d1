"""The operators that disable and enable schedules and pipelines."""

from __future__ import annotations

import pytest
from support.airflow.schedule_tasks import (
    NIGHTLY,
    Disable,
    DisablePipeline,
    Enable,
    EnablePipeline,
    create,
    one,
    writes,
)

from aml_provider.client import calls
from aml_provider.compat import AirflowFailException
from aml_provider.hooks.azure_ml import AzureMLHook


def test_schedules_are_disabled_and_enabled(workspace, task):
    first, second = create(task), create(task, name="hourly", recurrence=NIGHTLY._replace(interval=3))
    assert Disable(schedule_name="nightly").execute(task.context) == [first]
    assert Disable(schedule_id=first).execute(task.context) == [first]
    assert Enable(pipeline_id="quick").execute(task.context) == [first, second]
    assert Disable(pipeline_id="quick").execute(task.context) == [first, second]
    assert {item.status for item in workspace.state.schedules.all()} == {"Disabled"}
    assert [body["EntityStatus"] for method, body in writes(workspace) if method == "PUT"] == [
        "Disabled",
        "Active",
        "Disabled",
        "Disabled",
    ]


def test_a_tag_that_somebody_has_set_survives(workspace, task):
    schedule_id = create(task)
    made = one(workspace)
    hook = AzureMLHook()
    with hook.client() as client:
        wire = client.call(calls.get_schedule(schedule_id)).wire
        wire["PipelineSubmissionInfo"] |= {"tags": {"team": "red"}, "RunSource": "Portal", "EnableNotification": True}
        client.call(calls.update_schedule(schedule_id, wire))
    create(task, recurrence=NIGHTLY._replace(interval=2))
    Disable(schedule_id=schedule_id).execute(task.context)
    Enable(schedule_id=schedule_id).execute(task.context)
    assert made.submission.tags == {"team": "red"}
    assert (made.submission.run_source, made.submission.enable_notification) == ("Portal", True)


def test_a_pipeline_is_disabled_after_its_schedules_and_enabled(workspace, task):
    schedule_id = create(task)
    operator = DisablePipeline(pipeline_name="quick")
    assert operator.execute(task.context) == "quick"
    assert workspace.state.pipelines["quick"].status == "Disabled"
    assert one(workspace).status == "Disabled"
    assert f"({schedule_id}) was Active, and is Disabled now" in str(operator.log)
    assert DisablePipeline(pipeline_name="quick").execute(task.context) == "quick"
    assert EnablePipeline(pipeline_name="quick").execute(task.context) == "quick"
    assert workspace.state.pipelines["quick"].status == "Active"
    assert one(workspace).status == "Disabled"


@pytest.mark.parametrize(
    ("operator", "arguments", "message"),
    [
        (Disable, {"schedule_id": "none"}, "no schedule 'none'"),
        (Enable, {"schedule_name": "none"}, "no schedule named 'none'"),
        (Enable, {"schedule_id": ""}, "schedule_id"),
        (DisablePipeline, {"pipeline_id": "none"}, "no published pipeline 'none'"),
        (EnablePipeline, {"pipeline_name": "none"}, "no published pipeline named 'none'"),
    ],
)
def test_a_missing_schedule_or_pipeline_consumes_no_retries(workspace, task, operator, arguments, message):
    with pytest.raises(AirflowFailException, match=message):
        operator(**arguments).execute(task.context)


def test_the_hook_lists_finds_and_switches(workspace, task):
    schedule_id = create(task)
    hook = AzureMLHook()
    assert [item.id for item in hook.list_schedules()] == [schedule_id]
    assert [item.id for item in hook.list_schedules(pipeline_id="quick")] == [schedule_id]
    assert hook.list_schedules(endpoint_id="door") == ()
    assert hook.find_schedule("nightly").id == schedule_id
    assert hook.get_last_run_of_schedule(schedule_id) is None
    assert not hook.disable_schedule(schedule_id).is_active
    assert hook.list_schedules() == ()
    assert hook.enable_schedule(schedule_id).is_active
    hook.disable_pipeline("quick")
    assert workspace.state.pipelines["quick"].status == "Disabled"
    hook.enable_pipeline("quick")
    assert workspace.state.pipelines["quick"].status == "Active"
