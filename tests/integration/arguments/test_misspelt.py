"""Names and ids that lead nowhere, wherever an author or a person at the terminal may write one."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from support.airflow.task import RunPipeline, TaskInstance, TaskStateStore
from support.drivers.watching import context_of, sensor, variables_in_memory

from aml_provider.client import calls
from aml_provider.compat import AirflowFailException
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.operators.pipeline import AzureMLDisablePipelineOperator, AzureMLEnablePipelineOperator
from aml_provider.operators.schedule import (
    AzureMLCreateScheduleOperator,
    AzureMLDisableScheduleOperator,
    AzureMLEnableScheduleOperator,
)
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor


@pytest.fixture
def hook(workspace, kept_in_memory, monkeypatch):
    variables_in_memory(monkeypatch)
    return AzureMLHook()


@pytest.fixture
def schedule(hook):
    body = {
        "Name": "hourly",
        "PipelineId": "quick",
        "PipelineSubmissionInfo": {"ExperimentName": "exp", "Properties": {}},
        "Recurrence": {"Frequency": "Hour", "Interval": 1, "StartTime": "2099-01-01T00:00:00", "TimeZone": "UTC"},
        "ScheduleType": "0",
    }
    return hook.run(_one(calls.create_schedule(body)))


def _one(call):
    return (yield call)


def run(**target):
    return lambda: RunPipeline(**target).execute({"ti": TaskInstance(), "task_state_store": TaskStateStore()})


def create(**arguments):
    defaults = {"task_id": "t", "name": "n", "experiment_name": "exp", "pipeline_id": "quick"}
    return AzureMLCreateScheduleOperator(**{**defaults, **arguments})


PATH = {"data_paths": {"input": "stor/in"}}

OPERATORS = {
    "run, pipeline_name": (run(pipeline_name="quik"), "did you mean 'quick'"),
    "run, id that is none": (run(pipeline_id="quik"), "did you mean 'quick'"),
    "run, id of an endpoint": (run(endpoint_id="dor"), "did you mean 'door'"),
    "run, endpoint_name": (run(endpoint_name="dooor"), "did you mean 'door'"),
    "run, data path": (run(pipeline_id="quick", **PATH), r"data_paths\['input'\].*'stor'.*mean 'store'"),
    "enable pipeline": (
        lambda: AzureMLEnablePipelineOperator(task_id="t", pipeline_name="retird").execute({}),
        "did you mean 'retired'",
    ),
    "disable pipeline": (
        lambda: AzureMLDisablePipelineOperator(task_id="t", pipeline_id="quik").execute({}),
        "did you mean 'quick'",
    ),
    "disable schedule": (
        lambda: AzureMLDisableScheduleOperator(task_id="t", schedule_name="hourli").execute({}),
        "did you mean 'hourly'",
    ),
    "enable schedule": (
        lambda: AzureMLEnableScheduleOperator(task_id="t", schedule_name="houry").execute({}),
        "did you mean 'hourly'",
    ),
    "schedule's name as its id": (
        lambda: AzureMLEnableScheduleOperator(task_id="t", schedule_id="hourly").execute({}),
        "that is the name of schedule .*: give that id, or the name as schedule_name",
    ),
    "schedules of a pipeline that is none": (
        lambda: AzureMLDisableScheduleOperator(task_id="t", pipeline_id="quik").execute({}),
        "(?i)pipeline '?quik'?.*did you mean 'quick'",
    ),
    "schedule sensor": (
        lambda: AzureMLScheduleRunSensor(task_id="t", schedule_name="hourli", since="2026-01-01").poke(context_of()),
        "did you mean 'hourly'",
    ),
    "schedule sensor, name as id": (
        lambda: AzureMLScheduleRunSensor(task_id="t", schedule_id="hourly", since="2026-01-01").poke(context_of()),
        "(?i)that is the name of schedule",
    ),
    "blob sensor": (lambda: sensor(datastore="stor").poke(context_of()), "did you mean 'store'"),
}
HOOK = {
    "get_pipeline": (lambda hook: hook.get_pipeline("quik"), "Did you mean 'quick'"),
    "get_endpoint": (lambda hook: hook.get_endpoint("dooor"), "Did you mean 'door'"),
    "get_schedule": (lambda hook: hook.get_schedule("hourly"), "That is the name of schedule"),
    "find_schedule": (lambda hook: hook.find_schedule("hourli"), "did you mean 'hourly'"),
    "get_datastore": (lambda hook: hook.get_datastore("stor"), "did you mean 'store'"),
    "get_experiment": (lambda hook: hook.get_experiment("scorin"), "Did you mean 'scoring'"),
    "update_experiment": (lambda hook: hook.update_experiment("scorin", description="x"), "Did you mean 'scoring'"),
    "list_runs": (lambda hook: hook.list_runs(experiment_name="scorin"), "Did you mean 'scoring'"),
}


@pytest.mark.parametrize("case", OPERATORS)
def test_a_tasks_error_names_similar_ones(case, hook, schedule, workspace):
    attempt, said = OPERATORS[case]
    before = len(workspace.sent())
    with pytest.raises(AirflowFailException, match=said):
        attempt()
    assert len(workspace.sent()) == before


@pytest.mark.parametrize("case", HOOK)
def test_the_hooks_error_names_similar_ones(case, hook, schedule):
    hook.create_experiment("scoring")
    attempt, said = HOOK[case]
    with pytest.raises(AirflowFailException, match=said):
        attempt(hook)


def test_a_pipeline_without_schedules_has_an_empty_list(hook):
    assert AzureMLDisableScheduleOperator(task_id="t", pipeline_id="quick").execute({}) == []


def test_a_disabled_pipeline_is_reported_with_the_next_step(hook):
    with pytest.raises(AirflowFailException, match=r"'retired' \(retired\) is Disabled.*AzureMLEnablePipelineOperator"):
        run(pipeline_name="retired")()


def test_a_disabled_endpoint_says_how_to_enable_it(hook):
    endpoint = hook.find_endpoint("door")
    hook.disable_endpoint(endpoint.id)
    with pytest.raises(AirflowFailException, match=rf"is Disabled; enable it .*enable_endpoint\('{endpoint.id}'\)"):
        run(endpoint_name="door")()


@pytest.mark.parametrize("target", [{"endpoint_name": "door"}, {"endpoint_id": "door"}])
def test_the_error_about_a_disabled_pipeline_behind_an_endpoint_names_no_argument(hook, target):
    hook.disable_pipeline("quick")
    with pytest.raises(
        AirflowFailException, match=r"^endpoint door.* runs a pipeline that cannot be run: .*is Disabled"
    ):
        run(**target)()


def test_a_sensor_warns_about_a_schedule_that_starts_no_runs(hook, schedule):
    hook.disable_schedule(schedule.id)
    records = []
    log = logging.getLogger("tests.misspelt")
    log.warning = lambda text, *values: records.append(text % values)
    watcher = type("Watcher", (AzureMLScheduleRunSensor,), {"log": log})(task_id="t", schedule_name="hourly")
    context = context_of() | {"dag_run": SimpleNamespace(data_interval_start=None, run_after=None)}
    assert not watcher.poke(context)
    assert not watcher.poke(context)
    (said,) = records
    assert "is Disabled: it starts no run until it is enabled" in said
    assert schedule.id in said


def test_each_datastore_is_read_once_per_process(hook, workspace):
    def asked():
        return len([line for line in workspace.requests() if line["path"].endswith("/datastores")])

    paths = {"data_paths": {"input": "store/in"}}
    run(pipeline_id="quick", wait_for_completion=False, **paths)()
    first = asked()
    assert first == 1
    run(pipeline_id="quick", wait_for_completion=False, **paths)()
    assert asked() == first
