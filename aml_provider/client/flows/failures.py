"""Explains a failed run: its failed steps, their errors, and the end of their logs."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError
from aml_provider.client.flows.runs import list_steps
from aml_provider.client.http.exchange import MOST_OF_A_LOG
from aml_provider.client.http.messages import Flow, Request
from aml_provider.client.text import LONGEST, masked, one_line, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.client.entities import HistoryRun, PipelineRun, RunDetails

_LOG_TAIL_LINES = 20
_LOG_TAIL_BYTES = 16_384
_LOG_TRIES = 3
# How far a failure is followed into steps that have steps themselves.
_DEEPEST = 5
# The logs with a step's own output, best first (their names on the service's different compute targets).
_LOG_NAMES = ("user_logs/std_log.txt", "azureml-logs/70_driver_log.txt", "logs/azureml/driver/stdout")


class Failure(NamedTuple):
    """The reason why a run failed, as a text and by the names of the failed steps."""

    text: str
    failed_steps: tuple[str, ...] = ()


def explain_failure(run: PipelineRun) -> Flow[str]:
    """Explain why a run failed, as a text; see :func:`find_failure`."""
    return (yield from find_failure(run)).text


def find_failure(run: PipelineRun) -> Flow[Failure]:
    """Find out why a run failed: its failed steps, their errors, and the end of the first failed step's log.

    What cannot be read is left out, because the failure itself matters more.
    """
    try:
        steps = yield from list_steps(run.experiment_name, run.id)
    except AzureMLError as error:
        return Failure(f"{_said(run.detail)} (Its steps could not be read: {error.text})".lstrip())
    failed = [step for step in steps if step.status == "Failed"]
    if not failed:
        return Failure(_said(run.detail or (yield from _error_of(run))) or "The service gives no reason.")
    parts = []
    if len(failed) > 1:
        parts.append(f"{len(failed)} steps failed: {', '.join(one_line(step.name, 100) for step in failed)}.")
    for step in failed[:1]:
        way = yield from _way_down(run, step)
        parent_id = way[-2].id if way[1:] else run.id
        error_text, log = yield from _explain_step(run.experiment_name, parent_id, way[-1])
        name = " of step ".join(repr(found.name) for found in reversed(way))
        parts.append(f"Step {name} failed: {_said(error_text or run.detail) or 'the service gives no reason.'}")
        if log:
            parts.append(f"\nThe end of its log:\n{quoted(masked(log))}\n")
    return Failure(" ".join(parts), tuple(step.name for step in failed))


def _said(text: str) -> str:
    """A text that somebody's program wrote, in a form that may be shown."""
    return one_line(masked(text[: 4 * LONGEST]))


def _error_of(run: PipelineRun) -> Flow[str]:
    """The error of a run that failed as a whole; only the run history has it for a job (azureml-v2-rest 4.5)."""
    with suppress(AzureMLError):
        details: RunDetails = yield calls.get_run_details(run.experiment_name, run.id)
        return details.error
    return ""


def _way_down(run: PipelineRun, step: HistoryRun) -> Flow[list[HistoryRun]]:
    """A failed step, then the failed step inside it, and so on: a step may be a pipeline or a sweep of its own.

    The error of such a step says only that something in it has failed.
    """
    way = [step]
    with suppress(AzureMLError):
        while len(way) < _DEEPEST:
            inner = yield from list_steps(run.experiment_name, way[-1].id)
            failed = next((found for found in inner if found.status == "Failed"), None)
            if failed is None:
                break
            way.append(failed)
    return way


def _explain_step(experiment: str, parent_id: str, step: HistoryRun) -> Flow[tuple[str, str]]:
    error_text = ""
    files: dict[str, str] = {}
    with suppress(AzureMLError):
        details = yield calls.get_run_details(experiment, step.id)
        error_text, files = details.error, details.log_files
    for name in _by_usefulness(files)[:_LOG_TRIES]:
        try:
            # A log's URL carries its own signature: no token is sent, and the URL is never shown. It is requested once:
            # the storage of a closed network cannot be reached from here, and the failure must be reported anyway.
            reply = yield Request(
                f"read the log of step {step.name!r}",
                "GET",
                files[name],
                repeatable=False,
                tail=_LOG_TAIL_BYTES,
                most=MOST_OF_A_LOG,
                is_link=True,
            )
        except AzureMLError:
            continue
        if reply.status == 200:
            return error_text, _last_lines(reply.body.decode("utf-8", "replace"))
    text = ""
    if step.node_id:
        with suppress(AzureMLError):
            text = yield calls.get_step_log(parent_id, step.node_id, "STDOUT")
    return error_text, _last_lines(text)


def _by_usefulness(names: Iterable[str]) -> list[str]:
    def rank(name: str) -> tuple[int, str]:
        return next((place for place, known in enumerate(_LOG_NAMES) if name.startswith(known)), len(_LOG_NAMES)), name

    return sorted(
        (name for name in names if name.endswith((".txt", ".log")) or rank(name)[0] < len(_LOG_NAMES)), key=rank
    )


def _last_lines(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-_LOG_TAIL_LINES:])
