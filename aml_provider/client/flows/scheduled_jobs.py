"""Find the jobs that a job schedule has started. The service may support only some of the ways to find them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from aml_provider.client import calls
from aml_provider.client.errors import BadRequest, InvalidArgument, NotFound, ScheduleError
from aml_provider.client.flows.job_schedules import read_job_schedule
from aml_provider.client.specs.job_schedule import SCHEDULE

if TYPE_CHECKING:
    from aml_provider.client.entities import JobSchedule, PipelineRun
    from aml_provider.client.http.messages import Flow


class ScheduledJobs:
    """Reads the jobs of one schedule, and remembers which filters the service refuses.

    The first way is the list of jobs, filtered by our own property, which each job probably gets from the definition in
    its schedule. It is not established that jobs get the property, nor how the service filters by a property. So each
    job that the filter returns is checked here; if the service refuses the filter, each job of the whole list is
    checked. If no job has the property, the second way is the preview filter by schedule (azureml-v2-rest 6.3). The
    preview filter also works for schedules that somebody else has made.

    Args:
        name: The schedule.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._filters = True
        self._preview: bool | None = None

    def read(self) -> Flow[tuple[PipelineRun, ...]]:
        """Read all jobs that the schedule has started, in any order."""
        found = [job for job in (yield from self._with_our_property()) if self._has_it(job)]
        return tuple(found) or (yield from self._of_schedule())

    def check(self, schedule: JobSchedule) -> None:
        """Check, after :meth:`read`, that the service has a way to find the jobs of the schedule.

        Raises:
            ScheduleError: There is none: its jobs do not have our property, and the service has no filter by schedule.
        """
        if self._preview is False and schedule.properties.get(SCHEDULE) != self._name:
            raise ScheduleError(
                f"The jobs of schedule {self._name!r} cannot be found: the service refuses or ignores the filter by "
                f"schedule, and the schedule does not give its jobs the property {SCHEDULE!r}. Let "
                "AzureMLCreateJobScheduleOperator manage the schedule: it adds that property."
            )

    def _has_it(self, job: PipelineRun) -> bool:
        return self._name in {job.properties.get(SCHEDULE), job.tags.get(SCHEDULE)}

    def _with_our_property(self) -> Flow[tuple[PipelineRun, ...]]:
        jobs: tuple[PipelineRun, ...]
        if self._filters:
            try:
                jobs = yield calls.list_jobs(properties={SCHEDULE: self._name})
            except (BadRequest, InvalidArgument):
                self._filters = False
            else:
                return jobs
        jobs = yield calls.list_jobs()
        return jobs

    def _of_schedule(self) -> Flow[tuple[PipelineRun, ...]]:
        if self._preview is False:
            return ()
        try:
            jobs: tuple[PipelineRun, ...] = yield calls.list_jobs_of_schedule(self._name)
            if jobs and self._preview is None:
                # A service that ignores the filter would pass the jobs of others off as this schedule's.
                others: tuple[PipelineRun, ...] = yield calls.list_jobs_of_schedule(f"none-{uuid4()}", limit=1)
                self._preview = not others
        except (BadRequest, NotFound):
            # The preview version of the API may be gone.
            self._preview = False
        return () if self._preview is False else jobs


def list_jobs_of_schedule(name: str) -> Flow[tuple[PipelineRun, ...]]:
    """List all jobs that a schedule has started, in any order; the jobs of a deleted schedule are found too.

    Raises:
        ScheduleError: There is neither such a schedule nor a job of it, or its jobs cannot be found.
    """
    ways = ScheduledJobs(name)
    jobs = yield from ways.read()
    if not jobs:
        ways.check((yield from read_job_schedule(name, "name")))
    return jobs
