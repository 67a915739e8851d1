"""What is shown where the service speaks another dialect."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from support.models.service import a_run, a_step

from aml_provider.cli.output import render
from aml_provider.cli.records import Seconds, duration_of, of_job_schedule_plan, of_run, of_schedule_plan
from aml_provider.client.entities import JobSchedule, PipelineRun, Schedule

CREATED = "2026-01-01T00:00:00Z"
NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def test_numbers_and_nulls_become_the_words_of_an_author():
    wire = {
        "Id": "1",
        "ScheduleType": 0,
        "PipelineSubmissionInfo": {"DataPathAssignments": {"input": {"DataStoreName": "store", "RelativePath": None}}},
        "Recurrence": {
            "Frequency": 1,
            "Interval": 2,
            "StartTime": "2026-01-01T00:00:00Z",
            "TimeZone": None,
            "Schedule": {"Hours": None, "Minutes": [30], "WeekDays": [0, "Friday"]},
        },
        "DataStoreTriggerInfo": None,
    }
    plan = of_schedule_plan(Schedule.from_wire(wire))
    assert plan["recurrence"] == {
        "frequency": "Week",
        "interval": 2,
        "start_time": "2026-01-01T00:00:00",
        "minutes": [30],
        "week_days": ["Monday", "Friday"],
    }
    assert plan["data_paths"] == {"input": "store"}
    assert plan["datastore"] is None


def test_a_status_that_nobody_knows_is_shown_as_it_came():
    assert of_run(PipelineRun.from_wire({"Id": "1", "Status": {"StatusCode": "Sleeping"}}))["status"] == "Sleeping"
    assert of_run(PipelineRun.from_wire({"Id": "1", "Status": {"StatusCode": "3"}}))["status"] == "Finished"


def test_the_signature_of_an_address_in_a_job_schedule_is_not_shown():
    inputs = {
        "rows": {"jobInputType": "uri_folder", "uri": "https://account.blob.core.windows.net/c/in?sv=1&sig=planted"}
    }
    job = {"jobType": "Pipeline", "inputs": inputs}
    action = {"actionType": "CreateJob", "jobDefinition": job}
    plan = of_job_schedule_plan(JobSchedule.from_wire({"name": "n", "properties": {"action": action}}))
    assert plan["data"] == {"rows": "https://account.blob.core.windows.net/c/in?sv=1&sig=***"}


def run(status, ended=None, created=CREATED):
    return a_run(Status={"StatusCode": status, "CreationTime": created, "EndTime": ended})


@pytest.mark.parametrize(
    ("item", "seconds"),
    [
        (run("Finished", "2026-01-01T00:00:07.9Z"), 7),
        (run("Running"), 60),
        (run("Sleeping"), 60),
        # A job does not say when it ended.
        (run("Finished"), None),
        (run("NotStarted", created=None), None),
        # The service's clock is ahead.
        (run("Running", created="2026-01-02T00:00:00Z"), 0),
        (a_step(status="Completed", startTimeUtc=CREATED, endTimeUtc="2026-01-01T00:00:30Z"), 30),
        (a_step(status="Running", startTimeUtc=CREATED), 60),
        (a_step(status="Queued", createdUtc=CREATED), None),
        (a_step(status="Canceled", startTimeUtc=CREATED), None),
    ],
)
def test_a_duration_goes_from_the_beginning_to_the_end_or_to_now(item, seconds):
    assert duration_of(item, NOW) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59, "0:00:59"), (3723, "1:02:03"), (100 * 3600, "100:00:00")]
)
def test_a_duration_is_a_number_for_programs_and_a_clock_for_people(seconds, text):
    rows = [{"duration": Seconds(seconds)}]
    assert json.loads(render(rows, "json", io.StringIO())) == [{"duration": seconds}]
    assert render(rows, "yaml", io.StringIO()) == f"- duration: {seconds}\n"
    assert render(rows, "plain", io.StringIO()).split() == ["duration", text]


def test_a_run_has_the_name_of_its_pipeline_if_names_are_known():
    item = a_run(PipelineId="p")
    assert "pipeline_name" not in of_run(item)
    assert of_run(item, {"p": "score"})["pipeline_name"] == "score"
    assert of_run(item, {})["pipeline_name"] is None
