"""``submit``: one run of a published pipeline, a pipeline endpoint or a component."""

from __future__ import annotations

import contextlib
import re
import time
import uuid
from typing import TYPE_CHECKING, Any

from aml_provider.cli.execution import CommandError, UsageError, command, say
from aml_provider.cli.lookup import find_endpoint, find_pipeline
from aml_provider.cli.records import of_run, status_of
from aml_provider.client import calls
from aml_provider.client.entities import RunState
from aml_provider.client.errors import AzureMLError, InvalidArgument, RunCanceled, RunFailed
from aml_provider.client.flows.datastores import check_datastores
from aml_provider.client.flows.failures import explain_failure
from aml_provider.client.flows.runs import wait_for_run
from aml_provider.client.flows.targets import Known, accept, find_target
from aml_provider.client.help import address_of, with_address
from aml_provider.client.http.messages import flow_of
from aml_provider.client.specs.job import check_order, job_id, job_to_wire
from aml_provider.client.specs.run import SUBMITTED_BY, RunRequest
from aml_provider.client.specs.target import ONE_OF_V2, PipelineReference, Target
from aml_provider.compat import AirflowException
from aml_provider.hooks.azure_ml import retry_policy

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from aml_provider.cli.output import Record
    from aml_provider.client.entities import PipelineRun
    from aml_provider.hooks.azure_ml import AzureMLHook

# The hook's arguments and this command's options.
_OPTIONS = {
    "experiment_name": "--experiment",
    "parameters": "--parameter",
    "data_paths": "--data-path",
    "datasets": "--dataset",
    "tags": "--tag",
    "batch_endpoint_name": "--batch-endpoint",
    "component_name": "--component",
    "component_version": "--component-version",
    "deployment_name": "--deployment",
    "compute": "--compute",
}
# A task of Airflow writes its names instead.
_OWN_TAGS = {SUBMITTED_BY: "the command line"}
# What can be run, and the options that can only be given for some of it.
_SUBJECTS = ("--pipeline", "--endpoint", "--component", "--batch-endpoint")
_GOES_WITH = {
    "--endpoint-version": ("--endpoint",),
    "--component-version": ("--component",),
    "--deployment": ("--batch-endpoint",),
    "--compute": ("--component", "--batch-endpoint"),
    "--timeout": ("--wait",),
}


@command
def submit(options: Namespace, hook: AzureMLHook) -> Record:
    """Submit a run and, with ``--wait``, wait for its end."""
    if sum(_is_given(options, name) for name in _SUBJECTS) != 1:
        raise UsageError(f"Give one of {', '.join(_SUBJECTS[:-1])} and {_SUBJECTS[-1]}.")
    for option, needed in _GOES_WITH.items():
        if _is_given(options, option) and not any(_is_given(options, name) for name in needed):
            raise UsageError(f"{option} can be used only with {' or '.join(needed)}.")
    wanted: dict[str, Any] = {
        "experiment_name": options.experiment,
        "parameters": mapping("--parameter", options.parameter),
        "data_paths": mapping("--data-path", options.data_path),
        "datasets": mapping("--dataset", options.dataset),
        "tags": mapping("--tag", options.tag),
        "description": options.description,
        "compute": options.compute,
    }
    request = _request(wanted)
    known = Known(workspace=hook.settings().arm_id)
    with _errors_in_options():
        target = hook.run(accept(request, _target(options, hook, request, known), known))
    stores = [(f"--data-path {name}", path.datastore) for name, path in request.data_paths.items()]
    hook.run(check_datastores(stores, known.datastores, of_job=target.kind == "component"))
    run = _submit(hook, target, request)
    link = hook.settings().run_url(run.id)
    say(f"Submitted run {run.id}: {link}")
    if options.wait:
        run = _wait(hook, run, poll_interval=options.poll_interval, timeout=options.timeout)
    record = {**of_run(run), "link": link}
    if options.wait and run.state is not RunState.FINISHED:
        raise CommandError(_unsuccessful(hook, run, options.timeout), answer=record)
    return record


def _is_given(options: Namespace, option: str) -> bool:
    return getattr(options, option.removeprefix("--").replace("-", "_")) not in {None, False}


def mapping(option: str, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Read assignments of values to names.

    Raises:
        UsageError: A name is given more than once.
    """
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{option}: {', '.join(twice)} is given more than once.")
    return dict(pairs)


def _request(wanted: dict[str, Any]) -> RunRequest:
    with _errors_in_options():
        return RunRequest.of(**wanted)


def _usage(error: InvalidArgument) -> UsageError:
    name, bracket, rest = error.argument.partition("[")
    return UsageError(f"{_OPTIONS.get(name, name)}{bracket}{rest}: {error.problem}.")


def _target(options: Namespace, hook: AzureMLHook, request: RunRequest, known: Known) -> Target:
    if options.pipeline is not None:
        pipeline = find_pipeline(hook, options.pipeline)
        return Target("pipeline", pipeline.id, pipeline_id=pipeline.id)
    if options.endpoint is not None:
        return Target("endpoint", find_endpoint(hook, options.endpoint).id, options.endpoint_version)
    reference = PipelineReference(
        component_name=options.component,
        component_version=options.component_version,
        batch_endpoint_name=options.batch_endpoint,
        deployment_name=options.deployment,
    )
    with _errors_in_options():
        reference = reference.check(ONE_OF_V2)
        check_order(reference, request, None)
    return hook.run(find_target(reference, known))


@contextlib.contextmanager
def _errors_in_options() -> Iterator[None]:
    """Replace the names of arguments in errors by the names of this command's options."""
    try:
        yield
    except AirflowException as error:
        text = str(error)
        for name, option in _OPTIONS.items():
            text = re.sub(rf"(^|\bgive ){name}\b", rf"\g<1>{option}", text)
        raise CommandError(text) from error
    except InvalidArgument as error:
        raise _usage(error) from error


def _submit(hook: AzureMLHook, target: Target, request: RunRequest) -> PipelineRun:
    where = f"`runs list --experiment {request.experiment_name}`"
    if target.kind == "pipeline":
        submit = calls.submit_pipeline(target.id, request.to_wire(own_tags=_OWN_TAGS, notification=True))
    elif target.kind == "endpoint":
        body = request.to_wire(own_tags=_OWN_TAGS, notification=False)
        submit = calls.submit_endpoint(target.id, body, version=target.version)
    else:
        wanted_id = job_id(uuid.uuid4().hex, 0)
        where = f"`jobs show {wanted_id}`"
        body = job_to_wire(request, target, workspace=hook.settings().arm_id, own_tags=_OWN_TAGS)
        submit = calls.submit_job(wanted_id, body)
    try:
        return hook.run(flow_of(submit))
    except AzureMLError as error:
        if not error.in_doubt:
            raise
        raise CommandError(
            f"{error.text.rstrip('.')}. It is not known whether the run exists. Before you submit again, search for it "
            f"with {where}."
        ) from error


def _wait(hook: AzureMLHook, run: PipelineRun, *, poll_interval: float, timeout: float | None) -> PipelineRun:
    try:
        return hook.run(
            wait_for_run(
                run.id,
                run.experiment_name,
                poll_interval=poll_interval,
                deadline=None if timeout is None else time.time() + timeout,
                log=lambda progress: say(f"Run {run.id}: {progress}"),
                policy=retry_policy()._replace(log=lambda _, text: say(text)),
            )
        )
    except (Exception, KeyboardInterrupt):
        say(f"Run {run.id} continues. See it with `runs show {run.id}`, or end it with `runs cancel {run.id}`.")
        raise


def _unsuccessful(hook: AzureMLHook, run: PipelineRun, timeout: float | None) -> str:
    if not run.state.is_final:
        return f"Run {run.id} is still {run.status} after {timeout:g} seconds and continues. See `runs show {run.id}`."
    text = f"Run {run.id} ended as {status_of(run)}."
    if run.state is not RunState.FAILED:
        return with_address(text, address_of(RunCanceled))
    return with_address(f"{text} {hook.run(explain_failure(run))}", address_of(RunFailed))
