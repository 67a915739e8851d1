"""``submit``: one run of a published pipeline, a pipeline endpoint or a component."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from aml_provider.cli.execution import CommandError, Prose, UsageError, command, say
from aml_provider.cli.lookup import find_endpoint, find_pipeline
from aml_provider.cli.records import of_run
from aml_provider.cli.waiting import RunWait
from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, InvalidArgument
from aml_provider.client.flows.datastores import check_datastores
from aml_provider.client.flows.runs import wait_for_run
from aml_provider.client.flows.targets import Known, accept, find_target
from aml_provider.client.http.messages import flow_of
from aml_provider.client.http.protocol import path_of
from aml_provider.client.specs.job import check_order, job_id, job_to_wire
from aml_provider.client.specs.run import SUBMITTED_BY, RunRequest
from aml_provider.client.specs.target import ONE_OF_V2, PipelineReference, Target
from aml_provider.compat import AirflowException

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from aml_provider.cli.output import Record
    from aml_provider.client.calls import Call
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
def submit(options: Namespace, hook: AzureMLHook) -> Record | Prose:
    """Submit a run and, with ``--wait``, wait for its end; with ``--dry-run``, only describe the submission."""
    if sum(_is_given(options, name) for name in _SUBJECTS) != 1:
        raise UsageError(f"Give one of {', '.join(_SUBJECTS[:-1])} and {_SUBJECTS[-1]}.")
    for option, needed in _GOES_WITH.items():
        if _is_given(options, option) and not any(_is_given(options, name) for name in needed):
            raise UsageError(f"{option} can be used only with {' or '.join(needed)}.")
    if options.dry_run and options.wait:
        raise UsageError("Give --dry-run or --wait, not both.")
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
    order = _order(hook, target, request)
    if options.dry_run:
        return _described(hook, order.call)
    submitted = _submit(hook, order)
    link = hook.settings().run_url(submitted.id)
    say(f"Submitted run {submitted.id}: {link}")
    if not options.wait:
        return {**of_run(submitted), "link": link}
    wait = RunWait(hook, options.timeout)
    run = wait.carry_out(
        submitted,
        lambda: wait_for_run(
            submitted.id,
            submitted.experiment_name,
            poll_interval=options.poll_interval,
            deadline=wait.deadline,
            log=lambda progress: say(f"Run {submitted.id}: {progress}"),
            policy=wait.policy,
        ),
    )
    answer = {**of_run(run), "link": link}
    wait.conclude(run, answer)
    return answer


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


class _Order(NamedTuple):
    """A submission, and the command that finds its run if the reply is lost."""

    call: Call[PipelineRun]
    search: str


def _order(hook: AzureMLHook, target: Target, request: RunRequest) -> _Order:
    search = f"`runs list --experiment {request.experiment_name}`"
    if target.kind == "pipeline":
        return _Order(calls.submit_pipeline(target.id, request.to_wire(own_tags=_OWN_TAGS, notification=True)), search)
    if target.kind == "endpoint":
        body = request.to_wire(own_tags=_OWN_TAGS, notification=False)
        return _Order(calls.submit_endpoint(target.id, body, version=target.version), search)
    wanted_id = job_id(uuid.uuid4().hex, 0)
    body = job_to_wire(request, target, workspace=hook.settings().arm_id, own_tags=_OWN_TAGS)
    return _Order(calls.submit_job(wanted_id, body), f"`jobs show {wanted_id}`")


def _described(hook: AzureMLHook, call: Call[PipelineRun]) -> Prose:
    """What a submission would send."""
    path = path_of(call, hook.settings())
    record = {"method": call.method, "path": path, "query": dict(call.query), "body": call.body}
    say("Nothing was submitted. This would be sent:")
    query = f"?{urlencode(call.query)}" if call.query else ""
    return Prose(record, f"{call.method} {path}{query}\n\n{json.dumps(call.body, indent=2, ensure_ascii=False)}\n")


def _submit(hook: AzureMLHook, order: _Order) -> PipelineRun:
    try:
        return hook.run(flow_of(order.call))
    except AzureMLError as error:
        if not error.in_doubt:
            raise
        raise CommandError(
            f"{error.text.rstrip('.')}. It is not known whether the run exists. Before you submit again, search for it "
            f"with {order.search}."
        ) from error
