"""Mistakes that can be found when a DAG file is parsed, and values that must not be taken for mistakes."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.models import DataPath, Recurrence
from aml_provider.compat import AirflowFailException
from aml_provider.operators.job_schedule import (
    AzureMLCreateJobScheduleOperator,
    AzureMLDeleteJobScheduleOperator,
    AzureMLDisableJobScheduleOperator,
    AzureMLEnableJobScheduleOperator,
)
from aml_provider.operators.pipeline import (
    AzureMLDisablePipelineOperator,
    AzureMLEnablePipelineOperator,
    AzureMLRunPipelineOperator,
)
from aml_provider.operators.schedule import (
    AzureMLCreateScheduleOperator,
    AzureMLDisableScheduleOperator,
    AzureMLEnableScheduleOperator,
)
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor

RUN = {"pipeline_name": "p", "experiment_name": "e"}
COMPONENT = {"pipeline_name": ..., "component_name": "c"}
MAKE = {"name": "n", "pipeline_name": "p", "experiment_name": "e", "recurrence": Recurrence("Day", 1)}
MAKE_JOB = {"name": "n", "component_name": "c", "experiment_name": "e", "cron": "0 7 * * *"}
WATCH = {"datastore": "store", "path": "in"}
CLASSES = {
    AzureMLRunPipelineOperator: RUN,
    AzureMLCreateScheduleOperator: MAKE,
    AzureMLCreateJobScheduleOperator: MAKE_JOB,
    AzureMLDeleteJobScheduleOperator: {"name": "s"},
    AzureMLDisableJobScheduleOperator: {"name": "s"},
    AzureMLEnableJobScheduleOperator: {"name": "s"},
    AzureMLDisablePipelineOperator: {"pipeline_name": "p"},
    AzureMLEnablePipelineOperator: {"pipeline_name": "p"},
    AzureMLDisableScheduleOperator: {"schedule_name": "s"},
    AzureMLEnableScheduleOperator: {"schedule_name": "s"},
    AzureMLPipelineRunSensor: {"run_id": "r"},
    AzureMLScheduleRunSensor: {"schedule_name": "s"},
    AzureBlobChangeSensor: WATCH,
}


def of(kind, **arguments):
    given = {**CLASSES[kind], **arguments}
    return kind(task_id="t", **{name: value for name, value in given.items() if value is not Ellipsis})


MISTAKES = [
    (AzureMLRunPipelineOperator, {"on_timeout": "kill"}, "on_timeout: is 'kill'; use 'cancel' or 'leave'"),
    (AzureMLRunPipelineOperator, {"on_timeout": "{{ x }}"}, "on_timeout"),
    (AzureMLRunPipelineOperator, {"on_timeout": ["kill"]}, "on_timeout"),
    (AzureMLRunPipelineOperator, {"poll_interval": -1}, "poll_interval: is -1 s"),
    (AzureMLRunPipelineOperator, {"poll_interval": "30"}, "poll_interval: is '30'"),
    (AzureMLRunPipelineOperator, {"poll_interval": float("inf")}, "poll_interval: is inf"),
    (AzureMLRunPipelineOperator, {"poll_interval": 10**400}, "poll_interval"),
    (AzureMLRunPipelineOperator, {"poll_interval": timedelta(seconds=-1)}, "poll_interval"),
    (AzureMLRunPipelineOperator, {"deferrable": "False"}, "deferrable: is 'False'; use True or False"),
    (AzureMLRunPipelineOperator, {"experiment_name": "no spaces"}, "experiment_name"),
    (AzureMLRunPipelineOperator, {"pipeline_name": " "}, "pipeline_name"),
    (AzureMLRunPipelineOperator, {"pipeline_name": 5}, "pipeline_name: is an int"),
    (
        AzureMLRunPipelineOperator,
        {"endpoint_version": "1"},
        "endpoint_version: can be used only with endpoint_id or endpoint_name",
    ),
    (
        AzureMLRunPipelineOperator,
        {"component_name": "c"},
        "needs exactly one of .* given pipeline_name and component_name",
    ),
    (AzureMLRunPipelineOperator, {"component_version": 1}, "component_version: can be used only with component_name"),
    (
        AzureMLRunPipelineOperator,
        COMPONENT | {"component_name": "c:1"},
        "component_name: is 'c:1'; give the name alone",
    ),
    (
        AzureMLRunPipelineOperator,
        {"deployment_name": "d"},
        "deployment_name: can be used only with batch_endpoint_name",
    ),
    (
        AzureMLRunPipelineOperator,
        {"compute": "cpu"},
        "compute: can be used only with component_name or batch_endpoint_name",
    ),
    (AzureMLRunPipelineOperator, {**COMPONENT, "component_version": 1.5}, "component_version: is a float"),
    (
        AzureMLRunPipelineOperator,
        {**COMPONENT, "parent_run_id": "r"},
        "parent_run_id: cannot be used with component_name",
    ),
    (AzureMLRunPipelineOperator, {**COMPONENT, "parameters": {"a": ""}}, r"parameters\['a'\]: is an empty text"),
    (AzureMLRunPipelineOperator, {**COMPONENT, "datasets": {"a": "id"}}, r"datasets\['a'\].*'name:version'"),
    (AzureMLRunPipelineOperator, {"parameters": ["a"]}, "parameters: is a list"),
    (AzureMLRunPipelineOperator, {"parameters": {"a": None, "{{ b }}": 1}}, r"parameters\['a'\]"),
    (AzureMLRunPipelineOperator, {"data_paths": {"in": "https://a/b"}}, r"data_paths\['in'\]"),
    (AzureMLRunPipelineOperator, {"data_paths": {"in": DataPath("", "x")}}, r"data_paths\['in'\]"),
    (
        AzureMLRunPipelineOperator,
        {"data_paths": {"in": "folder"}},
        r"data_paths\['in'\]: is 'folder'; write 'store/path'",
    ),
    (AzureBlobChangeSensor, {"pattern": "{{ ds }}*"}, "pattern: is a template, and cursor_key is not"),
    (
        AzureBlobChangeSensor,
        {"pattern": ["a", "{{ ds }}*"], "cursor_key": "k"},
        "pattern: is a template, and cursor_key",
    ),
    (AzureMLRunPipelineOperator, {"datasets": {"in": 5}}, r"datasets\['in'\]"),
    (AzureMLRunPipelineOperator, {"tags": {"airflow.key": "x"}}, r"tags\['airflow.key'\]"),
    (AzureMLCreateScheduleOperator, {"recurrence": Recurrence("minutes", 15)}, "recurrence.frequency: is 'minutes'"),
    (AzureMLCreateScheduleOperator, {"recurrence": Recurrence("Minute", 0)}, "recurrence.interval"),
    (AzureMLCreateScheduleOperator, {"recurrence": Recurrence("Day", 1, time_zone="Asia/Soul")}, "'Asia/Seoul'"),
    (AzureMLCreateScheduleOperator, {"recurrence": Recurrence("Hour", 1, hours=[3])}, "recurrence.hours"),
    (AzureMLCreateScheduleOperator, {"recurrence": "every day"}, "recurrence: is a str"),
    (AzureMLCreateScheduleOperator, {"recurrence": {"frequency": "Day"}}, "lacks interval"),
    (AzureMLCreateScheduleOperator, {"status": "On"}, "status: is 'On'; use 'Active' or 'Disabled'"),
    (AzureMLCreateScheduleOperator, {"if_exists": "replace"}, "if_exists: is 'replace'"),
    (AzureMLCreateScheduleOperator, {"polling_interval": "5"}, "polling_interval"),
    (AzureMLCreateScheduleOperator, {"datastore": "store"}, "needs either recurrence or datastore; it was given both"),
    (AzureMLCreateScheduleOperator, {"path_on_datastore": "in"}, "path_on_datastore: can be used only with datastore"),
    (AzureMLCreateJobScheduleOperator, {"name": "no blanks"}, "name: is 'no blanks'"),
    (AzureMLCreateJobScheduleOperator, {"component_name": ...}, "needs either component_name or batch_endpoint_name"),
    (AzureMLCreateJobScheduleOperator, {"component_name": " "}, "component_name"),
    (AzureMLCreateJobScheduleOperator, {"component_name": "azureml:c:1"}, "its version as component_version"),
    (AzureMLCreateJobScheduleOperator, {"deployment_name": "d"}, "deployment_name: can be used only with batch_endpoi"),
    (
        AzureMLCreateJobScheduleOperator,
        {"component_name": ..., "batch_endpoint_name": "b", "component_version": "1"},
        "component_version: can be used only with component_name",
    ),
    (AzureMLCreateJobScheduleOperator, {"component_version": 1.5}, "component_version: is a float"),
    (AzureMLCreateJobScheduleOperator, {"compute": ""}, "compute"),
    (AzureMLCreateJobScheduleOperator, {"cron": ...}, "needs either recurrence or cron; it was given neither"),
    (AzureMLCreateJobScheduleOperator, {"recurrence": Recurrence("Day", 1)}, "needs either recurrence or cron; it wa"),
    (AzureMLCreateJobScheduleOperator, {"cron": "0 7 1 * *"}, "cron: is '0 7 1 .*ignores the field for day of month"),
    (AzureMLCreateJobScheduleOperator, {"start_time": "soon"}, "start_time: is 'soon'"),
    (
        AzureMLCreateJobScheduleOperator,
        {"start_time": "2026-12-01T00:00:00", "end_time": "2026-11-01T00:00:00"},
        "end_time: is '2026-11-01T00:00:00', not after",
    ),
    (AzureMLCreateJobScheduleOperator, {"time_zone": "Asia/Soul"}, "time_zone: .*'Asia/Seoul'"),
    (
        AzureMLCreateJobScheduleOperator,
        {"cron": ..., "recurrence": Recurrence("Day", 1, hours=[3])},
        "recurrence: has hours; the service wants hours and minutes",
    ),
    (AzureMLCreateJobScheduleOperator, {"parameters": {"a": ""}}, r"parameters\['a'\]: is an empty text"),
    (AzureMLCreateJobScheduleOperator, {"datasets": {"a": "b"}}, r"datasets\['a'\]: is 'b'; a component takes"),
    (AzureMLCreateJobScheduleOperator, {"tags": {"airflow.x": "y"}}, r"tags\['airflow.x'\]"),
    (AzureMLCreateJobScheduleOperator, {"status": "On"}, "status: is 'On'"),
    (AzureMLCreateJobScheduleOperator, {"if_exists": "replace"}, "if_exists: is 'replace'"),
    (AzureMLCreateJobScheduleOperator, {"validate": "no"}, "validate: is 'no'"),
    (AzureMLDeleteJobScheduleOperator, {"name": ""}, "name: is ''"),
    (AzureMLDisableJobScheduleOperator, {"name": 5}, "name: is an int"),
    (AzureMLEnableJobScheduleOperator, {"azureml_conn_id": ""}, "azureml_conn_id"),
    (AzureMLDisablePipelineOperator, {"pipeline_id": "p"}, "needs either pipeline_id or pipeline_name"),
    (AzureMLDisablePipelineOperator, {"disable_schedules": "no"}, "disable_schedules"),
    (AzureMLDisableScheduleOperator, {"schedule_name": ...}, "needs exactly one of"),
    (AzureMLEnableScheduleOperator, {"schedule_name": ""}, "schedule_name"),
    (AzureMLPipelineRunSensor, {"run_id": ""}, "run_id"),
    (AzureMLPipelineRunSensor, {"azureml_conn_id": 5}, "azureml_conn_id"),
    (AzureMLPipelineRunSensor, {"deferrable": True, "poke_interval": 0}, "poke_interval: is 0 s"),
    (AzureMLPipelineRunSensor, {"timeout": timedelta.max}, "timeout: is 8.*it must be at most 1000 years"),
    (AzureMLScheduleRunSensor, {"timeout": timedelta.max, "deferrable": True}, "timeout"),
    (AzureBlobChangeSensor, {"timeout": timedelta.max}, "timeout"),
    (AzureMLScheduleRunSensor, {"since": "yesterday"}, "since: is 'yesterday'"),
    (AzureBlobChangeSensor, {"settle": -5}, "settle: is -5 s"),
    (AzureBlobChangeSensor, {"on_first_poll": "all"}, "on_first_poll"),
    (AzureBlobChangeSensor, {"max_changes": 0}, "max_changes"),
    (AzureBlobChangeSensor, {"pattern": []}, "pattern"),
    (AzureBlobChangeSensor, {"path": "a\\b"}, "path"),
    (AzureBlobChangeSensor, {"wasb_conn_id": "w"}, "wasb_conn_id: can be used only with container_url"),
    (AzureBlobChangeSensor, {"datastore": ..., "container_url": "wasb://x"}, "container_url"),
    (AzureBlobChangeSensor, {"cursor_store": "https://a/b"}, "cursor_store"),
    (AzureBlobChangeSensor, {"cursor_store": "store/../b"}, "cursor_store"),
    (AzureBlobChangeSensor, {"cursor_store": "/b"}, "cursor_store"),
    (AzureBlobChangeSensor, {"cursor_key": ""}, "cursor_key"),
    (AzureBlobChangeSensor, {"wake_queue": "store/Queue"}, "wake_queue: 'store/Queue' is neither the name of a queue"),
    (AzureBlobChangeSensor, {"wake_queue": "https://a.blob.core.windows.net/q"}, "that is a.queue.core.windows.net"),
    (AzureBlobChangeSensor, {"resync": 0}, "resync: is 0 s"),
    (AzureBlobChangeSensor, {"path": "\ud800"}, "path"),
    (AzureBlobChangeSensor, {"pattern": "sub/*.csv"}, "pattern"),
]


@pytest.mark.parametrize(("kind", "arguments", "said"), MISTAKES, ids=lambda part: getattr(part, "__name__", str(part)))
def test_a_mistake_is_reported_when_the_dag_file_is_parsed(kind, arguments, said):
    with pytest.raises(InvalidArgument, match=f"^Task 't'.*{said}"):
        of(kind, **arguments)


@pytest.mark.parametrize("value", [5, None, ["a"], datetime(2026, 1, 1)])  # noqa: DTZ001
def test_a_message_about_a_literal_does_not_mention_rendering(value):
    with pytest.raises(InvalidArgument) as caught:
        AzureMLRunPipelineOperator(task_id="t", experiment_name="e", pipeline_id="p", azureml_conn_id=value)
    assert "azureml_conn_id: is" in str(caught.value)
    assert "render" not in str(caught.value)


def test_all_mistakes_are_in_one_message():
    recurrence = Recurrence("minutes", 0, time_zone="Nowhere/Land", time_of_day="25:00")
    with pytest.raises(InvalidArgument) as caught:
        of(
            AzureMLCreateScheduleOperator,
            recurrence=recurrence,
            datastore="store",
            status="On",
            if_exists="no",
            parameters={"a": None, "b": []},
        )
    lines = caught.value.text.splitlines()
    assert all(line.startswith("Task 't'") for line in lines)
    for said in (
        "needs either recurrence or datastore",
        "recurrence.frequency",
        "recurrence.interval",
        "recurrence.time_zone",
        "recurrence.time_of_day",
        "status",
        "if_exists",
        "parameters['a']",
        "parameters['b']",
    ):
        assert len([line for line in lines if said in line]) == 1, said


def test_all_mistakes_in_the_recurrence_of_a_job_schedule_are_in_one_message():
    recurrence = Recurrence(
        "Hour", 0, "soon", "Nowhere/Land", hours=[24], minutes=[60], week_days=["monday"], month_days=[0]
    )
    with pytest.raises(InvalidArgument) as caught:
        of(AzureMLCreateJobScheduleOperator, cron=..., recurrence=recurrence, end_time="{{ ds }}")
    text = str(caught.value)
    for field in ("interval", "start_time", "time_zone", "hours", "minutes", "week_days", "month_days"):
        assert f"recurrence.{field}: is" in text or f"recurrence.{field}: has" in text, (field, text)
    # Nor do these go with the frequency.
    assert text.count("not with Hour") == 4


def test_lists_that_a_job_schedule_wants_together_are_not_wanted_of_each_alone():
    recurrence = Recurrence("Week", 1, hours=[7], minutes=[0], week_days=["Monday"])
    of(AzureMLCreateJobScheduleOperator, cron=..., recurrence=recurrence)


def _needed(field, template):
    """What else has to be a template if this field is one."""
    return {"cursor_key": template} if field == "pattern" else {}


TEMPLATE = "{{ ds }}"
TEMPLATED = [
    (kind, field)
    for kind, arguments in CLASSES.items()
    for field in kind.template_fields
    if field in arguments or field == "azureml_conn_id"
]


@pytest.mark.parametrize(("kind", "field"), TEMPLATED, ids=lambda part: getattr(part, "__name__", part))
@pytest.mark.parametrize("template", ["{{ x y }}", "{% if 1 %} {% endif %}", "{# a #} ", "[1]"])
def test_a_template_is_not_a_mistake(kind, field, template):
    task = of(kind, **{field: template}, **_needed(field, template))
    assert getattr(task, field) == template


@pytest.mark.parametrize(("kind", "field"), TEMPLATED, ids=lambda part: getattr(part, "__name__", part))
def test_an_output_is_not_a_mistake_and_makes_a_dependency(kind, field):
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1)):  # noqa: DTZ001 - Airflow reads it in its own zone
        before = AzureMLRunPipelineOperator(task_id="before", **RUN)
        task = of(kind, **{field: before.output}, **_needed(field, "{{ ds }}"))
    assert task.upstream_task_ids == {"before"}
    assert getattr(task, field) is not None


def test_templates_inside_a_value_are_not_mistakes():
    of(
        AzureMLRunPipelineOperator,
        parameters={"a": "{{ x }}", "b": 1},
        data_paths={"in": DataPath("{{ store }}", "x"), "other": {"datastore": "{{ a b }}", "path": "y"}},
    )
    of(AzureMLCreateScheduleOperator, recurrence=Recurrence("{{ f }}", "{{ i }}", start_time="{{ ds }}T00:00:00"))
    of(AzureMLCreateScheduleOperator, recurrence={"frequency": "Day", "interval": "15"})


def test_text_that_native_rendering_converts_is_not_checked():
    """Without it, the check after rendering says so."""
    of(AzureMLCreateScheduleOperator, recurrence=Recurrence("Minute", "15"))
    of(AzureMLRunPipelineOperator, parameters="{'a': 1}")


def test_a_dag_with_its_own_template_delimiters_is_not_checked():
    delimiters = {"variable_start_string": "<<", "variable_end_string": ">>"}
    start = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow reads it in its own zone
    with DAG("d", schedule=None, start_date=start, jinja_environment_kwargs=delimiters):
        of(AzureMLRunPipelineOperator, experiment_name="<< ds >>")


def test_a_mapped_task_can_be_created_with_any_values():
    start = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow reads it in its own zone
    with DAG("d", schedule=None, start_date=start):
        AzureMLRunPipelineOperator.partial(task_id="a", **RUN, on_timeout="leave").expand(
            parameters=[{"a": 1}, {"a": 2}]
        )
        AzureMLCreateScheduleOperator.partial(task_id="b", experiment_name="e").expand_kwargs(
            [{"name": "n", "pipeline_name": "p", "recurrence": ["Day", 1]}]
        )
        AzureBlobChangeSensor.partial(task_id="c").expand(datastore=["one", "two"])


def test_a_mistake_in_a_mapped_task_costs_no_retry():
    """The values are known only on the worker, which creates the task then."""
    with pytest.raises(AirflowFailException, match="experiment_name"):
        AzureMLRunPipelineOperator(task_id="t", **RUN | {"experiment_name": "no spaces"}, _airflow_from_mapped=True)


def test_the_arguments_are_not_changed():
    parameters, paths = {"a": "x"}, {"in": DataPath("store", "x")}
    task = of(AzureMLRunPipelineOperator, parameters=parameters, data_paths=paths)
    assert task.parameters is parameters
    assert task.data_paths is paths


def test_creating_a_task_imports_nothing_heavy():
    program = f"""
import sys
from aml_provider.client.models import Recurrence
{"".join(f"from {kind.__module__} import {kind.__name__}{chr(10)}" for kind in CLASSES)}
{"".join(f"{kind.__name__}(task_id='t', **{arguments!r}){chr(10)}" for kind, arguments in CLASSES.items())}
heavy = ("azure", "aml_provider.client.entities", "aml_provider.client.http.clients", "aml_provider.hooks.azure_ml")
print([name for name in sys.modules if name.startswith(heavy)])
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1] == "[]"
