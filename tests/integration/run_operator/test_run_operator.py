"""The run operator against the local workspace: one try at a time, with everything that may go wrong in it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from support.airflow.task import RunPipeline
from support.services.local_workspace import serving

from aml_provider.client.errors import (
    ReplyLost,
    ServerFault,
    SubmissionUnknown,
    SubmissionUnsettled,
    Throttled,
    Unreachable,
)
from aml_provider.client.models import DataPath
from aml_provider.compat import AirflowFailException
from aml_provider.state import variables

SUBMIT = "*PipelineSubmit*"
LINK_XCOM = "_link_AzureMLPipelineRunLink"


@pytest.fixture(autouse=True)
def kept_variables(kept_in_memory):
    return kept_in_memory


def run(task, **arguments):
    return RunPipeline(**arguments).execute(task.context)


@pytest.mark.parametrize(
    "target",
    [
        {"pipeline_id": "quick"},
        {"pipeline_name": "quick"},
        {"endpoint_id": "door"},
        {"endpoint_name": "door"},
        {"endpoint_name": "door", "endpoint_version": "1"},
        {"endpoint_id": "door", "validate": False},
    ],
    ids=str,
)
def test_a_run_is_submitted_waited_for_and_returned(workspace, task, target):
    run_id = run(task, **target)
    assert run_id == workspace.only_run().id
    assert workspace.status() == "Finished"
    assert task.record["run_id"] == run_id
    assert task.record["finished"]


def test_what_the_author_wrote_reaches_the_run(workspace, task):
    run(
        task,
        pipeline_id="quick",
        parameters={"count": 3},
        data_paths={"input": {"datastore": "store", "path": "a/b.csv", "etag": "x"}},
        tags={"team": "red"},
        description="nightly",
        continue_on_step_failure=True,
    )
    made = workspace.only_run()
    assert made.parameters["count"] == "3"
    assert made.data_paths["input"].path == "a/b.csv"
    assert made.history_tags["team"] == "red"
    assert made.history_tags["airflow.dag_id"] == "dag"
    assert (made.description, made.continue_on_step_failure) == ("nightly", True)


def test_an_unvalidated_submission_is_one_request(workspace, task, learnt):
    run(task, pipeline_id="quick", validate=False, wait_for_completion=False)
    assert [entry["method"] for entry in workspace.requests()] == ["POST"]


def test_a_validated_submission_reads_the_interface_once_per_process(workspace, task, learnt):
    run(task, pipeline_id="quick", wait_for_completion=False)
    first = len(workspace.requests())
    task.clear()
    run(task, pipeline_id="quick", wait_for_completion=False, cancel_on_kill=False)
    assert (first, len(workspace.requests()) - first) == (2, 2)


def test_what_is_known_of_a_workspace_is_not_believed_of_another_one(workspace, task, learnt, monkeypatch):
    graph = workspace.state.pipelines["quick"].graph_id
    run(task, pipeline_id="quick", parameters={"count": 3}, wait_for_completion=False)
    with monkeypatch.context() as patch, serving(patch) as other:
        other.state.pipelines["quick"].graph_id = graph
        other.state.pipelines["quick"].parameters.clear()
        task.clear()
        with pytest.raises(AirflowFailException, match="there is no parameter 'count'"):
            run(task, pipeline_id="quick", parameters={"count": 3}, wait_for_completion=False)


@pytest.mark.parametrize("durable", [True, False])
def test_without_waiting_the_task_ends_when_the_run_exists(workspace, task, durable):
    run_id = run(task, pipeline_id="long", wait_for_completion=False, durable=durable, deferrable=True)
    assert run_id == workspace.only_run().id
    assert workspace.status() in {"NotStarted", "Running"}
    assert LINK_XCOM in task.ti.xcoms
    assert bool(task.record) == durable


def test_the_link_is_there_as_soon_as_the_run_exists(workspace, task):
    seen = []

    class LookingTask(type(task.ti)):
        def xcom_push(self, key, value):
            super().xcom_push(key, value)
            seen.append((key, value, workspace.status()))

    task.ti.__class__ = LookingTask
    run_id = run(task, pipeline_id="quick")
    assert [key for key, _, _ in seen] == ["azureml_run_id", LINK_XCOM]
    assert all(status in {"NotStarted", "Running"} for _, _, status in seen)
    assert seen[0][1] == run_id
    assert run_id in seen[1][1]


def test_progress_is_logged_only_when_it_has_changed(workspace, task):
    operator = RunPipeline(pipeline_id="quick", poll_interval=0.1)
    operator.execute(task.context)
    told = [line for line in operator.log.lines if ": " in line and "work" in line]
    assert told
    assert len(told) == len(set(told))
    assert "Finished" in told[-1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"pipeline_id": "quick", "parameters": {"nope": 1}}, "there is no parameter 'nope'.*count"),
        ({"pipeline_id": "quick", "parameters": {"count": "many"}}, "count.*'many'.*Int"),
        ({"pipeline_id": "quick", "parameters": {"count": None}}, "parameters.*is None"),
        ({"pipeline_id": "quick", "data_paths": {"nope": "store/in"}}, "there is no data path 'nope'"),
        ({"pipeline_id": "quick", "data_paths": {"input": {"datastore": None, "path": "x"}}}, "input.*datastore"),
        ({"pipeline_id": "quick", "data_paths": {"input": DataPath("store", "a\\b")}}, "backslash"),
        ({"pipeline_id": "retired"}, "retired.*Disabled"),
        ({"pipeline_id": "unknown"}, "no published pipeline 'unknown'"),
        ({"pipeline_name": "quik"}, "did you mean 'quick'"),
        ({"pipeline_name": "retired"}, "published pipeline 'retired'.*is Disabled; enable it"),
        ({"pipeline_name": "twins"}, "twin-1.*twin-2"),
        ({"endpoint_name": "window"}, "no pipeline endpoint named 'window'"),
        ({"endpoint_id": "window"}, "no pipeline endpoint 'window'"),
        ({"endpoint_name": "door", "endpoint_version": "7"}, "no version '7'; it has 0, 1"),
        ({"pipeline_id": ""}, "pipeline_id.*''"),
        ({"pipeline_id": "quick", "experiment_name": "no spaces"}, "experiment_name"),
        ({"pipeline_id": "quick", "poll_interval": 0}, "poll_interval.*0"),
        ({"pipeline_id": "quick", "poll_interval": float("nan")}, "poll_interval.*nan"),
        ({"pipeline_id": "quick", "poll_interval": "30"}, "poll_interval.*'30'"),
        ({"pipeline_id": "quick", "poll_interval": True}, "poll_interval.*True"),
        ({"pipeline_id": "quick", "poll_interval": timedelta(seconds=-1)}, "poll_interval"),
        ({"pipeline_id": "quick", "on_timeout": "cancle"}, "on_timeout.*'cancle'.*'cancel'"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_work_is_refused_before_anything_is_sent(workspace, task, arguments, named):
    with pytest.raises(AirflowFailException, match=named):
        run(task, **arguments)
    assert workspace.sent() == []
    assert not task.store


@pytest.mark.parametrize("interval", [0.5, 1, timedelta(milliseconds=300)])
def test_durations_are_seconds_or_timedeltas(workspace, task, interval):
    run(task, pipeline_id="quick", poll_interval=interval)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "drop"},
        {"kind": "status", "status": 500, "after_commit": True},
        {"kind": "broken_json"},
        {"kind": "status", "status": 204, "after_commit": True},
        {"kind": "status", "status": 202, "after_commit": True},
    ],
    ids=str,
)
def test_a_submission_whose_reply_is_lost_is_found_again(workspace, task, fault):
    workspace.faults.add(**fault, method="POST", path=SUBMIT)
    assert run(task, pipeline_id="quick") == workspace.only_run().id
    assert len(workspace.posts()) == 1


@pytest.mark.parametrize("quirk", ["drop_tags", "drop_properties", "history_lag=20s"])
def test_a_run_whose_reply_was_lost_is_found_in_every_kind_of_workspace(monkeypatch, task, quirk):
    with serving(monkeypatch, quirks=[quirk]) as workspace:
        workspace.faults.add("drop", method="POST", path=SUBMIT)
        assert run(task, pipeline_id="quick") == workspace.only_run().id


@pytest.mark.parametrize(
    ("fault", "error"),
    [({"kind": "refuse"}, ReplyLost), ({"kind": "status", "status": 503}, ServerFault)],
    ids=["dropped", "503"],
)
def test_a_submission_that_was_not_carried_out_is_repeated_by_a_retry_only(workspace, learnt, task, fault, error):
    workspace.faults.add(**fault, method="POST", path=SUBMIT)
    with pytest.raises(error):
        run(task, pipeline_id="quick")
    assert workspace.runs() == []
    assert len(workspace.posts()) == 1
    task.next_try()
    assert run(task, pipeline_id="quick") == workspace.only_run().id


def test_where_nothing_is_known_to_work_doubt_is_an_error_without_retries(workspace, task):
    workspace.faults.add("status", status=503, method="POST", path=SUBMIT)
    with pytest.raises(AirflowFailException, match="cannot be established") as caught:
        run(task, pipeline_id="quick")
    assert isinstance(caught.value, SubmissionUnknown)
    task.record["submitted_at"] -= 1000
    task.clear()
    assert run(task, pipeline_id="quick") == workspace.only_run().id


def test_a_clear_in_doubt_does_not_look_the_run_up_in_silence(workspace, task):
    first = run(task, pipeline_id="long", wait_for_completion=False)
    key = task.record["key"]
    task.store["azureml_submission"] |= {"run_id": None, "finished": False}
    task.clear()
    run(task, pipeline_id="long", wait_for_completion=False)
    assert f"an earlier try submitted a run with the key {key}; looking it up for up to" in str(RunPipeline.log)
    assert workspace.status(first) == "Canceled"


@pytest.mark.parametrize(("kind", "status"), [("status", 503), ("html", 404)], ids=["503", "a proxy's 404"])
def test_while_nothing_can_be_looked_up_doubt_is_left_to_a_retry(workspace, learnt, task, kind, status):
    workspace.faults.add("drop", method="POST", path=SUBMIT)
    workspace.faults.add(kind, status=status, path="*runs:query", times=100)
    workspace.faults.add(kind, status=status, path="*/PipelineRuns/Pipeline/*", times=100)
    with pytest.raises(SubmissionUnsettled):
        run(task, pipeline_id="quick")
    workspace.faults.clear()
    task.next_try()
    assert run(task, pipeline_id="quick") == workspace.only_run().id


def test_a_404_of_a_proxy_loses_no_run_of_an_earlier_try(workspace, task):
    run_id = run(task, pipeline_id="quick", wait_for_completion=False)
    workspace.faults.add("html", status=404, method="GET", path=f"*/PipelineRuns/{run_id}")
    task.next_try()
    with pytest.raises(ServerFault):
        run(task, pipeline_id="quick")
    task.next_try()
    assert run(task, pipeline_id="quick") == run_id
    assert workspace.only_run().id == run_id


@pytest.mark.parametrize(
    ("status", "error"), [(400, AirflowFailException), (403, AirflowFailException), (429, Throttled)]
)
def test_a_refused_submission_leaves_nothing_behind(workspace, task, monkeypatch, status, error):
    monkeypatch.setenv("AIRFLOW__AZUREML__THROTTLED_BUDGET", "0")
    workspace.faults.add("status", status=status, method="POST", path=SUBMIT)
    with pytest.raises(error):
        run(task, pipeline_id="quick")
    assert not task.record["sent"]
    looked = len(workspace.requests(path_contains="query"))
    task.next_try()
    run(task, pipeline_id="quick", wait_for_completion=False)
    assert len(workspace.runs()) == 1
    assert looked == 0


def test_throttling_fails_no_task(workspace, task):
    # More than the retry budget of these tests, before, at and after the submission.
    for method, path in [("GET", "*/Pipelines"), ("POST", SUBMIT), ("GET", "*/PipelineRuns/*")]:
        workspace.faults.add("status", status=429, retry_after=1, method=method, path=path)
    assert run(task, pipeline_name="quick") == workspace.only_run().id
    assert [post["status"] for post in workspace.posts()] == [429, 200]


def test_a_service_that_cannot_be_reached_leaves_no_doubt(monkeypatch, task):
    with serving(monkeypatch):
        pass
    with pytest.raises(Unreachable):
        run(task, pipeline_id="quick", validate=False)
    assert not task.record["sent"]


def test_a_retry_takes_over_a_run_whose_pipeline_was_disabled_since(workspace, task):
    run_id = run(task, pipeline_name="long", wait_for_completion=False)
    task.store["azureml_submission"]["finished"] = False
    workspace.state.set_pipeline_status("long", "Disabled")
    task.next_try()
    assert run(task, pipeline_name="long", wait_for_completion=False) == run_id
    assert LINK_XCOM in task.ti.xcoms


def test_a_clear_cancels_the_old_run_and_starts_a_new_one(workspace, task):
    old = run(task, pipeline_id="long", wait_for_completion=False)
    task.clear()
    new = run(task, pipeline_id="long", wait_for_completion=False)
    assert new != old
    assert workspace.status(old) == "Canceled"
    assert workspace.state.runs[old].history_tags["airflow.cancel"] == "the task was cleared"


def test_a_task_that_is_not_durable_keeps_no_record_and_submits_again(workspace, task):
    first = run(task, pipeline_id="quick", durable=False)
    assert run(task, pipeline_id="quick", durable=False) != first
    assert not task.store


def test_a_push_that_fails_costs_a_try_and_no_second_run(workspace, task):
    class Broken(type(task.ti)):
        def xcom_push(self, key, value):
            raise ConnectionError("the API server is away")

    whole = type(task.ti)
    task.ti.__class__ = Broken
    with pytest.raises(ConnectionError):
        run(task, pipeline_id="quick")
    task.ti.__class__ = whole
    task.next_try()
    assert run(task, pipeline_id="quick") == workspace.only_run().id


def test_evidence_is_gathered_from_a_run_of_this_try_only(workspace, task, kept_variables):
    run(task, pipeline_id="long", wait_for_completion=False)
    (name,) = (key for key in kept_variables if key.startswith("azureml_evidence"))
    assert json.loads(kept_variables[name])["found"] == ["pipeline", "property", "tag"]
    kept_variables.clear()
    task.next_try()
    # It is found now, but perhaps it would not have been found within the timeout.
    run(task, pipeline_id="long", wait_for_completion=False)
    assert kept_variables == {}


@pytest.mark.parametrize("access", ["read", "write"])
def test_what_cannot_be_learnt_does_not_stop_the_run(workspace, task, monkeypatch, access):
    def broken(key, *_):
        raise RuntimeError(f"the Variable {key} cannot be accessed")

    monkeypatch.setattr(variables, access, broken)
    run(task, pipeline_id="quick")
    assert workspace.status() == "Finished"
