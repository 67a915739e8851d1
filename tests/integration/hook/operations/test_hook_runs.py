"""The hook's methods for pipeline runs."""

from __future__ import annotations

import re

import httpx
import pytest
from support.drivers.hook_faces import ENDPOINT, FAILS, LONG, OLD, SCORE, TOKEN, connect
from support.services.recorder import Answer, Recorder

from aml_provider.client.entities import RunState
from aml_provider.client.errors import ServerFault
from aml_provider.client.models import DataPath
from aml_provider.compat import AirflowFailException


def test_submission_of_an_endpoint(emulator, hook):
    run = hook.submit_endpoint(ENDPOINT, experiment_name="x", version="0", tags={"k": 1})
    assert run.pipeline_id == OLD
    assert hook.submit_endpoint(ENDPOINT, experiment_name="x").pipeline_id == SCORE
    assert emulator.requests("POST", "EndpointSubmit")[0]["body"]["tags"] == {"k": "1"}


def test_a_run_below_another_one(hook, finished):
    child = hook.submit_pipeline(SCORE, experiment_name="scoring", parent_run_id=finished.id)
    assert hook.list_runs(experiment_name="scoring") == (hook.list_runs(experiment_name="scoring")[0],)
    assert child.id not in {run.id for run in hook.list_runs(experiment_name="scoring")}


def test_waiting_and_cancelling(emulator, hook):
    run = hook.submit_pipeline(LONG, experiment_name="x")
    assert not hook.wait_for_run(run.id, timeout=0).state.is_final
    assert hook.cancel_run(run.id, reason="enough").state is RunState.CANCELED
    assert hook.wait_for_run(run.id).state is RunState.CANCELED


def test_steps_by_the_run_or_its_id(hook, finished):
    steps = hook.list_steps(finished)
    assert [(step.name, step.status) for step in steps] == [("read", "Completed"), ("score", "Completed")]
    assert hook.list_steps(finished.id) == steps


def test_lists_say_the_same_of_a_run(emulator, hook, finished):
    emulator.clock.advance(60)
    later = hook.submit_pipeline(SCORE, experiment_name="scoring")
    of_pipeline = hook.list_runs(pipeline_id=SCORE)
    of_experiment = hook.list_runs(experiment_name="scoring")
    for found in (of_pipeline, of_experiment):
        assert [run.id for run in found] == [later.id, finished.id], "newest first"
        assert [run.state for run in found] == [RunState.NOT_STARTED, RunState.FINISHED]
        assert {run.experiment_name for run in found} == {"scoring"}
        assert {run.pipeline_id for run in found} == {SCORE}
        assert found[1].tags["team"] == "ml"
        assert found[1].created == finished.created
    assert [run.id for run in hook.list_runs(experiment_name="scoring", limit=1)] == [later.id]
    assert [run.id for run in hook.list_runs(pipeline_id=SCORE, limit=1)] == [later.id]


@pytest.mark.parametrize("where", [{"experiment_name": "scoring"}, {"pipeline_id": SCORE}])
def test_lists_are_narrowed(hook, finished, where):
    later = hook.submit_pipeline(SCORE, experiment_name="scoring", tags={"flag": "on"})
    for status, wanted in (
        ("Finished", [finished.id]),
        ("Completed", [finished.id]),
        ("finished", [finished.id]),
        ("NotStarted", [later.id]),
        ("Failed", []),
    ):
        assert [run.id for run in hook.list_runs(**where, status=status)] == wanted
    for tags, wanted in (({"team": "ml"}, finished.id), ({"flag": None}, later.id)):
        assert [run.id for run in hook.list_runs(**where, tags=tags)] == [wanted]
    assert hook.list_runs(**where, tags={"team": "other"}) == ()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "experiment_name"),
        ({"experiment_name": "x", "pipeline_id": "p"}, "experiment_name"),
        ({"experiment_name": "x", "status": "Perhaps"}, "status"),
        ({"experiment_name": "x", "limit": 0}, "limit"),
        ({"experiment_name": "x", "tags": {"a b": "c"}}, "tags"),
        ({"experiment_name": "x", "tags": {"a": 'b" or "a'}}, "tags"),
    ],
)
def test_a_list_that_cannot_be_asked_for(emulator, hook, arguments, named):
    with pytest.raises(AirflowFailException, match=f"^{named}"):
        hook.list_runs(**arguments)
    assert emulator.requests() == []


def test_logs_of_all_steps_and_of_one(emulator, hook):
    run = hook.submit_pipeline(FAILS, experiment_name="x")
    emulator.clock.advance(3600)
    logs = hook.get_run_logs(run.id)
    assert [name.partition("/")[0] for name in logs] == sorted(name.partition("/")[0] for name in logs)
    assert {name.partition("/")[0] for name in logs} == {"read", "score"}
    (read,) = (text for name, text in logs.items() if name == "read/user_logs/std_log.txt")
    assert "reading\n3 rows" in read
    only = hook.get_run_logs(run.id, "score")
    assert only == {name: text for name, text in logs.items() if name.startswith("score/")}
    assert hook.get_run_logs(run.id, hook.list_steps(run.id)[1].id) == only
    with pytest.raises(AirflowFailException, match=r"step: is 'other', and .* it has read, score"):
        hook.get_run_logs(run.id, "other")
    assert hook.get_run_logs(run.id, "read", max_bytes=4) == {
        name: text.encode()[-4:].decode() for name, text in logs.items() if name.startswith("read/")
    }


def test_no_token_goes_with_a_link_to_a_log(emulator, hook, finished):
    hook.get_run_logs(finished.id)
    links = [item for item in emulator.requests("GET") if "/_content/" in item["path"]]
    assert links
    for item in links:
        assert not {name.lower() for name in item["headers"]} & {"authorization"}


def test_a_link_that_fails_is_left_out_and_told(emulator, hook, finished, told):
    emulator.faults.add("status", path="/_content/*", status=403, times=99)
    logs = hook.get_run_logs(finished.id)
    assert set(logs) == {"read/STDOUT", "score/STDOUT"}
    text = told()
    assert "the service answered 403" in text
    assert re.search(r"sig=(?!\*\*\*)", text) is None, "the links carry signatures"
    emulator.faults.add("status", path="*/Graph/Shareable/*", status=500, times=99)
    with pytest.raises(ServerFault):
        hook.get_run_logs(finished.id)


def test_a_run_that_has_not_begun_has_no_logs(hook):
    assert hook.get_run_logs(hook.submit_pipeline(LONG, experiment_name="x").id) == {}


def test_outputs_can_be_handed_on(emulator, hook, finished):
    emulator.state.runs[finished.id].steps[1].blobs.append(("workspaceblobstore", "results/a.json", 3))
    outputs = hook.get_run_outputs(finished.id)
    (name,) = outputs
    assert name.startswith("score/")
    assert outputs[name].data_path == DataPath("workspaceblobstore", "results/a.json")
    assert outputs[name].container == "azureml-blobstore-demo"
    assert hook.get_run_outputs(finished.id, "read") == {}
    assert hook.get_pipeline_output(finished.id, name.partition("/")[2]).path == "results/a.json"
    handed = hook.submit_pipeline(SCORE, experiment_name="x", data_paths={"input_datapath": outputs[name].data_path})
    assert emulator.requests("POST", "PipelineSubmit")[-1]["body"]["DataPathAssignments"] == {
        "input_datapath": {"DataStoreName": "workspaceblobstore", "RelativePath": "results/a.json"}
    }
    assert handed.state is RunState.NOT_STARTED


def test_metrics_of_a_run_include_those_of_its_steps(emulator, hook, finished):
    step = hook.list_steps(finished)[1]
    for run_id, name, values in ((finished.id, "loss", [0.5, 0.25]), (step.id, "rows", [3])):
        rows = [{"data": {name: value}, "step": number} for number, value in enumerate(values)]
        body = {"values": [{"name": name, "columns": {name: "double"}, "value": rows}]}
        scope = "/subscriptions/s/resourceGroups/r/providers/Microsoft.MachineLearningServices/workspaces/w"
        url = f"{emulator.url}/metric/v2.0{scope}/runs/{run_id}/batch"
        assert httpx.post(url, json=body, headers={"Authorization": "Bearer x"}).json() == {"errors": []}
    metrics = hook.get_run_metrics(finished.id)
    assert {name: [item.value for item in values] for name, values in metrics.items()} == {
        "loss": [0.5, 0.25],
        "score/rows": [3],
    }
    assert [item.step for item in metrics["loss"]] == [0, 1]
    assert set(hook.get_run_metrics(finished.id, "score")) == {"score/rows"}


def test_tags_come_and_go(emulator, hook, finished):
    tagged = hook.tag_run(finished.id, {"quality": "good", "seen": None})
    assert tagged.tags.items() >= {"team": "ml", "quality": "good", "seen": ""}.items()
    (patch,) = emulator.requests("PATCH")
    assert patch["body"]["tags"] == {"quality": "good", "seen": None}, "a tag without a value has none"
    left = hook.untag_run(finished.id, ["seen", "team"], experiment_name="scoring")
    assert "quality" in left.tags
    assert not {"seen", "team"} & set(left.tags)


def test_a_step_is_tagged_as_well(hook, finished):
    step = hook.list_steps(finished)[0]
    assert hook.tag_run(step.id, {"seen": "yes"}).tags["seen"] == "yes"


def test_properties_names_and_descriptions(hook, finished):
    assert hook.set_run_properties(finished.id, {"model": "m1"}).properties["model"] == "m1"
    assert hook.set_run_display_name(finished.id, "of Monday").name == "of Monday"
    assert hook.set_run_description(finished.id, "nice").description == "nice"


def test_what_is_the_providers_own_is_refused(emulator, hook):
    for call in (
        lambda: hook.tag_run("r", {"airflow.cancel": "x"}),
        lambda: hook.untag_run("r", ["airflow.key"]),
        lambda: hook.untag_run("r", "airflow"),
    ):
        with pytest.raises(AirflowFailException, match=r"^(tags|names)"):
            call()
    assert emulator.requests() == []


def test_the_host_of_a_link_never_sees_the_token(monkeypatch, face):
    """What a reply says decides where a log is fetched, and must not decide who gets the token."""
    with Recorder() as service, Recorder() as elsewhere:
        elsewhere.answer("GET", "*", Answer(body=b"a log"))
        run = {"Id": "r", "RunHistoryExperimentName": "x", "Status": {"StatusCode": "Failed"}}
        step = {"runId": "s", "name": "one", "status": "Failed", "dataContainerId": "dcid.s"}
        service.answer("GET", "*/PipelineRuns/r", Answer(json=run))
        service.answer("GET", "*/children", Answer(json={"value": [step]}))
        files = {"user_logs/std_log.txt": f"{elsewhere.url}/a?sig=secret"}
        service.answer("GET", "*/details", Answer(json={"logFiles": files}))
        found = [{"path": "user_logs/more.txt", "contentUri": f"{elsewhere.url}/b?sig=secret"}]
        service.answer("GET", "*/contentinfo/*", Answer(json={"value": found}))
        logs = face(connect(monkeypatch, service.url)).get_run_logs("r")
        assert logs == {"one/user_logs/more.txt": "a log", "one/user_logs/std_log.txt": "a log"}
        assert len(elsewhere.seen) == 2
        for seen in elsewhere.seen:
            assert "authorization" not in seen.headers
            assert TOKEN not in str(seen)
        assert all(seen.headers["authorization"] == f"Bearer {TOKEN}" for seen in service.seen)


def test_a_redirect_of_a_link_is_not_followed(monkeypatch, face, told):
    with Recorder() as service, Recorder() as elsewhere:
        run = {"Id": "r", "RunHistoryExperimentName": "x", "Status": {"StatusCode": "Failed"}}
        service.answer("GET", "*/PipelineRuns/r", Answer(json=run))
        step = {"runId": "s", "name": "one", "status": "Failed", "tags": {"azureml.nodeid": "n"}}
        service.answer("GET", "*/children", Answer(json={"value": [step]}))
        service.answer("GET", "*/details", Answer(json={"logFiles": {"a.txt": f"{service.url}/moved"}}))
        service.answer("GET", "/moved", Answer(302, headers=(("Location", elsewhere.url),)))
        service.answer("POST", "*/STDOUT", Answer(body=b"said"))
        assert face(connect(monkeypatch, service.url)).get_run_logs("r") == {"one/STDOUT": "said"}
        assert elsewhere.seen == []
    assert "A log is left out" in told()
