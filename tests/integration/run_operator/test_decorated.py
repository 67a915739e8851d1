"""The run operator with arguments from a function: ``@task.azureml_pipeline``. ``tests/dags`` has whole DAGs."""

from __future__ import annotations

import asyncio
import inspect
import json

import pytest
from support.airflow.task import Log, Task

from aml_provider.client.errors import InvalidArgument, RunFailed
from aml_provider.compat import AirflowFailException, AirflowSkipException, TaskDeferred
from aml_provider.decorators.pipeline import PipelineArguments, azureml_pipeline_task
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory):
    return kept_in_memory


def decorated(function, *args, **arguments):
    """The operator that the decorator makes of a function and its arguments."""
    given = {"pipeline_id": "quick", "experiment_name": "exp", "poll_interval": 0.1, "task_id": "run"} | arguments
    return azureml_pipeline_task(**given)(function)(*args).operator


def returning(value):
    def function():
        return value

    return function


def execute(workspace, value, **arguments):
    operator = decorated(returning(value), **arguments)
    assert operator.execute(Task().context) == workspace.only_run().id
    return workspace.only_run()


def test_what_the_function_returns_wins_name_by_name(workspace):
    run = execute(
        workspace,
        {"parameters": {"count": 7}, "tags": {"both": "function", "own": "f"}},
        parameters={"count": 1},
        data_paths={"input": "store/decorator"},
        tags={"both": "decorator", "kept": "d"},
    )
    assert run.parameters["count"] == "7"
    assert run.data_paths["input"].path == "decorator"
    assert {name: run.history_tags[name] for name in ("both", "own", "kept")} == {
        "both": "function",
        "own": "f",
        "kept": "d",
    }


@pytest.mark.parametrize("value", [None, {}, {"parameters": None}, {"parameters": {}}])
def test_a_function_that_gives_nothing_leaves_the_decorators_arguments(workspace, value):
    assert execute(workspace, value, parameters={"count": 3}).parameters["count"] == "3"


def test_a_change_of_the_blob_sensor_is_a_data_path(workspace):
    change = {"datastore": "store", "path": "in/{{ 1+1 }}.csv", "etag": "0x1", "size": 3}
    run = execute(workspace, {"data_paths": {"input": change}})
    assert run.data_paths["input"].path == "in/{{ 1+1 }}.csv"


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ({"component_name": "quick"}, {"parameters": {"count": 7}, "data_paths": {"input": "store/in"}}),
        ({"batch_endpoint_name": "gate"}, {"parameters": {"count": 7}}),
        ({"endpoint_name": "door"}, {"parameters": {"count": 7}}),
    ],
)
def test_every_kind_of_pipeline_can_be_run(workspace, target, value):
    run = execute(workspace, value, pipeline_id=None, **target)
    assert run.parameters["count"] == "7"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], r"is a list \(\[1\]\); return None, or a mapping with some of parameters, data_paths, datasets, tags"),
        ("a", r"is a str \('a'\); return None, or a mapping"),
        (0, "is an int"),
        ((item for item in ()), "is a generator"),
        (
            {"paramter": {}, "tags": {}, 5: {}},
            "has the keys 'paramter', 5; it may have parameters, data_paths, datasets, tags",
        ),
        ({"experiment_name": "other"}, "has the keys 'experiment_name'"),
        ({"parameters": [1]}, r"has a list \(\[1\]\) as parameters; return a mapping from names to values, or None"),
        ({"parameters": {"count": None}}, r"parameters\['count'\]"),
        ({"parameters": {"count": "many"}}, "'many', but its type is Int"),
        ({"data_paths": {"input": {"container_url": "u", "datastore": None, "path": "a"}}}, "has no datastore"),
        ({"tags": {"airflow.key": "x"}}, "provider's own"),
    ],
)
def test_a_result_that_cannot_be_used_fails_without_a_retry_and_submits_nothing(workspace, value, message):
    with pytest.raises(AirflowFailException, match=message):
        decorated(returning(value)).execute(Task().context)
    assert workspace.runs() == []


def test_so_does_an_argument_of_the_decorator_that_is_no_mapping_after_rendering(workspace):
    operator = decorated(returning({"parameters": {"count": 1}}), parameters="{{ x }}")
    operator.parameters = "rendered"
    with pytest.raises(AirflowFailException, match=r"parameters: is a str \('rendered'\); use a mapping"):
        operator.execute(Task().context)
    assert workspace.runs() == []


def test_an_error_of_the_function_is_raised_unchanged_and_submits_nothing(workspace):
    def function():
        raise LookupError("no such table")

    with pytest.raises(LookupError, match="no such table"):
        decorated(function).execute(Task().context)
    assert workspace.runs() == []


def test_the_function_gets_its_own_arguments_and_airflows_context(workspace, task):
    def function(number, /, text, *, ti, map_index=5, **context):
        assert ti is task.ti
        assert context["task_state_store"] is task.store
        return {"parameters": {"count": number}, "tags": {"text": text, "map_index": map_index}}

    decorated(function, 4, "words").execute(task.context)
    run = workspace.only_run()
    assert (run.parameters["count"], run.history_tags["text"], run.history_tags["map_index"]) == ("4", "words", "5")


def test_a_resumed_task_does_not_call_the_function(workspace, task):
    calls = []

    def function():
        calls.append(len(workspace.runs()))
        return {"tags": {"secret": "hunter2"}}

    with pytest.raises(TaskDeferred) as deferred:
        decorated(function, deferrable=True).execute(task.context)

    async def first():
        return [event.payload async for event in deferred.value.trigger.run()]

    (event,) = asyncio.run(first())
    resumed = decorated(function, deferrable=True)
    run_id = resumed.resume_execution("execute_complete", {"event": json.loads(json.dumps(event))}, task.context)
    assert run_id == workspace.only_run().id
    assert calls == [0]
    assert "hunter2" not in json.dumps(deferred.value.trigger.serialize()[1])


def test_a_retry_calls_the_function_again_and_takes_the_run_over(workspace, task):
    def function():
        return {"parameters": {"count": 2}}

    assert decorated(function, wait_for_completion=False).execute(task.context) == workspace.only_run().id
    task.record.pop("finished", None)
    task.next_try()
    assert decorated(function).execute(task.context) == workspace.only_run().id


def test_a_retry_whose_function_returns_something_else_replaces_the_run(workspace, task):
    workspace.clock.hold()

    def call(value):
        return decorated(returning(value), pipeline_id="long", wait_for_completion=False, tags={"a": "b"})

    first = call({"tags": {"a": "1"}}).execute(task.context)
    task.record.pop("finished", None)
    task.next_try()
    workspace.clock.release()
    second = call({"tags": {"a": "2"}}).execute(task.context)
    assert {first, second} == {run.id for run in workspace.runs()}
    assert workspace.status(first) == "Canceled"
    assert workspace.status(second) in {"NotStarted", "Running"}


@pytest.mark.parametrize("kind", [AirflowSkipException, AirflowFailException])
def test_a_retry_that_raises_leaves_the_active_run_alone_until_a_clear(workspace, task, kind):
    workspace.clock.hold()

    def function():
        if task.ti.try_number == 2:
            raise kind("nothing to do")

    operator = decorated(function, pipeline_id="long", wait_for_completion=False)
    first = operator.execute(task.context)
    task.record.pop("finished", None)
    task.next_try()
    with pytest.raises(kind, match="nothing to do"):
        operator.execute(task.context)
    assert (workspace.only_run().id, workspace.status(first)) == (first, "NotStarted")
    workspace.clock.release()
    task.clear()
    second = operator.execute(task.context)
    assert {first, second} == {run.id for run in workspace.runs()}
    assert workspace.status(first) == "Canceled"


def test_a_failed_run_fails_the_task(workspace, task):
    with pytest.raises(RunFailed, match="row 2 is empty"):
        decorated(returning(None), pipeline_id="fails").execute(task.context)


def test_the_log_has_the_names_and_not_the_values(workspace, monkeypatch):
    log = Log()
    operator = decorated(returning({"parameters": {"count": 31337}, "tags": {}, "datasets": None}))
    monkeypatch.setattr(type(operator), "log", log)
    operator.execute(Task().context)
    assert "The function returned parameters: 'count'." in log.lines
    assert "31337" not in str(log)


def test_literal_mistakes_are_errors_of_the_dag_file():
    with pytest.raises(ValueError, match=r"needs exactly one of .* given none"):
        decorated(returning(None), pipeline_id=None)
    with pytest.raises(ValueError, match="on_timeout: is 'kill'"):
        decorated(returning(None), on_timeout="kill")


def test_multiple_outputs_and_async_functions_are_refused():
    async def function():
        return None

    with pytest.raises(InvalidArgument, match="multiple_outputs: cannot be used"):
        azureml_pipeline_task(pipeline_id="quick", experiment_name="exp", multiple_outputs=True)
    with pytest.raises(InvalidArgument, match="function is async"):
        decorated(function)


def test_a_function_that_is_annotated_with_a_mapping_returns_one_value():
    """Airflow infers ``multiple_outputs`` from such an annotation."""

    def function() -> dict:
        return {}

    def typed() -> PipelineArguments:
        return {}

    assert [decorated(each).multiple_outputs for each in (function, typed)] == [False, False]


def test_without_parentheses_the_arguments_come_from_default_args():
    from datetime import datetime

    from airflow.providers.common.compat.sdk import DAG

    defaults = {"pipeline_id": "quick", "experiment_name": "exp", "deferrable": True}
    with DAG("d", start_date=datetime(2026, 1, 1), schedule=None, default_args=defaults):  # noqa: DTZ001
        operator = azureml_pipeline_task(returning(None))().operator
    assert (operator.pipeline_id, operator.deferrable, operator.task_id) == ("quick", True, "function")


def test_it_takes_every_argument_of_the_operator():
    """They are rendered and shown as the operator's are."""
    kind = type(decorated(returning(None)))
    assert set(kind.template_fields) == {"op_args", "op_kwargs", *AzureMLRunPipelineOperator.template_fields}
    assert kind.template_fields_renderers["parameters"] == "json"
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(AzureMLRunPipelineOperator.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name not in {"pipeline_id", "experiment_name"}
    }
    operator = decorated(returning(None), **given)
    assert {name: getattr(operator, name) for name in given} == given
