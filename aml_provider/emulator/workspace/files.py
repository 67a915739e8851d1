"""The files of runs and steps: their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.errors import not_found
from aml_provider.emulator.workspace.times import wire_time

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.models import Run
    from aml_provider.emulator.workspace.timeline import RunView
    from aml_provider.emulator.workspace.workspace import Workspace

STEP_LOG = "user_logs/std_log.txt"
RUN_LOG = "logs/azureml/executionlogs.txt"
ORIGIN = "ExperimentRun"
"""The origin of the files of runs, in the artifact service."""


def container_of(run_id: str) -> str:
    """The container with the files of a run or step."""
    return f"dcid.{run_id}"


def files(workspace: Workspace, container: str) -> dict[str, str]:
    """The files in a container, or of the run or step with this id; before a run starts, it has no files.

    Raises:
        ServiceError: The run or step does not exist.
    """
    run_id = container.removeprefix("dcid.")
    run, index = workspace.stored(run_id)
    view = workspace.view(run)
    if index is None:
        return {RUN_LOG: run_log(run, view)} if view.started is not None else {}
    return {STEP_LOG: step_log(run, index, view)} if view.steps[index].started is not None else {}


def file(workspace: Workspace, container: str, path: str) -> str:
    """The content of one file.

    Raises:
        ServiceError: It does not exist.
    """
    found = files(workspace, container)
    if path not in found:
        raise not_found(f"Artifact {path} of {container}")
    return found[path]


def run_log(run: Run, view: RunView) -> str:
    """The log of a pipeline run itself: the times of its steps."""
    lines = [f"{wire_time(run.created)} submitted"]
    for step_run, step in zip(run.steps, view.steps, strict=True):
        events = (("queued", step.queued), ("started", step.started), (step.status.lower(), step.ended))
        lines += [f"{wire_time(at)} step {step_run.step.name} {what}" for what, at in events if at is not None]
    if view.ended is not None:
        lines.append(f"{wire_time(view.ended)} {view.status.lower()}")
    return "\n".join(lines) + "\n"


def step_log(run: Run, index: int, view: RunView) -> str:
    """The log of a step; empty until it starts."""
    step = view.steps[index]
    if step.started is None:
        return ""
    step_run = run.steps[index]
    failed = [step.error] if step.error is not None and step_run.error is None else []
    return "".join(f"{line}\n" for line in (*step_run.log, *failed))
