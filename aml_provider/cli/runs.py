"""``runs``: pipeline runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.cli.execution import CommandError, Prose, UsageError, command, confirm, say
from aml_provider.cli.lookup import find_pipeline, find_schedule
from aml_provider.cli.records import of_run, of_step
from aml_provider.client.entities import RunState
from aml_provider.client.flows.cancel_run import cancel_run
from aml_provider.client.flows.failures import explain_failure
from aml_provider.client.flows.run_results import read_logs
from aml_provider.client.text import printable

if TYPE_CHECKING:
    from argparse import Namespace

    from aml_provider.cli.output import Record
    from aml_provider.hooks.azure_ml import AzureMLHook


@command
def list_(options: Namespace, hook: AzureMLHook) -> list[Record]:
    """List runs, the newest first."""
    if sum(option is not None for option in (options.experiment, options.pipeline, options.schedule)) != 1:
        raise UsageError(
            "Give one of --experiment, --pipeline and --schedule: the service cannot list all runs of a workspace. "
            "The command `experiments list` lists the experiments."
        )
    found = hook.list_runs(
        experiment_name=options.experiment,
        pipeline_id=None if options.pipeline is None else find_pipeline(hook, options.pipeline).id,
        schedule_id=None if options.schedule is None else find_schedule(hook, options.schedule).id,
        status=options.status,
        limit=options.limit,
    )
    return [of_run(item) for item in found]


@command
def show(options: Namespace, hook: AzureMLHook) -> Record:
    """Show a run and its steps."""
    run = hook.get_run(options.run_id)
    return {
        **of_run(run),
        "schedule_id": run.schedule_id or None,
        "description": run.description or None,
        "parameters": run.parameters,
        "error": hook.run(explain_failure(run)).rstrip() if run.state is RunState.FAILED else None,
        "tags": run.tags,
        "link": hook.settings().run_url(run.id),
        "steps": [of_step(step) for step in hook.list_steps(run)],
    }


@command
def logs(options: Namespace, hook: AzureMLHook) -> Prose:
    """Print logs."""
    # Not the hook's method, which would log what could not be read instead of printing it.
    found = hook.run(read_logs(options.run_id, options.step, max_bytes=None, warn=say))
    records = [{"log": name, "text": text} for name, text in found.items()]
    # The headings are those of `tail`.
    return Prose(records, "\n".join(f"==> {printable(name)} <==\n{_lines(text)}" for name, text in found.items()))


def _lines(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


@command
def cancel(options: Namespace, hook: AzureMLHook) -> Record:
    """Cancel a run and wait for its end."""
    run = hook.get_run(options.run_id)
    if run.state.is_final:
        say(f"Run {run.id} has already ended; there is nothing to cancel.")
        return of_run(run)
    confirm(f"This cancels run {run.id} of experiment {run.experiment_name!r} ({run.status}).", yes=options.yes)
    run = hook.run(cancel_run(run.id, run.experiment_name, reason="cancelled from the command line", log=say))
    if not run.state.is_final:
        raise CommandError(
            f"The service accepted the cancellation of run {run.id}, but after a minute the run is still {run.status}. "
            f"Check again with `runs show {run.id}`.",
            answer=of_run(run),
        )
    if run.state is not RunState.CANCELED:
        say(f"Run {run.id} ended as {run.status} before it could be cancelled.")
    return of_run(run)
