"""The client's promises for Azure ML v2 in every kind of workspace that the service might be.

The first part holds under each quirk: one job after a lost reply, an end as it was, whole lists, a schedule that is
created once. The second part says for each quirk what its user gets.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from support.airflow.task import RunPipeline
from support.samples.quirks import JOB_QUIRKS, JOBS_TOGETHER, QUIRKS, SHARED_QUIRKS
from support.services.local_workspace import Workspace, serving

from aml_provider.client import calls
from aml_provider.client.entities import RunState
from aml_provider.client.errors import BadRequest, ReplyLost, RunCanceled, ScheduleError, ScheduleStartedRun
from aml_provider.client.models import Recurrence
from aml_provider.client.settings import WorkspaceSettings
from aml_provider.compat import AirflowFailException
from aml_provider.emulator.quirks import Quirks
from aml_provider.hooks.azure_ml import AzureMLHook

JOBS = "*/jobs/*"
YEARLY = Recurrence("Month", 12)
LATER = "2099-01-01T00:00:00"


@pytest.fixture(scope="module", params=[*JOB_QUIRKS, *SHARED_QUIRKS, JOBS_TOGETHER], ids=str)
def quirks(request):
    return (request.param,) if isinstance(request.param, str) else request.param


@pytest.fixture(scope="module")
def running_workspace(quirks):
    with Workspace(quirks=quirks) as running:
        yield running


@pytest.fixture
def workspace(workspace, quirks, monkeypatch):
    # Not for as long as the workspace lives: tests that do not use it may come in between.
    if "job_token_required" in quirks:
        two_audiences(monkeypatch)
    return workspace


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory, airflow):
    return kept_in_memory


@pytest.fixture
def hook():
    return AzureMLHook()


def two_audiences(monkeypatch):
    """As if the connection could get the second token; test_credentials.py has those that can."""
    monkeypatch.setattr(WorkspaceSettings, "ml_token_scope", property(lambda settings: settings.token_scope))


def run(task, **arguments):
    return RunPipeline(**{"component_name": "quick"} | arguments).execute(task.context)


def run_twice(workspace, task):
    """Lose the reply of a submission, and hide the job until the same request was sent again."""
    hidden = {"method": "GET", "path": JOBS, "status": 404, "times": 1}
    workspace.faults.add("drop", method="PUT", path=JOBS, times=1)
    workspace.faults.add("status", **hidden)
    with pytest.raises(ReplyLost):
        run(task)
    workspace.faults.add("status", **hidden)
    task.next_try()
    return run(task)


def puts(workspace):
    return workspace.requests("PUT", "/jobs/")


def names(items):
    return sorted(item.name for item in items)


def hourly(workspace, hook, name="hourly", **arguments):
    """A schedule whose first job is due in an hour."""
    start = datetime.fromtimestamp(workspace.clock.now(), UTC) + timedelta(hours=1)
    given = {"component_name": "quick", "experiment_name": "exp", "recurrence": Recurrence("Hour", 1)}
    given["start_time"] = start.replace(tzinfo=None, microsecond=0)
    return hook.create_job_schedule(name, **given | {"wait_for_provisioning": False} | arguments)


# --- under each of them ---


def test_a_lost_reply_leads_to_one_job(workspace, task):
    workspace.faults.add("drop", method="PUT", path=JOBS, times=1)
    job_id = run(task)
    assert job_id == workspace.only_run().id
    assert len(puts(workspace)) == 1
    assert workspace.status() == "Finished"


def test_a_submission_that_is_repeated_leads_to_one_job(workspace, task):
    assert run_twice(workspace, task) == workspace.only_run().id
    assert len(puts(workspace)) == 2


def test_a_retry_takes_the_job_over(workspace, task):
    first = run(task, component_name="long", wait_for_completion=False)
    task.store["azureml_submission"] |= {"run_id": None, "finished": False}
    task.next_try()
    assert run(task, component_name="long", wait_for_completion=False) == first == workspace.only_run().id


def test_lists_are_whole(workspace, hook):
    assert names(hook.list_components()) == ["fails", "long", "quick"]
    assert names(hook.list_batch_endpoints()) == ["closed", "gate"]
    jobs = {hook.submit_job(component_name="long", experiment_name="exp").id for _ in range(3)}
    workspace.clock.advance(60)
    assert {job.id for job in hook.list_jobs(limit=None)} == jobs
    assert {job.id for job in hook.list_runs(experiment_name="exp")} == jobs
    assert [store.name for store in hook.list_datastores()] == ["store"]


def test_a_job_is_followed_to_its_end_by_its_id_alone(workspace, hook):
    job = hook.submit_job(component_name="quick", experiment_name="exp", job_id="chosen-by-a-person")
    ended = hook.wait_for_run(job.id, poll_interval=0.05)
    assert (ended.id, ended.state) == ("chosen-by-a-person", RunState.FINISHED)
    workspace.clock.advance(60)
    assert [step.status for step in hook.list_steps(ended)] == ["Completed"]


def test_a_job_is_cancelled(workspace, hook):
    job = hook.submit_job(component_name="long", experiment_name="exp")
    hook.cancel_job(job.id)
    workspace.clock.advance(60)
    assert hook.get_run(job.id).state is RunState.CANCELED
    assert hook.cancel_job(job.id).state is RunState.CANCELED, "once more does no harm"


def test_a_schedule_is_created_once_and_changes_as_it_is_told(workspace, hook):
    made = hourly(workspace, hook, time_zone="Asia/Seoul", recurrence=YEARLY, start_time=LATER)
    assert made.is_active
    given = {"time_zone": "Asia/Seoul", "start_time": LATER}
    hourly(workspace, hook, recurrence=YEARLY, if_exists="reuse", **given)
    hourly(workspace, hook, recurrence=YEARLY._replace(interval=6), if_exists="update", **given)
    (schedule,) = workspace.state.job_schedules.all()
    assert schedule.properties["trigger"]["interval"] == 6
    assert not hook.disable_job_schedule("hourly").is_active
    assert hook.enable_job_schedule("hourly").is_active
    assert names(hook.list_job_schedules()) == ["hourly"]
    workspace.clock.advance(60)
    assert hook.delete_job_schedule("hourly")
    assert workspace.runs() == []


def test_the_jobs_of_a_schedule_are_found_and_no_others(workspace, hook):
    hourly(workspace, hook)
    hourly(workspace, hook, "other")
    workspace.clock.advance(3660)
    found = hook.list_jobs_of_job_schedule("hourly")
    assert [job.id for job in found] == [run.id for run in workspace.runs() if run.job.schedule == "hourly"]
    assert len(found) == 1


# --- what the user gets, by quirk ---

#: The quirks that the tests below are about.
NAMED = set()


def under(*samples):
    """Run a test in a workspace with each of these quirks; several in one text are separated by blanks."""
    NAMED.update(sample.split()[0].partition("=")[0] for sample in samples)
    return pytest.mark.parametrize("quirk", samples)


@pytest.fixture
def served(monkeypatch, quirk):
    with serving(monkeypatch, quirks=quirk.split()) as running:
        yield running


@under("put_again=400", "put_again=409")
def test_a_refused_second_request_is_resolved_by_reading_the_job(served, task):
    assert run_twice(served, task) == served.only_run().id
    assert [entry["status"] for entry in puts(served)] == [None, int(served.state.quirks.put_again)]


@under("put_replaces_tags")
def test_without_its_cancel_tag_a_job_looks_cancelled_by_a_person_so_only_a_clear_submits_again(served, task, hook):
    job_id = run(task, component_name="long", wait_for_completion=False)
    task.store["azureml_submission"]["finished"] = False
    hook.cancel_job(job_id)
    (sent,) = puts(served)
    with hook.client() as client:  # the first request, once more
        client.call(calls.submit_job(job_id, sent["body"]))
    task.next_try()
    with pytest.raises(AirflowFailException) as failure:
        run(task, component_name="long")
    assert isinstance(failure.value, RunCanceled)
    task.clear()
    assert run(task) != job_id


@under("list_lag=20s")
def test_a_new_job_is_read_by_its_id_before_lists_have_it(served, hook):
    served.clock.hold()
    job = hook.submit_job(component_name="long", experiment_name="exp")
    assert hook.get_job(job.id).id == job.id
    assert hook.list_jobs() == ()
    served.clock.advance(20)
    assert [found.id for found in hook.list_jobs()] == [job.id]


@under("job_token_required")
def test_a_missing_second_token_is_named_with_the_way_out(served, task, hook, monkeypatch):
    with pytest.raises(AirflowFailException, match=r"x-azureml-token is required.*'static_token' has a") as failure:
        run(task)
    assert isinstance(failure.value, BadRequest)
    assert served.runs() == []
    assert "optional: pipeline jobs are submitted without one" in hook.test_connection()[1]
    two_audiences(monkeypatch)
    task.clear()
    assert run(task) == served.only_run().id


@under("properties_filter=ignored", "properties_filter=names", "properties_filter=refused")
def test_a_filter_by_properties_gives_what_the_service_gives_and_a_refusal_says_so(served, hook, task):
    run(task, wait_for_completion=False)
    hook.submit_job(component_name="long", experiment_name="exp")
    wanted = {"airflow.key": "another"}
    if served.state.quirks.properties_filter == "refused":
        with pytest.raises(AirflowFailException, match="Invalid filter: properties cannot be used"):
            hook.list_jobs(properties=wanted)
        return
    expected = {"ignored": 2, "names": 1}[served.state.quirks.properties_filter]
    assert len(hook.list_jobs(properties=wanted)) == expected


@under("schedule_filter=ignored", "schedule_filter=refused")
def test_jobs_of_a_schedule_without_our_property_are_not_guessed(served, hook):
    hourly(served, hook)
    hourly(served, hook, "other")
    properties = served.state.job_schedules.get("hourly").properties
    for part in (properties, properties["action"]["jobDefinition"]):
        part["tags"], part["properties"] = {}, {}
    served.clock.advance(3660)
    with pytest.raises(AirflowFailException, match="jobs of schedule 'hourly' cannot be found") as failure:
        hook.list_jobs_of_job_schedule("hourly")
    assert isinstance(failure.value, ScheduleError)


@under("disabled_creation=ignored", "disabled_creation=ignored first_job_at_once")
def test_a_schedule_that_the_service_made_active_is_disabled_and_a_job_that_has_started_is_named(served, hook):
    if not served.state.quirks.first_job_at_once:
        assert not hourly(served, hook, status="Disabled").is_active
        served.clock.advance(86_400)
        assert served.runs() == []
        return
    with pytest.raises(AirflowFailException, match="the service has started job") as failure:
        hourly(served, hook, status="Disabled", start_time=None)
    assert isinstance(failure.value, ScheduleStartedRun)
    assert served.only_run().id in str(failure.value)
    assert not hook.get_job_schedule("hourly").is_active


@under("first_job_at_once")
def test_a_start_time_prevents_the_immediate_first_job(served, hook):
    hourly(served, hook)
    assert served.runs() == []
    hourly(served, hook, "impatient", start_time=None, cron="0 7 * * *", recurrence=None)
    assert served.only_run().job.schedule == "impatient"


@under("iana_zones_refused")
def test_a_time_zone_is_sent_under_its_windows_name(served, hook):
    assert hourly(served, hook, time_zone="Asia/Seoul").trigger["timeZone"] == "Korea Standard Time"


@under("v1_gone")
def test_jobs_work_and_published_pipelines_name_their_successors(served, task, hook):
    run(task)
    task.clear()
    with pytest.raises(AirflowFailException, match=r"v1 has been shut down.*component_name"):
        run(task, component_name=None, pipeline_name="quick")
    assert len(served.runs()) == 1
    assert hook.test_connection()[0]


def test_every_quirk_of_the_local_workspace_is_in_one_of_the_two_matrices():
    """Those of v1 and run history are in test_under_quirks.py."""
    there = {sample.partition("=")[0] for sample in QUIRKS}
    assert {item.name for item in fields(Quirks)} == there | NAMED
    assert {sample.partition("=")[0] for sample in JOB_QUIRKS} == NAMED
    assert there & NAMED == set()
