"""What is shown where the service speaks another dialect."""

from __future__ import annotations

from aml_provider.cli.records import of_job_schedule_plan, of_run, of_schedule_plan
from aml_provider.client.entities import JobSchedule, PipelineRun, Schedule


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
