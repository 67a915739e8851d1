"""Places where the runs of a watcher are read: an experiment's history, or the runs of a pipeline or schedule.

Each source reads all runs that were created since some time, and other runs by their ids. It may return more runs, in
any order. When a run has ended, :meth:`RunSource.complete` adds the facts that the list lacks.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client import calls
from aml_provider.client.calls.filters import PIPELINE_RUNS, TOP_LEVEL, all_of, created_since, status_is
from aml_provider.client.entities import PipelineRun, RunState
from aml_provider.client.errors import (
    BadRequest,
    MalformedReply,
    NotFound,
    PermissionDenied,
    ScheduleError,
    ServiceError,
    is_gone,
)
from aml_provider.client.flows.finding import EXPERIMENT, PIPELINE, SCHEDULE, advised, no_such_name
from aml_provider.client.flows.job_schedules import read_job_schedule
from aml_provider.client.flows.scheduled_jobs import ScheduledJobs
from aml_provider.client.http.messages import OwnSettings, flow_of
from aml_provider.client.polling.queries import filter_of
from aml_provider.durable.ended_runs import created_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.client.entities import HistoryRun, PublishedPipeline, Schedule
    from aml_provider.client.errors import AzureMLError
    from aml_provider.client.flows.finding import Kind
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings

# The most ids in one query.
_WIDTH = 250
# Ids that cannot have a meaning in the filter.
_PLAIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")
# The history's words for runs that have not ended, v2's Unknown included.
_ACTIVE_WORDS = (
    *(word for state in RunState if not state.is_final for word in state.history_words),
    "Unknown",
)
# How often the list of active runs is read again at the very first poll, at most.
_MOST_READS = 10
# After that many jobs that were listed newest first, the rest of the list counts as older.
_ORDERED = 50
# In every Nth poll, the published pipelines or schedules of a name are found again.
_NAMES_EVERY = 10
# The names of this many pipelines are remembered.
_MOST_NAMES = 1000
_COMPONENT = re.compile(r"(?:.*/components/([^/]+)/(?:versions|labels)/[^/]+|(?:azureml:)?([^/:@]+)[:@][^/:@]+)")


class EndedRun(NamedTuple):
    """A run that has ended, with all that a watcher can choose by and report.

    Attributes:
        run: The run; its ``pipeline_id`` is that of the published pipeline, or of the component's version.
        pipeline_name: The name of the published pipeline or component; empty if there is none, or it is unknown.
        is_job: Whether it runs a component (Azure ML v2).
        workspace: The workspace's id in Azure Resource Manager, in lower case.
        link: The run's page in the studio.
    """

    run: PipelineRun
    pipeline_name: str
    is_job: bool
    workspace: str
    link: str


class RunSource(ABC):
    """Runs of one kind.

    Attributes:
        problems: Lines to log: facts that could not be read, and names that the workspace does not have. The caller
            takes them out.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._names: dict[str, str] = {}

    @abstractmethod
    def read_active(self) -> Flow[Sequence[PipelineRun]]:
        """Read all active runs, whenever they were created, unless :meth:`read` has them already."""

    @abstractmethod
    def read(self, since: int, active: Sequence[str]) -> Flow[Sequence[PipelineRun]]:
        """Read the runs that were created at ``since`` or later, and those with the ids ``active``."""

    @abstractmethod
    def _complete(self, run: PipelineRun) -> Flow[PipelineRun | None]:
        """Add what the list lacks; None if the run belongs to another run."""

    def complete(self, run: PipelineRun) -> Flow[EndedRun | None]:
        """Add what the list lacks to a run that has ended.

        Returns:
            The run; None if it belongs to another run and is not reported.

        Raises:
            AzureMLError: The service cannot answer now.
        """
        full = yield from self._complete(run)
        if full is None:
            return None
        settings: WorkspaceSettings = yield OwnSettings()
        component = component_name(full.pipeline_id)
        name = component if component is not None else (yield from self._name_of(full.pipeline_id))
        return EndedRun(full, name, component is not None, settings.arm_id.lower(), settings.run_url(full.id))

    def _name_of(self, pipeline_id: str) -> Flow[str]:
        if not pipeline_id:
            return ""
        if pipeline_id not in self._names:
            name = ""
            try:
                pipeline: PublishedPipeline = yield calls.get_pipeline(pipeline_id)
                name = pipeline.name
            except ServiceError as error:
                self._lacks(error, f"The name of published pipeline {pipeline_id}")
            if len(self._names) >= _MOST_NAMES:
                del self._names[next(iter(self._names))]
            self._names[pipeline_id] = name
        return self._names[pipeline_id]

    def _lacks(self, error: AzureMLError, what: str) -> None:
        """Continue without a fact that the service will not give; raises the error if it may give it later."""
        if not (isinstance(error, (NotFound, BadRequest, PermissionDenied, MalformedReply)) or is_gone(error)):
            raise error
        self.problems.append(f"{what} could not be read: {error}")


class ExperimentRuns(RunSource):
    """The runs of an experiment, from its history."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._is_missing = False

    def read_active(self) -> Flow[Sequence[PipelineRun]]:
        """Read all active runs."""
        found = {run.id: run for run in (yield from self._query(status_is(_ACTIVE_WORDS)))}
        # A run that ends while pages are read leaves the list, and another one may move to a page that was read before.
        # An older run that is missed now would be missed for ever, so the list is read until it has nothing new.
        for _ in range(_MOST_READS):
            again = yield from self._query(status_is(_ACTIVE_WORDS))
            is_complete = all(run.id in found for run in again)
            found |= {run.id: run for run in again}
            if is_complete:
                break
        return list(found.values())

    def read(self, since: int, active: Sequence[str]) -> Flow[Sequence[PipelineRun]]:
        """Read the runs created since a time, and those of these ids that are older."""
        recent = yield from self._query(created_since(since))
        known = {run.id for run in recent}
        older = [run_id for run_id in active if run_id not in known]
        plain = [run_id for run_id in older if _PLAIN.fullmatch(run_id)]
        found = list(recent)
        for at in range(0, len(plain), _WIDTH):
            found += yield from self._of_ids(plain[at : at + _WIDTH])
        for run_id in sorted(set(older) - set(plain)):
            found += yield from self._of_ids([run_id])
        return found

    def _query(self, *terms: str) -> Flow[tuple[PipelineRun, ...]]:
        """Query the history; an experiment that does not exist yet has no runs."""
        query = calls.query_runs(self._name, all_of([PIPELINE_RUNS, *terms, TOP_LEVEL]))
        try:
            # The advice is for a misspelt name, and costs a list of all experiments.
            advice = flow_of(query) if self._is_missing else advised(query, EXPERIMENT, self._name)
            found: tuple[HistoryRun, ...] = yield from advice
        except NotFound as error:
            if not self._is_missing:
                self.problems.append(f"There is no such experiment yet; its first run will create it. {error}")
            self._is_missing = True
            return ()
        self._is_missing = False
        return tuple(self._of(row) for row in found if not row.parent_id)

    def _of_ids(self, run_ids: Sequence[str]) -> Flow[Sequence[PipelineRun]]:
        try:
            if len(run_ids) == 1:
                row: HistoryRun = yield calls.get_history_run(self._name, run_ids[0])
                return (self._of(row),)
            found: tuple[HistoryRun, ...] = yield calls.query_runs(self._name, filter_of("RunId", run_ids))
        except NotFound:
            return ()
        except BadRequest:
            # The filter may be too long.
            if len(run_ids) == 1:
                return ()
            half = len(run_ids) // 2
            first = yield from self._of_ids(run_ids[:half])
            return [*first, *(yield from self._of_ids(run_ids[half:]))]
        return [self._of(row) for row in found]

    def _of(self, row: HistoryRun) -> PipelineRun:
        return PipelineRun.from_history(row, self._name)

    def _complete(self, run: PipelineRun) -> Flow[PipelineRun | None]:
        """Read the run itself if its history lacks what it runs, as that of a job does, or when it ended."""
        if run.pipeline_id and run.ended is not None:
            return run
        try:
            known: PipelineRun = yield calls.get_run(run.id) if run.pipeline_id else calls.get_job(run.id)
        except ServiceError as error:
            self._lacks(error, f"Run {run.id}")
            return run
        return replace(run, pipeline_id=run.pipeline_id or known.pipeline_id, ended=run.ended or known.ended)


class _ListedRuns(RunSource):
    """Runs from a list that lacks when a job ended, what tags people have changed, and whether the run has a parent."""

    def _complete(self, run: PipelineRun) -> Flow[PipelineRun | None]:
        try:
            row: HistoryRun = yield calls.find_history_run(run.id)
        except ServiceError as error:
            self._lacks(error, f"The history of run {run.id}")
            return run
        if row.parent_id:
            return None
        return replace(run, tags=run.tags | row.tags, ended=run.ended or row.ended)

    def read_active(self) -> Flow[Sequence[PipelineRun]]:
        """:meth:`read` has the whole list."""
        yield from ()
        return ()


class _NamedRuns(_ListedRuns):
    """The runs of all published pipelines or schedules of a name. The service has whole lists of them only.

    Active or not: people publish a new pipeline under the same name, and this provider replaces a schedule by another.
    """

    def __init__(self, wanted_id: str | None, name: str | None) -> None:
        super().__init__()
        self._name = name
        self._ids: Sequence[str] = () if wanted_id is None else (wanted_id,)
        self._polls = 0

    def read(self, since: int, active: Sequence[str]) -> Flow[Sequence[PipelineRun]]:
        """Read the whole lists."""
        del since, active
        if self._name is not None and (not self._ids or self._polls % _NAMES_EVERY == 0):
            yield from self._find(self._name)
        found: list[PipelineRun] = []
        for one in self._ids:
            found += yield from self._list(one)
        self._polls += 1
        return found

    @abstractmethod
    def _find(self, name: str) -> Flow[None]:
        """Find the ids of the name. A name that does not exist yet has none."""

    @abstractmethod
    def _list(self, wanted_id: str) -> Flow[tuple[PipelineRun, ...]]:
        """List the runs of one of them."""

    def _found(self, kind: Kind, argument: str, name: str, listed: Sequence[Any]) -> None:
        self._ids = [item.id for item in listed if item.name == name]
        if not self._ids:
            self.problems.append(f"{no_such_name(kind, name, listed, argument)} This watcher waits for it.")


class PipelineRuns(_NamedRuns):
    """The runs of a published pipeline in all experiments; of all published pipelines of that name."""

    def _find(self, name: str) -> Flow[None]:
        listed: tuple[PublishedPipeline, ...] = yield calls.list_pipelines(active_only=False)
        self._found(PIPELINE, "pipeline_name", name, listed)
        self._names |= dict.fromkeys(self._ids, name)

    def _list(self, wanted_id: str) -> Flow[tuple[PipelineRun, ...]]:
        return advised(calls.list_runs_of_pipeline(wanted_id), PIPELINE, wanted_id)


class ScheduleRuns(_NamedRuns):
    """The runs that a native schedule (v1) has started; those of all schedules of that name."""

    def _find(self, name: str) -> Flow[None]:
        listed: tuple[Schedule, ...] = yield calls.list_schedules(active_only=False)
        self._found(SCHEDULE, "schedule_name", name, listed)

    def _list(self, wanted_id: str) -> Flow[tuple[PipelineRun, ...]]:
        return flow_of(calls.list_runs_of_schedule(wanted_id))


class JobScheduleRuns(_ListedRuns):
    """The jobs that a job schedule (v2) has started."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._jobs = ScheduledJobs(name)
        self._name = name

    def read(self, since: int, active: Sequence[str]) -> Flow[Sequence[PipelineRun]]:
        """Read the whole list."""
        del since, active
        jobs = yield from self._jobs.read()
        if not jobs:
            try:
                self._jobs.check((yield from read_job_schedule(self._name, "job_schedule_name")))
            except ScheduleError as error:
                self.problems.append(f"{error} This watcher waits for its jobs.")
        return jobs


class JobRuns(_ListedRuns):
    """The pipeline jobs (v2) of the workspace, for watchers of components: there is no list of a component's jobs."""

    def read_active(self) -> Flow[Sequence[PipelineRun]]:
        """Read the whole list."""
        return flow_of(calls.list_jobs())

    def read(self, since: int, active: Sequence[str]) -> Flow[Sequence[PipelineRun]]:
        """Read the list as far as needed, and the other jobs one by one.

        The order of the list is not established (azureml-v2-rest 4.1). So it ends early only if it has turned out to be
        newest first.
        """
        jobs: tuple[PipelineRun, ...] = yield calls.list_jobs(enough=lambda found: _is_older(found, since))
        known = {job.id for job in jobs}
        found = list(jobs)
        for run_id in active:
            if run_id not in known:
                try:
                    job: PipelineRun = yield calls.get_job(run_id)
                except ServiceError as error:
                    self._lacks(error, f"Job {run_id}")
                else:
                    found.append(job)
        return found


def source_of(kind: str, name: str) -> RunSource:
    """The source for a trigger's argument ``kind`` and its value; components share one, whatever their names."""
    if kind == "experiment_name":
        return ExperimentRuns(name)
    if kind == "component_name":
        return JobRuns()
    if kind == "job_schedule_name":
        return JobScheduleRuns(name)
    if kind == "schedule_name":
        return ScheduleRuns(None, name)
    return PipelineRuns(name, None) if kind == "pipeline_id" else PipelineRuns(None, name)


def component_name(pipeline_id: str) -> str | None:
    """The component's name in the id of its version, in any of the forms in which a job may have it; None: a pipeline.

    The forms: an id in Azure Resource Manager, ``azureml:NAME:VERSION``, and ``NAME:VERSION`` (azureml-v2-rest 4.2).
    """
    match = _COMPONENT.fullmatch(pipeline_id)
    return None if match is None else match[1] or match[2]


def _is_older(jobs: Sequence[PipelineRun], since: int) -> bool:
    """Whether jobs are listed newest first, as far as they are known, and have passed this time."""
    creations = [created_at(job) for job in jobs]
    times = [created for created in creations if created is not None]
    if len(times) < max(_ORDERED, len(creations)):
        return False
    return times[-1] < since and all(one >= other for one, other in pairwise(times))
