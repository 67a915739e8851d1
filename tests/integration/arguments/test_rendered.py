"""Whatever a template renders to, a task either runs or names the argument that cannot be used.

With ``render_template_as_native_obj=True`` text becomes a number, a list or None: Airflow does that to every template
field, also to plain text without a template in it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.airflow.task import TaskInstance, TaskStateStore
from support.drivers.watching import variables_in_memory

from aml_provider.client.errors import AzureMLError, InvalidArgument
from aml_provider.client.models import DataPath, Recurrence
from aml_provider.compat import AirflowFailException, AirflowNotFoundException, TaskDeferred
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

CREATE = {"name": "n", "experiment_name": "exp", "wait_for_provisioning": False}
JOBS = {"name": "jobs", "experiment_name": "exp", "wait_for_provisioning": False}
RECURRENCE = {"recurrence": Recurrence("Hour", 1, start_time="2099-01-01T00:00:00")}
# The arguments with which a class runs; those of a field are the first that have it.
FORMS = {
    AzureMLRunPipelineOperator: [
        {"pipeline_id": "quick", "experiment_name": "exp", "wait_for_completion": False},
        {"pipeline_name": "quick", "experiment_name": "exp", "wait_for_completion": False},
        {"endpoint_name": "door", "endpoint_version": "1", "experiment_name": "exp", "wait_for_completion": False},
        {"endpoint_id": "door", "experiment_name": "exp", "wait_for_completion": False},
        {
            "component_name": "quick",
            "component_version": "1",
            "compute": "cpu",
            "experiment_name": "exp",
            "wait_for_completion": False,
        },
        {
            "batch_endpoint_name": "gate",
            "deployment_name": "blue",
            "experiment_name": "exp",
            "wait_for_completion": False,
        },
    ],
    AzureMLCreateScheduleOperator: [
        CREATE | RECURRENCE | {"pipeline_id": "quick"},
        CREATE | {"datastore": "store", "path_on_datastore": "in", "pipeline_name": "quick"},
        CREATE | {"datastore": "store", "data_path_parameter_name": "input", "endpoint_name": "door"},
        CREATE | {"datastore": "store", "endpoint_id": "door"},
    ],
    AzureMLCreateJobScheduleOperator: [
        JOBS | RECURRENCE | {"component_name": "quick"},
        JOBS
        | {"batch_endpoint_name": "gate", "deployment_name": "blue", "cron": "0 7 * * *"}
        | {"start_time": "2099-01-01T00:00:00", "end_time": "2099-12-01T00:00:00", "time_zone": "UTC"},
    ],
    AzureMLDeleteJobScheduleOperator: [{"name": "s"}],
    AzureMLDisableJobScheduleOperator: [{"name": "s"}],
    AzureMLEnableJobScheduleOperator: [{"name": "s"}],
    AzureMLDisablePipelineOperator: [{"pipeline_id": "quick"}, {"pipeline_name": "quick"}],
    AzureMLEnablePipelineOperator: [{"pipeline_id": "quick"}, {"pipeline_name": "quick"}],
    AzureMLDisableScheduleOperator: [{"schedule_id": "s"}, {"schedule_name": "s"}, {"pipeline_id": "quick"}],
    AzureMLEnableScheduleOperator: [{"schedule_id": "s"}, {"schedule_name": "s"}, {"pipeline_id": "quick"}],
    AzureMLPipelineRunSensor: [{"run_id": "r"}],
    AzureMLScheduleRunSensor: [
        {"schedule_id": "s", "since": "2026-01-01"},
        {"schedule_name": "s", "since": "2026-01-01"},
        {"job_schedule_name": "s", "since": "2026-01-01"},
    ],
    AzureBlobChangeSensor: [
        {"datastore": "store"},
        {"container_url": "https://127.0.0.1:9/account/container", "wasb_conn_id": "wasb"},
    ],
}
FIELDS = [(kind, field) for kind in FORMS for field in kind.template_fields]
# Names, ids and paths, which nothing but text can be.
NOT_TEXT_TOO = {
    "endpoint_version",
    "component_version",
    "start_time",
    "end_time",
    "parameters",
    "data_paths",
    "datasets",
    "tags",
    "description",
    "recurrence",
    "pattern",
    "since",
    "cursor_store",
}
TEXTS = [(kind, field) for kind, field in FIELDS if field not in NOT_TEXT_TOO]
MAPPINGS = ("parameters", "data_paths", "datasets", "tags")
NATIVE = "render_template_as_native_obj=True"

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=5)
    | st.sampled_from(["", " ", "no-such", "20260101", "a/b", "quick", "store/in"])
    | st.text(max_size=8)
    | st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1), timedelta(1), {1, 2}, object(), Ellipsis])
)
keys = st.sampled_from(["input", "count", "datastore", "path", "frequency", "interval", "time_zone", "hours", 1, None])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
        | st.builds(DataPath, inner, inner)
        | st.builds(Recurrence, inner, inner, inner, inner, inner, inner, inner, inner)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def fields_of(running_workspace):
    running_workspace.reset()
    with pytest.MonkeyPatch.context() as patched:
        running_workspace.connect(patched)
        variables_in_memory(patched)
        patched.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "tests")
        patched.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")
        patched.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0")
        kept = {}
        patched.setattr("aml_provider.state.variables.read", kept.get)
        patched.setattr("aml_provider.state.variables.write", lambda key, value, _: kept.__setitem__(key, value))
        patched.setattr("aml_provider.state.variables.delete", lambda key: kept.pop(key, None))
        yield run


class Store(TaskStateStore):
    """One that schedules use too."""

    def delete(self, key):
        self.pop(key, None)


def run(kind, field, value):
    """Run a task whose template field was rendered to this value."""
    form = next((form for form in FORMS[kind] if field in form), FORMS[kind][0])
    task = kind(task_id="t", **form)
    setattr(task, field, value)
    dag_run = SimpleNamespace(data_interval_start=None, run_after=None)
    context = {"ti": TaskInstance(), "task_state_store": Store(), "dag_run": dag_run}
    return getattr(task, "poke", task.execute)(context)


def outcome(run_task, kind, field, value):
    """None if the task ran, else its error."""
    try:
        run_task(kind, field, value)
    except (AirflowFailException, AzureMLError, AirflowNotFoundException) as error:
        return error
    except TaskDeferred:
        return None
    return None


def test_this_file_covers_every_template_field():
    for kind, forms in FORMS.items():
        assert any("azureml_conn_id" in kind.template_fields for _ in forms)
    assert len(FIELDS) == sum(len(kind.template_fields) for kind in FORMS)


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=lambda part: getattr(part, "__name__", part))
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(value=values)
def test_a_task_runs_or_its_error_names_the_reason(fields_of, kind, field, value):
    error = outcome(fields_of, kind, field, value)
    assert error is None or isinstance(error, (AzureMLError, AirflowNotFoundException))


@pytest.mark.parametrize("value", [20260101, 1.0, True, ["a"], ("a", 1), {"a": 1}, b"a", {1}], ids=repr)
@pytest.mark.parametrize(("kind", "field"), TEXTS, ids=lambda part: getattr(part, "__name__", part))
def test_a_value_that_is_no_longer_text_is_refused_with_the_reason(fields_of, kind, field, value):
    error = outcome(fields_of, kind, field, value)
    assert isinstance(error, InvalidArgument)
    assert error.argument == field
    assert type(value).__name__ in str(error)
    assert NATIVE in str(error)


@pytest.mark.parametrize("value", [20260101, 1.5, ["a"], "{'a': 1}", True], ids=repr)
@pytest.mark.parametrize("field", MAPPINGS)
@pytest.mark.parametrize("kind", [AzureMLRunPipelineOperator, AzureMLCreateScheduleOperator], ids=lambda k: k.__name__)
def test_a_value_that_is_no_mapping_is_refused_with_the_reason(fields_of, kind, field, value):
    if field not in kind.template_fields:
        return
    error = outcome(fields_of, kind, field, value)
    assert isinstance(error, InvalidArgument)
    assert error.argument == field
    assert NATIVE in str(error)


@pytest.mark.parametrize(
    ("field", "value", "argument"),
    [
        ("data_paths", {"input": DataPath("store", 20260101)}, "data_paths['input']"),
        ("data_paths", {"input": DataPath(1, "x")}, "data_paths['input']"),
        ("data_paths", {"input": {"datastore": "store", "path": 1}}, "data_paths['input']"),
        ("datasets", {"input": 20260101}, "datasets['input']"),
        ("parameters", {"count": None}, "parameters['count']"),
        ("tags", {"a": [1]}, "tags['a']"),
        ("endpoint_version", 1.0, "endpoint_version"),
    ],
)
def test_a_value_inside_a_mapping_is_named(fields_of, field, value, argument):
    error = outcome(fields_of, AzureMLRunPipelineOperator, field, value)
    assert isinstance(error, InvalidArgument)
    assert error.argument == argument
    assert NATIVE in str(error)


@pytest.mark.parametrize(
    ("kind", "field"),
    [(kind, next(iter(form))) for kind in FORMS for form in FORMS[kind] if len(form) <= 2],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_value_that_rendered_to_none_is_refused(fields_of, kind, field):
    error = outcome(fields_of, kind, field, None)
    assert isinstance(error, InvalidArgument)
    assert field in error.argument


@pytest.mark.parametrize("field", ["pipeline_id", "parameters", "tags", "endpoint_version", "description"])
def test_a_number_too_long_for_python_to_print_is_refused(fields_of, field):
    value = {"count": 10**5000} if field in MAPPINGS else 10**5000
    assert isinstance(outcome(fields_of, AzureMLRunPipelineOperator, field, value), AzureMLError)


def test_a_version_may_be_a_number(fields_of):
    assert outcome(fields_of, AzureMLRunPipelineOperator, "endpoint_version", 1) is None
    assert outcome(fields_of, AzureMLRunPipelineOperator, "component_version", 1) is None


def test_a_url_that_may_hold_a_secret_is_not_shown(fields_of):
    url = ["https://account.blob.core.windows.net/c?sig=secret"]
    error = outcome(fields_of, AzureBlobChangeSensor, "container_url", url)
    assert isinstance(error, InvalidArgument)
    assert "secret" not in str(error)
