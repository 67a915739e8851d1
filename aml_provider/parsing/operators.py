"""Checks of operators' arguments when the DAG file is parsed. Loaded when an operator is made, not with its class."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from aml_provider.client.arguments import (
    IF_EXISTS,
    ON_TIMEOUT,
    STATUSES,
    as_choice,
    as_flag,
    as_name,
    as_version,
    is_file_name,
)
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.specs.job import check_order
from aml_provider.client.specs.run import RunRequest, as_experiment_name
from aml_provider.client.specs.target import GOES_WITH, ONE_OF, ONE_OF_V2, PipelineReference, as_component_name
from aml_provider.durations import in_seconds
from aml_provider.parsing.literals import Literals

if TYPE_CHECKING:
    from collections.abc import Callable


def check_run(task: Any) -> None:
    """Check the run operator.

    Raises:
        InvalidTask: Some arguments cannot be used; the message names all of them.
    """
    with Literals(task) as literals:
        literals.exactly_one(*ONE_OF, *ONE_OF_V2)
        for name, others in GOES_WITH.items():
            literals.goes_with(name, *others)
        literals.goes_with("compute", *ONE_OF_V2)
        for name in ("endpoint_version", "component_version"):
            literals.check(name, as_version, optional=True)
        for name in ("deployment_name", "compute", "parent_run_id"):
            literals.check(name, as_name, optional=True)
        _check_request(literals, task, "tags")
        if any(getattr(task, name) is not None for name in ONE_OF_V2):
            _check_job(literals, task)
        literals.check("poll_interval", lambda name, value: in_seconds(name, value, minimum=0.1))
        literals.check("on_timeout", lambda name, value: as_choice(name, value, ON_TIMEOUT))
        for name in ("validate", "wait_for_completion", "deferrable", "durable", "cancel_on_kill"):
            literals.check(name, as_flag)


def check_schedule(task: Any) -> None:
    """Check the operator that creates schedules.

    Raises:
        InvalidTask: Some arguments cannot be used; the message names all of them.
    """
    from aml_provider.client.specs.recurrence import parts, recurrence_to_wire, whole_number
    from aml_provider.client.specs.schedule import as_folder

    with Literals(task) as literals:
        literals.exactly_one(*ONE_OF)
        literals.exactly_one("recurrence", "datastore")
        for name in ("path_on_datastore", "data_path_parameter_name"):
            literals.goes_with(name, "datastore")
        literals.check("name", as_name)
        _check_request(literals, task)
        if task.recurrence is not None:
            _check_recurrence(literals, task.recurrence, parts, recurrence_to_wire)
        literals.check("datastore", as_name, optional=True)
        literals.check("path_on_datastore", as_folder, optional=True)
        literals.check("data_path_parameter_name", as_name, optional=True)
        literals.check("polling_interval", lambda name, value: whole_number(name, value, 1, None))
        literals.check("status", lambda name, value: as_choice(name, value, STATUSES))
        literals.check("if_exists", lambda name, value: as_choice(name, value, IF_EXISTS))
        for name in ("wait_for_provisioning", "deferrable"):
            literals.check(name, as_flag)


def check_job_schedule(task: Any) -> None:
    """Check the operator that creates job schedules.

    Raises:
        InvalidTask: Some arguments cannot be used; the message names all of them.
    """
    from aml_provider.client.specs.job_trigger import as_cron, check_fields, recurrence_parts, trigger_to_wire
    from aml_provider.client.specs.recurrence import as_local_time
    from aml_provider.client.specs.time_zones import windows_zone

    with Literals(task) as literals:
        literals.exactly_one(*ONE_OF_V2)
        literals.exactly_one("recurrence", "cron")
        literals.goes_with("component_version", "component_name")
        literals.goes_with("deployment_name", "batch_endpoint_name")
        literals.check("name", as_experiment_name)
        literals.check("component_version", as_version, optional=True)
        for name in ("deployment_name", "compute"):
            literals.check(name, as_name, optional=True)
        _check_request(literals, task, "tags")
        _check_job(literals, task)
        if task.recurrence is not None:
            _check_recurrence(literals, task.recurrence, recurrence_parts, check_fields)
        literals.check("cron", as_cron, optional=True)
        literals.check("start_time", as_local_time, optional=True)
        literals.check("end_time", as_local_time, optional=True)
        literals.check("time_zone", windows_zone, optional=True)
        when = {name: getattr(task, name) for name in ("recurrence", "cron", "start_time", "end_time", "time_zone")}
        given_once = (task.recurrence is None) != (task.cron is None)
        if given_once and all(literals.is_literal(name, value) for name, value in when.items()):
            literals.check_value("recurrence", None, partial(trigger_to_wire, **when))
        literals.check("status", lambda name, value: as_choice(name, value, STATUSES))
        literals.check("if_exists", lambda name, value: as_choice(name, value, IF_EXISTS))
        for name in ("validate", "wait_for_provisioning", "deferrable"):
            literals.check(name, as_flag)


def check_named(task: Any) -> None:
    """Check an operator whose argument ``name`` names what it acts on; raises as :func:`check_one_of` does."""
    with Literals(task) as literals:
        literals.check("name", as_name)
        literals.check("azureml_conn_id", as_name)


def check_one_of(task: Any, *names: str) -> None:
    """Check an operator that needs exactly one of several arguments, which name what it acts on.

    Raises:
        InvalidTask: Some arguments cannot be used; the message names all of them.
    """
    with Literals(task) as literals:
        literals.exactly_one(*names)
        for name in (*names, "azureml_conn_id"):
            literals.check(name, as_name, optional=name != "azureml_conn_id")
        if hasattr(task, "disable_schedules"):
            literals.check("disable_schedules", as_flag)


def _check_request(literals: Literals, task: Any, *more: str) -> None:
    """Check the arguments of a run, which both kinds of operators have."""
    for name in (*ONE_OF, *ONE_OF_V2):
        if hasattr(task, name):
            literals.check(name, as_component_name if name == "component_name" else as_name, optional=True)
    literals.check("azureml_conn_id", as_name)
    literals.check("experiment_name", as_experiment_name)
    for name in ("parameters", "data_paths", "datasets", *more):
        # A file is read when the task runs.
        if getattr(task, name) is not None and not is_file_name(getattr(task, name)):
            literals.check_each(name, _of_request)
    literals.check("description", _of_request)
    literals.check("continue_on_step_failure", as_flag, optional=True)


def _check_job(literals: Literals, task: Any) -> None:
    """Check the arguments that mean something else, or nothing, for a component."""
    component = PipelineReference(component_name="any")
    request = RunRequest(experiment_name="any")
    if hasattr(task, "parent_run_id"):
        literals.check("parent_run_id", lambda _, value: check_order(component, request, value), optional=True)
    for name in ("parameters", "datasets"):
        if getattr(task, name) is not None and not is_file_name(getattr(task, name)):
            literals.check_each(name, lambda name, value: check_order(component, _of_request(name, value), None))


def _of_request(name: str, value: Any) -> RunRequest:
    """Check one argument of a run alone."""
    return RunRequest.of(**{"experiment_name": "any", name: value})


def _check_recurrence(
    literals: Literals, recurrence: Any, split: Callable[[Any], list[Any]], check: Callable[[Any], object]
) -> None:
    """Check a recurrence in parts, so that the message has all its mistakes."""
    try:
        pieces = split(recurrence)
    except InvalidArgument:
        literals.check_value("recurrence", recurrence, partial(split, recurrence))
        return
    for piece in pieces:
        literals.check_value("recurrence", piece, partial(check, piece))
