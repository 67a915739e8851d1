"""The jobs of the v2 API. A job is also a run of run history, under the same id."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.workspace.errors import ServiceError, bad_request, not_found
from aml_provider.emulator.workspace.job_request import JobRequest
from aml_provider.emulator.workspace.models import Job, Run
from aml_provider.emulator.workspace.new_run import step_runs
from aml_provider.emulator.workspace.submission import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aml_provider.emulator.workspace.components import Components
    from aml_provider.emulator.workspace.core import Core
    from aml_provider.emulator.workspace.experiments import Experiments

_IMMUTABLE = "Immutable/JobPropertyImmutable"
_ACCEPTED = 200


class Jobs:
    """All jobs, and the rules for creating and changing them."""

    def __init__(self, core: Core, experiments: Experiments, components: Components) -> None:
        self._core = core
        self._experiments = experiments
        self._components = components

    def get(self, job_id: str) -> Run:
        """A job by id."""
        run = self._core.runs.get(job_id)
        if run is None or run.job is None:
            raise not_found(f"Job {job_id}")
        return run

    def all(self) -> list[Run]:
        """All jobs, newest first."""
        return [run for run in reversed(self._core.runs.values()) if run.job is not None]

    def listed(self) -> Iterable[Run]:
        """The jobs that the list already contains, newest first."""
        latest = self._core.clock.now() - self._core.quirks.list_lag
        return (run for run in self.all() if run.created <= latest)

    def put(self, job_id: str, properties: object) -> tuple[Run, bool]:
        """Create a job, or change the changeable properties of an existing one; returns the job, and whether it is new.

        An id names one job for ever (azureml-v2-rest 4.3).

        Raises:
            ServiceError: The request is wrong, or would change other properties of an existing job.
        """
        check_name("job", job_id)
        request = self.read(properties)
        with self._core.lock:
            existing = self._core.runs.get(job_id)
            if existing is None and self._core.step_run(job_id) is None:
                return self.start(job_id, request, Job(request.definition)), True
            if existing is None or existing.job is None:
                raise self._immutable(f"The id {job_id} is already that of another run.")
            self._change(existing, existing.job, request)
            return existing, False

    def read(self, properties: object) -> JobRequest:
        """The job that the ``properties`` of a body describe, checked."""
        request = JobRequest.from_wire(properties, self._components, self._definition)
        request.check(self._core.datastores)
        return request

    def start(self, job_id: str, request: JobRequest, job: Job, *, created: float | None = None) -> Run:
        """Start a new job; ``created`` is the instant of its creation, by default now."""
        core, submission, component = self._core, request.submission, request.component
        with core.changing():
            experiment = self._experiments.ensure(submission.experiment)
            tags = {} if core.quirks.drop_tags else dict(submission.tags)
            properties = {} if core.quirks.drop_properties else dict(submission.properties)
            number = core.next_number
            run = Run(
                id=job_id,
                number=number,
                pipeline_id="",
                graph_id="",
                component_id=component.id if component is not None else None,
                job=job,
                experiment=experiment.name,
                experiment_id=experiment.id,
                created=core.clock.now() if created is None else created,
                start_seconds=component.start_seconds if component is not None else 0.2,
                steps=step_runs(job_id, [bound.step for bound in request.steps], submission, number + 1),
                description=submission.description,
                display_name=request.display_name or job_id,
                run_source="MFE",
                run_type="Schedule" if job.schedule is not None else "HTTP",
                parameters=dict(submission.parameters),
                data_paths=dict(submission.data_paths),
                datasets=dict(submission.datasets),
                continue_on_step_failure=submission.continue_on_step_failure or False,
                root_run_id=job_id,
                tags=tags,
                properties=properties,
                history_tags=dict(tags),
                hidden=request.archived or False,
            )
            for step_run, bound in zip(run.steps, request.steps, strict=True):
                step_run.parameters, step_run.data_paths = bound.parameters, bound.data_paths
            run.history_properties = {**_own_properties(run, request.inputs), **properties}
            core.add_run(run)
        return run

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended, with its run in run history."""
        run = self.get(job_id)
        with self._core.changing():
            if self._core.view(run).ended is None:
                raise bad_request(f"Job {job_id} has not ended. Cancel it first.", "JobActive")
            self._core.remove_run(run)

    def _definition(self, job_id: str) -> Job | None:
        run = self._core.runs.get(job_id)
        return run.job if run is not None else None

    def _change(self, run: Run, job: Job, request: JobRequest) -> None:
        quirks, submission = self._core.quirks, request.submission
        if quirks.put_again != _ACCEPTED:
            raise self._immutable(f"Job {run.id} already exists.")
        if changed := _differences(job.definition, request.definition):
            raise self._immutable(f"Job {run.id} already exists; these of its properties cannot change: {changed}.")
        new = {} if quirks.drop_properties else dict(submission.properties)
        if other := sorted(key for key, value in new.items() if run.history_properties.get(key, value) != value):
            raise self._immutable(f"The properties of job {run.id} cannot be changed: {', '.join(other)}.")
        tags = {} if quirks.drop_tags else dict(submission.tags)
        with self._core.changing():
            run.history_properties |= new
            run.history_tags = tags if quirks.put_replaces_tags else {**run.history_tags, **tags}
            run.description = submission.description or run.description
            run.display_name = request.display_name or run.display_name
            run.hidden = run.hidden if request.archived is None else request.archived

    def _immutable(self, message: str) -> ServiceError:
        status = self._core.quirks.put_again
        return ServiceError(400 if status == _ACCEPTED else status, message, inner=_IMMUTABLE)


def _differences(stored: Mapping[str, Any], sent: Mapping[str, Any]) -> str:
    """The keys whose values differ; null means the same as absence."""
    return ", ".join(sorted(key for key in stored.keys() | sent.keys() if stored.get(key) != sent.get(key)))


def _own_properties(run: Run, inputs: Mapping[str, str]) -> dict[str, str]:
    """The properties that the service gives every job."""
    return {
        "azureml.runsource": "azureml.PipelineRun",
        "runSource": run.run_source,
        "runType": run.run_type,
        "azureml.parameters": json.dumps(inputs),
        "azureml.continue_on_step_failure": str(run.continue_on_step_failure),
        "azureml.pipelineComponent": "pipelinerun",
    }
