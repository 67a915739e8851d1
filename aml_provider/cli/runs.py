"""``runs``: pipeline runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from aml_provider.cli.execution import CommandError, Prose, UsageError, command, confirm, live_command, say
from aml_provider.cli.log_printer import LogPrinter, heading
from aml_provider.cli.lookup import find_pipeline, find_schedule, pipeline_names
from aml_provider.cli.records import of_run, of_step
from aml_provider.cli.run_screen import watching
from aml_provider.cli.waiting import RunWait
from aml_provider.client.entities import RunState
from aml_provider.client.flows.cancel_run import cancel_run
from aml_provider.client.flows.failures import explain_failure
from aml_provider.client.flows.follow_logs import LogFollower
from aml_provider.client.flows.run_results import read_logs

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import TextIO

    from aml_provider.cli.output import Record
    from aml_provider.client.entities import HistoryRun
    from aml_provider.client.flows.runs import Observation
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
    names = pipeline_names(hook, found)
    return [of_run(item, names) for item in found]


@command
def show(options: Namespace, hook: AzureMLHook) -> Record:
    """Show a run and its steps."""
    run = hook.get_run(options.run_id)
    return {
        **of_run(run, pipeline_names(hook, [run])),
        "schedule_id": run.schedule_id or None,
        "description": run.description or None,
        "parameters": run.parameters,
        "error": hook.run(explain_failure(run)).rstrip() if run.state is RunState.FAILED else None,
        "tags": run.tags,
        "link": hook.settings().run_url(run.id),
        "steps": [of_step(step) for step in hook.list_steps(run)],
    }


@live_command(waits=lambda options: options.follow)
def logs(options: Namespace, hook: AzureMLHook, output: TextIO) -> Prose | None:
    """Print logs; with ``--follow``, until the run ends."""
    if options.follow:
        _follow_logs(options, hook, output)
        return None
    if options.timeout is not None:
        raise UsageError("--timeout can be used only with --follow.")
    # Not the hook's method, which would log what could not be read instead of printing it.
    found = hook.run(read_logs(options.run_id, options.step, max_bytes=None, warn=say))
    records = [{"log": name, "text": text} for name, text in found.items()]
    # The headings are those of `tail`.
    return Prose(records, "\n".join(f"{heading(name)}{_lines(text)}" for name, text in found.items()))


def _lines(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _follow_logs(options: Namespace, hook: AzureMLHook, output: TextIO) -> None:
    if options.output not in {"table", "plain"}:
        raise UsageError(f"--follow prints text, which cannot be {options.output}: leave --follow or --output out.")
    run = hook.get_run(options.run_id)
    wait = RunWait(hook, options.timeout)
    printer = LogPrinter(output)
    follower = LogFollower(run.id, run.experiment_name, options.step, deliver=printer.add, warn=say)
    try:
        run = wait.carry_out(
            run,
            lambda: follower.follow(poll_interval=options.poll_interval, deadline=wait.deadline, policy=wait.policy),
        )
    finally:
        printer.finish()
    wait.conclude(run, with_reason=False)


@live_command(waits=lambda _: True)
def watch(options: Namespace, hook: AzureMLHook, output: TextIO) -> Record | None:
    """Show the steps of a run until the run ends."""
    run = hook.get_run(options.run_id)
    names, link = pipeline_names(hook, [run]), hook.settings().run_url(run.id)
    say(f"Watching run {run.id}: {link}")
    wait = RunWait(hook, options.timeout)
    is_text = options.output in {"table", "plain"}
    steps: tuple[HistoryRun, ...] = ()

    def notify(seen: Observation) -> None:
        nonlocal steps
        # Without those that cannot be read now.
        steps = seen.steps if seen.problem is None else steps
        display(seen)

    with watching(output if is_text else sys.stderr, names.get(run.pipeline_id, "")) as display:
        run = wait.observe(run, options.poll_interval, notify)
    answer = None
    if not is_text:
        answer = {**of_run(run, names), "link": link, "steps": [of_step(step) for step in steps]}
    wait.conclude(run, answer)
    return answer


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
