"""The items of the workspace as pages show them: with their current status and with related items."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.emulator.studio.graph import graph
from aml_provider.emulator.studio.words import recurrence_words, trigger_words
from aml_provider.emulator.wire.pipelines import failure_text
from aml_provider.emulator.workspace.dependencies import component_edges, job_edges, pipeline_edges
from aml_provider.emulator.workspace.files import step_log
from aml_provider.emulator.workspace.models import DataPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aml_provider.emulator.engine.blobs import ListedBlob
    from aml_provider.emulator.studio.graph import Graph
    from aml_provider.emulator.workspace.component_models import Component
    from aml_provider.emulator.workspace.models import Endpoint, Pipeline, Run, StepRun
    from aml_provider.emulator.workspace.schedule_models import Schedule
    from aml_provider.emulator.workspace.timeline import RunView, StepView
    from aml_provider.emulator.workspace.workspace import Workspace

_SHOWN_LINES, _SHOWN_CHARACTERS = 500, 65_536
_SHORT_LOG = 10
# The provider's command line writes it.
_SUBMITTED_BY = "airflow.submitted_by"


class AirflowTask(NamedTuple):
    """The Airflow task that submitted a run or manages a schedule, from the tags or properties that it wrote."""

    dag_id: str
    task_id: str
    map_index: str = "-1"
    run_id: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, str | None], prefix: str) -> AirflowTask | None:
        """The task that tags or properties name, if they name one."""
        dag_id, task_id = values.get(f"{prefix}dag_id"), values.get(f"{prefix}task_id")
        if not dag_id or not task_id:
            return None
        return cls(dag_id, task_id, values.get(f"{prefix}map_index") or "-1", values.get(f"{prefix}run_id"))


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run.

    Attributes:
        submitter: Who submitted it, if it was not a task of Airflow and the submitter wrote that into it.
        seconds: Its duration so far; None before it starts.
    """

    run: Run
    view: RunView
    pipeline: Pipeline | None
    component: Component | None
    endpoint: Endpoint | None
    schedule: Schedule | None
    task: AirflowTask | None
    submitter: str | None
    seconds: float | None
    error: str | None

    @property
    def status(self) -> str:
        """The status; unlike that of the pipelines service, it shows that a run is being cancelled."""
        return "CancelRequested" if self.view.cancelling else self.view.status

    @property
    def title(self) -> str:
        """The name of the pipeline or component that runs; for a job without a component, the name of the job."""
        if self.pipeline is not None:
            return self.pipeline.name
        return self.component.id if self.component is not None else self.run.display_name or self.run.id


@dataclass(frozen=True, slots=True)
class StepRecord:
    """A step with the end of its log.

    Attributes:
        hidden: Whether the log has more lines.
        unfolded: Whether the page shows it unfolded.
    """

    step_run: StepRun
    view: StepView
    seconds: float | None
    log: str
    hidden: bool
    unfolded: bool


@dataclass(frozen=True, slots=True)
class Value:
    """A parameter, data path, dataset or input of a run.

    Attributes:
        type: Its type, as the page of the pipeline or component shows it.
        given: The value in the submission; None: the run has the default.
        default: The default of the pipeline or component; None: there is none.
        required: Whether a submission must contain a value.
    """

    name: str
    type: str
    given: Any = None
    default: Any = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class FirstBlobs:
    """The first blobs of a datastore; ``error`` is the reason why they cannot be listed."""

    blobs: Sequence[ListedBlob] = ()
    more: bool = False
    error: str | None = None


class Due(NamedTuple):
    """An instant at which a schedule fires or polls, and the local time if the schedule has a time zone."""

    instant: float
    local: str | None


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule. ``due`` are its next instants; ``error`` says why it starts no runs, or did not start one."""

    schedule: Schedule
    pipeline: Pipeline | None
    endpoint: Endpoint | None
    words: str
    due: list[Due]
    provisioning: str
    error: str | None
    owner: AirflowTask | None


class Records:
    """Reads the workspace; the caller holds its lock."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def runs(self, runs: Iterable[Run]) -> list[RunRecord]:
        """Read each of these runs, and keep their order."""
        return [self.run(run) for run in runs]

    def run(self, run: Run) -> RunRecord:
        """A run."""
        workspace = self._workspace
        view = workspace.view(run)
        return RunRecord(
            run=run,
            view=view,
            pipeline=workspace.pipeline(run.pipeline_id) if run.job is None else None,
            component=workspace.components.get(run.component_id) if run.component_id is not None else None,
            endpoint=workspace.endpoint(run.endpoint_id) if run.endpoint_id else None,
            schedule=workspace.schedules.get(run.schedule_id) if run.schedule_id else None,
            # A quirk can drop one of the two.
            task=AirflowTask.of(run.history_tags, "airflow.") or AirflowTask.of(run.history_properties, "airflow."),
            submitter=run.history_tags.get(_SUBMITTED_BY) or run.history_properties.get(_SUBMITTED_BY),
            seconds=self._length(view.started, view.ended),
            error=failure_text(run, view),
        )

    def steps(self, record: RunRecord) -> list[StepRecord]:
        """The steps of a run."""
        found = []
        for index, (step_run, step) in enumerate(zip(record.run.steps, record.view.steps, strict=True)):
            log = step_log(record.run, index, record.view)
            shown = "".join(log[-_SHOWN_CHARACTERS:].splitlines(keepends=True)[-_SHOWN_LINES:])
            seconds = self._length(step.started, step.ended)
            unfolded = step.status in ("Running", "Failed") or 0 < shown.count("\n") <= _SHORT_LOG
            found.append(StepRecord(step_run, step, seconds, shown, hidden=len(shown) < len(log), unfolded=unfolded))
        return found

    def graph(self, run: Run) -> Graph:
        """The steps of a run as a graph."""
        workspace = self._workspace
        if run.job is None:
            edges = pipeline_edges(workspace.pipeline(run.pipeline_id))
        elif run.component_id is not None:
            edges = component_edges(workspace.components.get(run.component_id))
        else:
            edges = job_edges(run.job.definition.get("jobs") or {}, workspace.components)
        return graph([step_run.step.name for step_run in run.steps], edges)

    def values(self, run: Run) -> list[Value]:
        """The values of a run, in the order in which the pipeline or component declares them."""
        given = {**run.datasets, **{name: place(path) for name, path in run.data_paths.items()}, **run.parameters}
        if run.job is None:
            declared = _values_of_pipeline(self._workspace.pipeline(run.pipeline_id))
        elif run.component_id is not None:
            declared = [
                Value(item.name, item.type, default=item.default, required=item.required)
                for item in self._workspace.components.get(run.component_id).inputs
            ]
        else:
            declared = [Value(name, "") for name in given]
        return [replace(item, given=given.get(item.name)) for item in declared]

    def schedules(self, schedules: Iterable[Schedule]) -> list[ScheduleRecord]:
        """Some schedules, each with its next instant."""
        return [self.schedule(schedule, 1) for schedule in schedules]

    def schedule(self, schedule: Schedule, count: int) -> ScheduleRecord:
        """A schedule with its next ``count`` instants."""
        workspace = self._workspace
        recurrence, trigger = schedule.recurrence, schedule.trigger
        if recurrence is not None:
            words = recurrence_words(recurrence, minute_zero=workspace.quirks.minute_zero)
        else:
            assert trigger is not None
            words = trigger_words(trigger)
        zone = recurrence.zone if recurrence is not None and recurrence.time_zone else None
        provisioning = workspace.schedules.provisioning(schedule)
        error = schedule.provisioning_error if provisioning == "Failed" else schedule.last_error
        return ScheduleRecord(
            schedule=schedule,
            pipeline=workspace.pipeline(schedule.pipeline_id) if schedule.pipeline_id else None,
            endpoint=workspace.endpoint(schedule.endpoint_id) if schedule.endpoint_id else None,
            words=words,
            due=[
                Due(instant, datetime.fromtimestamp(instant, zone).strftime("%a %Y-%m-%d %H:%M:%S") if zone else None)
                for instant in workspace.schedules.upcoming(schedule, count)
            ],
            provisioning=provisioning,
            error=error,
            owner=AirflowTask.of(schedule.submission.properties, "airflow.schedule_"),
        )

    def _length(self, started: float | None, ended: float | None) -> float | None:
        if started is None:
            return None
        return (self._workspace.clock.now() if ended is None else ended) - started


def place(path: DataPath) -> str:
    """A place in a datastore as text."""
    return f"{path.datastore}/{path.path}"


def _values_of_pipeline(pipeline: Pipeline) -> list[Value]:
    found = [Value(item.name, item.type, default=item.default, required=item.required) for item in pipeline.parameters]
    for kind, items in (("DataPath", pipeline.data_paths), ("Dataset", pipeline.datasets)):
        for item in items:
            default = place(item.default) if isinstance(item.default, DataPath) else item.default or item.value
            found.append(Value(item.name, kind, default=default, required=item.required))
    return found
