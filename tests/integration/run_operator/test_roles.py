"""The custom roles of docs/set-up/roles.md: a task that has one of them may make every call that it makes."""

from __future__ import annotations

import pytest
from support.airflow.schedule_tasks import create
from support.airflow.task import RunPipeline, TaskStateStore

from aml_provider.client.entities import Permission
from aml_provider.client.errors import RunFailed
from aml_provider.client.http import clients
from aml_provider.client.http.protocol import Session
from aml_provider.client.rights import role_definition

both = pytest.mark.parametrize(("target", "api"), [("pipeline_id", "v1"), ("component_name", "v2")])


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory, airflow):
    return kept_in_memory


@pytest.fixture
def made(monkeypatch):
    """The calls that every client makes."""
    calls = []

    class Noting(Session):
        def perform(self, call):
            calls.append(call)
            return super().perform(call)

    monkeypatch.setattr(clients, "Session", Noting)
    return calls


def refused(made, api, *uses):
    """The calls that the roles of these uses do not allow, with the action that each lacks."""
    roles = [role_definition(use, api, "/subscriptions/s/resourceGroups/g") for use in uses]
    role = Permission(tuple(action for each in roles for action in each["Actions"]))
    return [(call.operation, right) for call in made for right in call.right.split(" and ") if not role.grants(right)]


@both
def test_a_task_that_does_not_wait_may_be_cleared_while_its_run_is_active(workspace, task, made, target, api):
    """It cancels that run first, since cancel_on_kill=True is the default."""
    for _ in range(2):
        RunPipeline(**{target: "long"}, wait_for_completion=False).execute(task.context)
        task.clear()
    first, second = workspace.runs()
    assert (workspace.status(first.id), workspace.status(second.id) == "Canceled") == ("Canceled", False)
    assert any(call.operation.startswith("cancel ") for call in made)
    assert refused(made, api, "submit") == []


@both
def test_a_task_that_waits_may_read_why_its_run_failed(workspace, task, made, target, api):
    with pytest.raises(RunFailed):
        RunPipeline(**{target: "fails"}).execute(task.context)
    assert len(made) > 3
    assert refused(made, api, "submit-and-watch") == []


class Store(TaskStateStore):
    def delete(self, key):
        self.pop(key, None)


def test_a_schedule_on_a_recurrence_needs_its_role_only(workspace, task, made):
    task.store = Store()
    create(task)
    assert any(call.operation.startswith("create schedule ") for call in made)
    assert refused(made, "v1", "schedules") == []


def test_a_schedule_on_a_folder_needs_the_role_of_the_sensor_too(workspace, task, made):
    """As docs/set-up/roles.md says."""
    task.store = Store()
    create(task, datastore="store")
    secret = "Microsoft.MachineLearningServices/workspaces/datastores/listsecrets/action"
    assert refused(made, "v1", "schedules") == [("get datastore 'store'", secret)]
    assert refused(made, "v1", "schedules", "sensor") == []
