"""Every method of the hook has two faces with one definition: for workers and for event loops."""

from __future__ import annotations

import inspect

import pytest

from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.workspace import WorkspaceHook

PUBLIC = {name for name in dir(AzureMLHook) if not name.startswith("_")}
OPERATIONS = sorted(
    name
    for name in PUBLIC - set(dir(WorkspaceHook))
    if not name.startswith("async_") and callable(getattr(AzureMLHook, name))
)
# What its users were promised.
PROMISED = {
    "add_endpoint_version",
    "archive_endpoint",
    "archive_experiment",
    "cancel_job",
    "cancel_run",
    "create_endpoint",
    "create_experiment",
    "create_job_schedule",
    "create_schedule",
    "delete_experiment",
    "delete_job_schedule",
    "disable_endpoint",
    "disable_job_schedule",
    "disable_pipeline",
    "disable_schedule",
    "enable_endpoint",
    "enable_job_schedule",
    "enable_pipeline",
    "enable_schedule",
    "find_endpoint",
    "find_pipeline",
    "find_schedule",
    "get_batch_endpoint",
    "get_component",
    "get_datastore",
    "get_default_datastore",
    "get_endpoint",
    "get_experiment",
    "get_job",
    "get_job_schedule",
    "get_last_run_of_schedule",
    "get_pipeline",
    "get_pipeline_interface",
    "get_run",
    "get_run_logs",
    "get_run_metrics",
    "get_run_outputs",
    "get_schedule",
    "list_batch_endpoints",
    "list_components",
    "list_datastores",
    "list_endpoints",
    "list_experiments",
    "list_job_schedules",
    "list_jobs",
    "list_jobs_of_job_schedule",
    "list_pipelines",
    "list_pipelines_of_endpoint",
    "list_runs",
    "list_schedules",
    "list_steps",
    "reactivate_experiment",
    "set_default_datastore",
    "set_default_endpoint_version",
    "set_run_display_name",
    "set_run_properties",
    "submit_endpoint",
    "submit_job",
    "submit_pipeline",
    "tag_run",
    "trigger_job_schedule",
    "untag_run",
    "update_experiment",
    "wait_for_run",
}


def test_the_hook_has_the_promised_operations():
    assert set(OPERATIONS) >= PROMISED


def test_the_faces_have_the_same_names():
    twins = {name.removeprefix("async_") for name in PUBLIC - set(dir(WorkspaceHook)) if name.startswith("async_")}
    assert twins == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_faces_have_the_same_signature(name):
    method, twin = getattr(AzureMLHook, name), getattr(AzureMLHook, f"async_{name}")
    assert inspect.signature(method) == inspect.signature(twin)
    assert inspect.iscoroutinefunction(twin)
    assert not inspect.iscoroutinefunction(method)
    assert (method.__name__, twin.__name__) == (name, f"async_{name}")
    assert method.__module__ == twin.__module__
    returned = inspect.signature(method).return_annotation
    assert "Flow" not in returned
    assert returned.count("[") == returned.count("]")


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_of_the_hook_is_described_with_its_arguments(name):
    """With all of its arguments, unless there is but one that is named like what it is."""
    method = getattr(AzureMLHook, name)
    text = inspect.getdoc(method)
    parameters = [item for item in inspect.signature(method).parameters if item != "self"]
    if len(parameters) > 1:
        for parameter in parameters:
            assert f"{parameter}: " in text.partition("Args:")[2], parameter
    assert f"The twin of :meth:`{name}`" in getattr(AzureMLHook, f"async_{name}").__doc__
    assert text in inspect.getdoc(getattr(AzureMLHook, f"async_{name}"))


def test_arguments_are_checked_by_their_signature():
    with pytest.raises(TypeError, match="nonsense"):
        AzureMLHook().get_run.__wrapped__(AzureMLHook(), nonsense=1)
