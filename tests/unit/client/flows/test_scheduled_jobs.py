"""The jobs of a schedule are found whichever filters the service has, and never taken from another schedule."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aml_provider.client.entities import JobSchedule
from aml_provider.client.errors import BadRequest, NotFound, ScheduleError
from aml_provider.client.flows.scheduled_jobs import ScheduledJobs
from aml_provider.client.specs.job_schedule import SCHEDULE

NOW = datetime(2026, 11, 29, tzinfo=UTC).isoformat()


class Service:
    """Lists jobs.

    Args:
        jobs: Of each job its id, the schedule that started it, and what it carries of ours: its properties and tags.
        by_property: How the filter by properties works: ``supported``, ``refused`` or ``ignored``.
        by_schedule: How the preview filter works: the same, or ``gone``.
    """

    def __init__(self, jobs, by_property="supported", by_schedule="supported"):
        self.jobs = jobs
        self.by_property = by_property
        self.by_schedule = by_schedule
        self.queries = []

    def drive(self, flow):
        try:
            call = next(flow)
            while True:
                self.queries.append({key: value for key, value in call.query if key in {"properties", "scheduleId"}})
                try:
                    answer = call.parse({"value": self._list(call, dict(call.query))})
                except (BadRequest, NotFound) as error:
                    call = flow.throw(error)
                else:
                    call = flow.send(answer)
        except StopIteration as stop:
            return [run.id for run in stop.value]

    def _list(self, call, query):
        jobs = self.jobs
        if "properties" in query:
            if self.by_property == "refused":
                raise BadRequest(call.operation, status=400)
            if self.by_property == "supported":
                name = query["properties"].removeprefix(f"{SCHEDULE}=")
                jobs = [job for job in jobs if job[2].get(SCHEDULE) == name]
        if "scheduleId" in query:
            if self.by_schedule in {"refused", "gone"}:
                error = BadRequest if self.by_schedule == "refused" else NotFound
                raise error(call.operation, status=400)
            if self.by_schedule == "supported":
                jobs = [job for job in jobs if job[1] == query["scheduleId"]]
        return [
            {
                "name": name,
                "systemData": {"createdAt": NOW},
                "properties": {"properties": properties, "tags": tags, "status": "Running"},
            }
            for name, _, properties, tags in jobs
        ][: call.limit]


MARKED = [
    ("a", "mine", {SCHEDULE: "mine"}, {}),
    ("b", "other", {SCHEDULE: "other"}, {}),
    ("c", "mine", {SCHEDULE: "mine"}, {}),
    ("d", None, {}, {}),
]
BARE = [(name, schedule, {}, {}) for name, schedule, *_ in MARKED]
TAGGED = [(name, schedule, {}, {SCHEDULE: schedule or ""}) for name, schedule, *_ in MARKED]
anyhow = pytest.mark.parametrize("by_property", ["supported", "refused", "ignored"])


@anyhow
@pytest.mark.parametrize("by_schedule", ["supported", "refused", "ignored", "gone"])
def test_jobs_with_our_property_are_found_whatever_the_service_makes_of_the_filters(by_property, by_schedule):
    service = Service(MARKED, by_property, by_schedule)
    jobs = ScheduledJobs("mine")
    for _ in range(2):
        assert service.drive(jobs.read()) == ["a", "c"]
    assert not any("scheduleId" in query for query in service.queries)
    # A refused filter is not tried again.
    assert len(service.queries) == (3 if by_property == "refused" else 2)


@pytest.mark.parametrize("by_property", ["refused", "ignored"])
def test_a_tag_is_as_good_as_a_property_where_jobs_can_be_listed(by_property):
    assert Service(TAGGED, by_property).drive(ScheduledJobs("mine").read()) == ["a", "c"]


@anyhow
def test_jobs_without_our_property_are_found_by_their_schedule(by_property):
    service = Service(BARE, by_property)
    jobs = ScheduledJobs("mine")
    assert service.drive(jobs.read()) == ["a", "c"]
    # Whether the filter is ignored is asked once.
    service.queries.clear()
    assert service.drive(jobs.read()) == ["a", "c"]
    assert len([query for query in service.queries if "scheduleId" in query]) == 1


def schedule(**properties):
    return JobSchedule.from_wire({"name": "mine", "properties": {"properties": properties}})


@anyhow
@pytest.mark.parametrize("by_schedule", ["refused", "ignored", "gone"])
def test_where_there_is_no_way_no_job_is_taken_for_one_of_the_schedule(by_property, by_schedule):
    service = Service(BARE, by_property, by_schedule)
    jobs = ScheduledJobs("mine")
    assert service.drive(jobs.read()) == []
    with pytest.raises(ScheduleError, match=r"The jobs of schedule 'mine' cannot be found.*CreateJobSchedule"):
        jobs.check(schedule())
    # One of ours has merely started none yet.
    jobs.check(schedule(**{SCHEDULE: "mine"}))
    service.jobs = MARKED
    assert service.drive(jobs.read()) == ["a", "c"]


def test_a_schedule_without_jobs_is_not_taken_for_one_whose_jobs_cannot_be_found():
    jobs = ScheduledJobs("mine")
    assert Service([]).drive(jobs.read()) == []
    jobs.check(schedule())


def test_a_name_that_cannot_be_searched_for_is_compared_here():
    service = Service([("a", "x,y", {SCHEDULE: "x,y"}, {})])
    assert service.drive(ScheduledJobs("x,y").read()) == ["a"]
    assert service.queries == [{}]
