"""Places where the runs of a watcher are read: an experiment's history, or the runs of a pipeline or schedule.

Each source reads all runs that were created since some time, and other runs by their ids. It may return more runs, in
any order. When a run has ended, :meth:`RunSource.complete` adds the facts that the list lacks.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aml_provider.client import calls
from aml_provider.client.calls.filters import PIPELINE_RUNS, TOP_LEVEL, all_of, created_since, status_is
from aml_provider.client.entities import PipelineRun, RunState
from aml_provider.client.errors import AzureMLError, BadRequest, NotFound, PermissionDenied, ScheduleError
from aml_provider.client.flows.finding import EXPERIMENT, PIPELINE, SCHEDULE, advice, advised, no_such_name
from aml_provider.client.flows.job_schedules import read_job_schedule
from aml_provider.client.flows.scheduled_jobs import ScheduledJobs
from aml_provider.client.help import sentence
from aml_provider.client.http.messages import flow_of
from aml_provider.client.polling.queries import filter_of
from aml_provider.durable.ended_runs import created_at
from aml_provider.durable.run_facts import SURE_OF_HISTORY, RunSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.client.entities import Experiment, HistoryRun, PublishedPipeline, Schedule
    from aml_provider.client.flows.finding import Kind
    from aml_provider.client.http.messages import Flow

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
# Seconds after which the published pipelines or schedules of a name are found again. A run of a new one has to be found
# before the window can pass it, which takes an hour.
_NAMES_EVERY = 1800.0


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
        """Query the history; an experiment that does not exist yet has no runs.

        Raises:
            NotFound: The workspace itself does not exist.
        """
        query = calls.query_runs(self._name, all_of([PIPELINE_RUNS, *terms, TOP_LEVEL]))
        try:
            found: tuple[HistoryRun, ...] = yield query
        except NotFound as error:
            # Fails if it is the workspace that does not exist. The whole list is for the hint, which is given once.
            listing = calls.query_experiments(limit=1) if self._is_missing else EXPERIMENT.listing()
            experiments: Sequence[Experiment] = ()
            with suppress(PermissionDenied):
                experiments = yield listing
            if not self._is_missing:
                hint = advice(EXPERIMENT, self._name, experiments)
                text = f"There is no such experiment yet; its first run will create it. {error.text}"
                self.problems.append(f"{text} {hint[0].upper()}{hint[1:]}" if hint else text)
            self._is_missing = True
            return ()
        self._is_missing = False
        return tuple(self._of(row) for row in found if not row.parent_id)

    def _of_ids(self, run_ids: Sequence[str]) -> Flow[Sequence[PipelineRun]]:
        if len(run_ids) == 1:
            return (yield from self._of_id(run_ids[0]))
        try:
            found: tuple[HistoryRun, ...] = yield calls.query_runs(self._name, filter_of("RunId", run_ids))
        except NotFound:
            return ()
        except BadRequest:
            # The filter may be too long.
            half = len(run_ids) // 2
            first = yield from self._of_ids(run_ids[:half])
            return [*first, *(yield from self._of_ids(run_ids[half:]))]
        return [self._of(row) for row in found]

    def _of_id(self, run_id: str) -> Flow[Sequence[PipelineRun]]:
        try:
            row: HistoryRun = yield calls.get_history_run(self._name, run_id)
        except (NotFound, BadRequest):
            return ()
        except AzureMLError as error:
            self._postpone(error, run_id)
            return ()
        self._attempts.forget(run_id)
        return (self._of(row),)

    def _of(self, row: HistoryRun) -> PipelineRun:
        return PipelineRun.from_history(row, self._name)

    def _complete(self, run: PipelineRun) -> Flow[PipelineRun | None]:
        """Read the run itself if its history lacks what it runs, as that of a job does, or when it ended."""
        if run.pipeline_id and run.ended is not None:
            return run
        try:
            known: PipelineRun = yield calls.get_run(run.id) if run.pipeline_id else calls.get_job(run.id)
        except AzureMLError as error:
            self._lacks(error, f"Run {run.id}")
            return run
        return replace(run, pipeline_id=run.pipeline_id or known.pipeline_id, ended=run.ended or known.ended)


class _ListedRuns(RunSource):
    """Runs from a list that lacks when a job ended, what tags people have changed, and whether the run has a parent."""

    def _complete(self, run: PipelineRun) -> Flow[PipelineRun | None]:
        try:
            row: HistoryRun = yield calls.find_history_run(run.id)
        except AzureMLError as error:
            self._lacks(error, f"The history of run {run.id}", SURE_OF_HISTORY)
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
        self._found_at: float | None = None

    def read(self, since: int, active: Sequence[str]) -> Flow[Sequence[PipelineRun]]:
        """Read the whole lists."""
        del since, active
        if self._name is not None and not self._is_recent():
            yield from self._find(self._name)
            self._found_at = self._now
        found: list[PipelineRun] = []
        try:
            for one in self._ids:
                found += yield from self._list(one)
        except AzureMLError:
            # Perhaps this one is gone.
            self._found_at = None
            raise
        return found

    def _is_recent(self) -> bool:
        return bool(self._ids) and self._found_at is not None and abs(self._now - self._found_at) < _NAMES_EVERY

    @abstractmethod
    def _find(self, name: str) -> Flow[None]:
        """Find the ids of the name. A name that does not exist yet has none."""

    @abstractmethod
    def _list(self, wanted_id: str) -> Flow[tuple[PipelineRun, ...]]:
        """List the runs of one of them."""

    def _found(self, kind: Kind, argument: str, name: str, listed: Sequence[Any]) -> None:
        self._ids = [item.id for item in listed if item.name == name]
        if not self._ids:
            problem = no_such_name(kind, name, listed, argument).text
            self.problems.append(f"{sentence(problem)} This watcher waits for it.")


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
                self.problems.append(f"{sentence(error.text)} This watcher waits for its jobs.")
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
        older = [run_id for run_id in active if run_id not in known]
        self._attempts.keep(older)
        for run_id in self._attempts.ordered(older):
            if self._attempts.is_over:
                break
            try:
                job: PipelineRun = yield calls.get_job(run_id)
            except AzureMLError as error:
                self._postpone(error, run_id)
            else:
                self._attempts.forget(run_id)
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


def _is_older(jobs: Sequence[PipelineRun], since: int) -> bool:
    """Whether jobs are listed newest first, as far as they are known, and have passed this time."""
    creations = [created_at(job) for job in jobs]
    times = [created for created in creations if created is not None]
    if len(times) < max(_ORDERED, len(creations)):
        return False
    return times[-1] < since and all(one >= other for one, other in pairwise(times))
