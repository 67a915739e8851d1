"""A new run, as a submission creates it."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.models import Experiment, Pipeline, Run, Step, StepRun, stable_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.emulator.quirks import Quirks
    from aml_provider.emulator.workspace.submission import Submission


def module_id(step: Step) -> str:
    """The id of the module that a step runs."""
    return stable_id(f"module/{step.node_id}")


def new_run(
    pipeline: Pipeline,
    submission: Submission,
    experiment: Experiment,
    *,
    first_number: int,
    created: float,
    parent: Run | None,
    quirks: Quirks,
) -> Run:
    """A new run. The submission has already been checked against the pipeline.

    ``first_number`` is the run's number in history; its steps have the numbers after it.
    """
    tags = {} if quirks.drop_tags else dict(submission.tags)
    properties = {} if quirks.drop_properties else dict(submission.properties)
    run_id = str(uuid.uuid4())
    run_source, run_type = submission.run_source or "Unavailable", submission.run_type or "HTTP"
    continues = submission.continue_on_step_failure
    return Run(
        id=run_id,
        number=first_number,
        pipeline_id=pipeline.id,
        graph_id=pipeline.graph_id,
        experiment=experiment.name,
        experiment_id=experiment.id,
        created=created,
        start_seconds=pipeline.start_seconds,
        steps=step_runs(run_id, pipeline.steps, submission, first_number + 1),
        description=submission.description,
        display_name=submission.description or submission.experiment,
        run_source=run_source,
        run_type=run_type,
        parameters=dict(submission.parameters),
        data_paths=dict(submission.data_paths),
        datasets=dict(submission.datasets),
        continue_on_step_failure=pipeline.continue_on_step_failure if continues is None else continues,
        parent_run_id=parent.id if parent else None,
        root_run_id=parent.root_run_id if parent else run_id,
        tags=tags,
        properties=properties,
        history_tags={"azureml.pipelineid": pipeline.id, "azureml.pipelineComponent": "pipelinerun", **tags},
        history_properties={
            "azureml.runsource": "azureml.PipelineRun",
            "runSource": run_source,
            "runType": run_type,
            "azureml.parameters": json.dumps(submission.parameters),
            "azureml.pipelineid": pipeline.id,
            **properties,
        },
    )


def step_runs(run_id: str, steps: Iterable[Step], submission: Submission, first_number: int) -> list[StepRun]:
    """The steps of a new run, numbered in history from ``first_number``."""
    return [
        _step_run(run_id, number, _with_failure(step, submission)) for number, step in enumerate(steps, first_number)
    ]


def _with_failure(step: Step, submission: Submission) -> Step:
    """The step, with the failure that the submission requests for it."""
    failure = submission.failure
    return replace(step, fails=failure[1]) if failure is not None and failure[0] == step.name else step


def _step_run(run_id: str, number: int, step: Step) -> StepRun:
    return StepRun(
        id=str(uuid.uuid4()),
        number=number,
        step=step,
        log=[step.log.rstrip()] if step.log else [],
        tags={"azureml.nodeid": step.node_id, "azureml.pipeline": run_id},
        properties={
            "azureml.runsource": "azureml.StepRun",
            "azureml.nodeid": step.node_id,
            "StepType": "PythonScriptStep",
            "azureml.moduleid": module_id(step),
            "azureml.pipelinerunid": run_id,
            "azureml.pipelineComponent": "masterescloud",
        },
    )
