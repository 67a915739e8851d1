"""``submit``: one run of a published pipeline or a pipeline endpoint."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aml_provider.cli.execution import CommandError, UsageError, command, say
from aml_provider.cli.lookup import find_endpoint, find_pipeline
from aml_provider.cli.records import of_run, status_of
from aml_provider.client.entities import RunState
from aml_provider.client.errors import AzureMLError, InvalidArgument
from aml_provider.client.flows.failures import explain_failure
from aml_provider.client.flows.finding import check_datastores
from aml_provider.client.flows.runs import wait_for_run
from aml_provider.client.flows.targets import Known, inspect_target
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import Target
from aml_provider.hooks.azure_ml import retry_policy

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

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
}


@command
def submit(options: Namespace, hook: AzureMLHook) -> Record:
    """Submit a run and, with ``--wait``, wait for its end."""
    if (options.pipeline is None) == (options.endpoint is None):
        raise UsageError("Give one of --pipeline and --endpoint.")
    if options.endpoint_version is not None and options.endpoint is None:
        raise UsageError("--endpoint-version can be used only with --endpoint.")
    if options.timeout is not None and not options.wait:
        raise UsageError("--timeout can be used only with --wait.")
    wanted: dict[str, Any] = {
        "experiment_name": options.experiment,
        "parameters": _mapping("--parameter", options.parameter),
        "data_paths": _mapping("--data-path", options.data_path),
        "datasets": _mapping("--dataset", options.dataset),
        "tags": _mapping("--tag", options.tag),
        "description": options.description,
    }
    request = _request(wanted)
    known = Known()
    target, pipeline, interface = hook.run(inspect_target(_target(options, hook), known))
    request.check(interface, f"published pipeline {pipeline.name!r} ({pipeline.id})")
    stores = [(f"--data-path {name}", path.datastore) for name, path in request.data_paths.items()]
    hook.run(check_datastores(stores, known.datastores))
    run = _submit(hook, target, wanted)
    link = hook.settings().run_url(run.id)
    say(f"Submitted run {run.id}: {link}")
    if options.wait:
        run = _wait(hook, run, poll_interval=options.poll_interval, timeout=options.timeout)
    record = {**of_run(run), "link": link}
    if options.wait and run.state is not RunState.FINISHED:
        raise CommandError(_unsuccessful(hook, run, options.timeout), answer=record)
    return record


def _mapping(option: str, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"{option}: {', '.join(twice)} is given more than once.")
    return dict(pairs)


def _request(wanted: dict[str, Any]) -> RunRequest:
    try:
        return RunRequest.of(**wanted)
    except InvalidArgument as error:
        name, bracket, rest = error.argument.partition("[")
        raise UsageError(f"{_OPTIONS.get(name, name)}{bracket}{rest}: {error.problem}.") from error


def _target(options: Namespace, hook: AzureMLHook) -> Target:
    if options.pipeline is not None:
        pipeline = find_pipeline(hook, options.pipeline)
        return Target("pipeline", pipeline.id, pipeline_id=pipeline.id)
    return Target("endpoint", find_endpoint(hook, options.endpoint).id, options.endpoint_version)


def _submit(hook: AzureMLHook, target: Target, wanted: dict[str, Any]) -> PipelineRun:
    try:
        if target.kind == "pipeline":
            return hook.submit_pipeline(target.id, **wanted)
        return hook.submit_endpoint(target.id, version=target.version, **wanted)
    except AzureMLError as error:
        if not error.in_doubt:
            raise
        raise CommandError(
            f"{error}. It is not known whether the run exists. Before you submit again, search for it with "
            f"`runs list --experiment {wanted['experiment_name']}`."
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
    reason = f" {hook.run(explain_failure(run))}" if run.state is RunState.FAILED else ""
    return f"Run {run.id} ended as {status_of(run)}.{reason}"
