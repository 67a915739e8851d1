"""A copy of an Airflow's database in another Airflow: the runs that it knows of are the other one's."""

from __future__ import annotations

import asyncio
import copy
from datetime import timedelta

import pytest
from support.airflow.task import Log, RunPipeline
from support.services.local_workspace import LONG

from aml_provider.client.errors import ForeignRun, RunFailed
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AirflowFailException, TaskDeferred
from aml_provider.durable.identity import Deployment
from aml_provider.state.deployment import this_deployment
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger

NAME = "AIRFLOW__AZUREML__DEPLOYMENT_ID"
URL = "AIRFLOW__API__BASE_URL" if AIRFLOW_V_3_0_PLUS else "AIRFLOW__WEBSERVER__BASE_URL"


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory):
    return kept_in_memory


@pytest.fixture
def named(monkeypatch):
    """This process becomes the Airflow of that name."""
    return lambda name: monkeypatch.setenv(NAME, name)


@pytest.fixture
def at(monkeypatch):
    """This process becomes the Airflow at that address, whose id was made up and is in its database."""
    monkeypatch.delenv(NAME)
    return lambda url: monkeypatch.setenv(URL, url)


def start(task, **arguments):
    """Production's task, up to its wait."""
    with pytest.raises(TaskDeferred) as deferred:
        run(task, deferrable=True, **arguments)
    return deferred.value.trigger


def run(task, **arguments):
    operator = RunPipeline(**{"pipeline_id": "long"} | arguments)
    task.log = operator.log
    return operator.execute(task.context)


def ended(trigger, task):
    """The trigger of a task that a person has just ended, as the triggerer makes it of the database."""

    class Trigger(AzureMLPipelineRunTrigger):
        log = Log()

        def task_state(self):
            return "success", None

    made = Trigger(**trigger.serialize()[1])
    made.task_instance = task.ti
    asyncio.run(made.on_kill())
    return str(made.log)


def event(workspace, outcome):
    return {"run_id": workspace.only_run().id, "experiment_name": "exp", "outcome": outcome, "message": ""}


class TestWithANameOfItsOwn:
    """The same holds where deployment_id was changed on purpose."""

    def test_a_clear_leaves_the_run_of_the_other_alone_and_submits_one_of_its_own(self, workspace, task, named):
        named("production")
        start(task)
        named("staging")
        task.clear()
        start(task)
        theirs, ours = workspace.runs()
        assert workspace.status(theirs.id) == "Running"
        assert theirs.tags["airflow.key"] != ours.tags["airflow.key"]
        assert (theirs.tags["airflow.deployment"], ours.tags["airflow.deployment"]) == ("production", "staging")
        assert f"Run {theirs.id} of an earlier try was not made under this Airflow's deployment_id" in str(task.log)
        task.next_try()
        assert start(task).run_id == ours.id

    @pytest.mark.parametrize("known", [True, False])
    def test_a_retry_submits_no_other_run_and_takes_none_over(self, workspace, task, named, known):
        named("production")
        start(task)
        if not known:
            task.record["run_id"] = None
        named("staging")
        task.next_try()
        with pytest.raises(AirflowFailException, match=r"no other run is submitted.*Clear this task") as failed:
            run(task, deferrable=True)
        assert isinstance(failed.value, ForeignRun)
        assert workspace.status() == "Running"
        # The other one knows of nothing.
        named("production")
        task.next_try()
        assert start(task).run_id == workspace.only_run().id

    def test_a_retry_after_a_submission_that_never_left_submits(self, workspace, task, named):
        named("production")
        workspace.faults.add("status", status=400, method="POST", path="*/PipelineSubmit/*", times=1)
        with pytest.raises(AirflowFailException):
            run(task)
        named("staging")
        task.next_try()
        start(task)
        assert workspace.only_run().tags["airflow.deployment"] == "staging"

    def test_a_person_who_ends_the_deferred_task_ends_no_run(self, workspace, task, named):
        named("production")
        trigger = start(task)
        named("staging")
        said = ended(trigger, task)
        assert workspace.status() == "Running"
        assert "was submitted by another Airflow (deployment_id 'production'; this Airflow has 'staging')" in said
        named("production")
        ended(trigger, task)
        assert workspace.status() == "Canceled"

    def test_a_deadline_ends_no_run(self, workspace, task, named):
        named("production")
        start(task)
        named("staging")
        operator = RunPipeline(pipeline_id="long", deferrable=True, execution_timeout=timedelta(seconds=1))
        with pytest.raises(AirflowFailException, match="was submitted by another Airflow"):
            operator.execute_complete(task.context, event(workspace, "deadline"))
        with pytest.raises(AirflowFailException, match="was submitted by another Airflow"):
            operator.resume_execution("__fail__", {"error": "Trigger timeout"}, task.context)
        assert workspace.status() == "Running"
        assert "airflow.cancel" not in workspace.only_run().history_tags

    def test_a_kill_ends_no_run(self, workspace, task, named, airflow):
        named("production")
        start(task)
        named("staging")
        operator = RunPipeline(pipeline_id="long", deferrable=True)
        operator.on_kill()
        with pytest.raises(AirflowFailException, match="was submitted by another Airflow"):
            operator.execute_complete(task.context, event(workspace, "ended"))
        assert workspace.status() == "Running"


class TestWithTheSameName:
    """The id is random, and was copied with the database; the address distinguishes the two."""

    @pytest.fixture
    def started(self, workspace, task, at):
        at("https://airflow.example.com/")
        trigger = start(task)
        at("https://staging.example.com")
        return trigger

    def test_a_clear_cancels_nothing_and_submits_nothing_for_now(self, workspace, task, started):
        task.clear()
        with pytest.raises(ForeignRun, match=r"at https://airflow\.example\.com.*its address is https://staging"):
            run(task, deferrable=True)
        assert workspace.status() == "Running"

    def test_a_clear_submits_again_once_the_originals_run_has_ended(self, workspace, task, started):
        task.clear()
        workspace.clock.advance(LONG + 100)
        start(task)
        assert len(workspace.runs()) == 2

    def test_a_person_who_ends_the_deferred_task_ends_no_run(self, workspace, task, started, at):
        said = ended(started, task)
        assert workspace.status() == "Running"
        assert "this database is a copy" in said
        at("https://AIRFLOW.example.com")
        ended(started, task)
        assert workspace.status() == "Canceled"

    def test_a_retry_takes_the_run_over_as_airflow_may_only_have_moved(self, workspace, task, started):
        task.next_try()
        assert start(task).run_id == workspace.only_run().id

    def test_retries_of_both_carry_different_keys(self, workspace, task, at):
        at("https://airflow.example.com")
        with pytest.raises(RunFailed):
            run(task, pipeline_id="fails")
        theirs = copy.deepcopy(dict(task.store))
        for url in ("https://staging.example.com", "https://airflow.example.com"):
            at(url)
            task.store.clear()
            task.store.update(copy.deepcopy(theirs))
            task.next_try()
            with pytest.raises(RunFailed):
                run(task, pipeline_id="fails")
        assert len({one.tags["airflow.key"] for one in workspace.runs()}) == 3


def test_an_airflow_with_a_chosen_name_may_move(workspace, task, named, monkeypatch):
    named("production")
    monkeypatch.setenv(URL, "https://old.example.com")
    start(task)
    assert "airflow.url" not in workspace.only_run().tags
    monkeypatch.setenv(URL, "https://new.example.com")
    task.clear()
    start(task)
    first, _ = workspace.runs()
    assert workspace.status(first.id) == "Canceled"


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("https://Airflow.example.com/", "https://airflow.example.com"),
        ("https://example.com/airflow", "https://example.com/airflow"),
        ("http://localhost:8080", None),
        ("http://127.0.0.1:8080", None),
        ("http://[::1]:8080", None),
        ("http://0.0.0.0:8080", None),
        ("http://localhost.:8080", None),
        ("", None),
        ("airflow.example.com", None),
        # Every task would fail for it.
        ("http://[fe80::1", None),
        ("http://airflow:port", None),
        # Who may read a run's tags is not to read this.
        ("https://user:secret@airflow.example.com/?token=secret#secret", "https://airflow.example.com"),
        (" https://airflow.example.com ", "https://airflow.example.com"),
    ],
)
def test_an_address_that_is_valid_on_one_machine_only_distinguishes_nothing(kept_variables, at, url, known):
    kept_variables["azureml_deployment_id"] = "abc"
    at(url)
    assert this_deployment() == Deployment("abc", known)


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ("https://a.example.com", "http://a.example.com", True),
        ("https://a.example.com", "https://a.example.com:443/", True),
        ("http://a.example.com:80", "https://a.example.com", True),
        ("https://a.example.com", "https://A.Example.COM./", True),
        ("https://a.example.com/airflow", "https://a.example.com/airflow//", True),
        ("https://a.example.com:8443", "http://a.example.com:8443", True),
        ("https://a.example.com", "http://localhost:8080", True),
        ("http://a.example.com:8080", "http://a.example.com:8081", False),
        ("https://a.example.com/airflow", "https://a.example.com/staging", False),
        ("https://a.example.com", "https://b.example.com", False),
    ],
)
def test_an_airflow_that_has_moved_to_https_still_ends_its_runs(workspace, task, at, before, now, same):
    at(before)
    trigger = start(task)
    at(now)
    ended(trigger, task)
    assert workspace.status() == ("Canceled" if same else "Running")


@pytest.mark.parametrize("stored", ["", None])
def test_an_id_that_cannot_be_stored_is_not_used(monkeypatch, at, stored):
    from aml_provider.state import variables

    monkeypatch.setattr(variables, "read", lambda key: stored)
    with pytest.raises(RuntimeError, match=r"azureml_deployment_id .*; set the option \[azureml\] deployment_id"):
        this_deployment()
