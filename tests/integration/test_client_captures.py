"""What our client sends is what Microsoft's SDK sends, and what the SDK accepted as a reply, our parsers read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.driving import DRIVERS, one, workspace
from support.recorder import Answer, Recorder

from aml_provider.client import calls
from aml_provider.client.entities import RunState
from aml_provider.client.errors import NotFound
from aml_provider.client.models import DataPath
from aml_provider.client.run_request import RunRequest

CAPTURES = Path(__file__).parents[1] / "captures"
PIPELINE = "aaaaaaaa-0000-0000-0000-000000000001"
ENDPOINT = "eeeeeeee-0000-0000-0000-000000000001"
RUN = "e93be7ca-56b0-458a-ad04-ed55432aa0cf"
STEP = "92519bc4-72ae-42cc-a275-fcdeb8920310"
CANCELED_RUN = "f94adc3a-b9c5-4dbc-ae89-73d0e46a1a96"
MARKS = {"airflow.key": "0123", "airflow.task_id": "train"}
FILTER = (
    "((RunType eq azureml.PipelineRun or Properties/azureml.runsource eq azureml.PipelineRun) "
    'and (Tags/k eq "v") and (Properties/trigger eq "x1") and (ParentRunId eq null))'
)
PLAIN = RunRequest.of(experiment_name="MyExperiment")
FULL = RunRequest.of(
    experiment_name="MyExperiment",
    parameters={"s": "abc", "i": 5, "f": 0.5, "b": True},
    data_paths={"input_data": DataPath("workspaceblobstore", "incoming/f.csv")},
    continue_on_step_failure=True,
)


def exchange(capture, method, part):
    """The one exchange of a capture that our call stands for."""
    found = [
        item
        for item in json.loads((CAPTURES / f"{capture}.json").read_text())["exchanges"]
        if item["request"]["method"] == method and part in item["request"]["path"]
    ]
    assert found, f"{capture} has no {method} {part}"
    return found[0]


def asked(request):
    return request["method"], request["path"], request["query"], request["json"]


def without_marks(seen):
    """A request as it would be without what we add for Airflow."""
    method, path, query, body = seen.asked
    if isinstance(body, dict):
        for bag in ("tags", "Properties"):
            if bag in body:
                body[bag] = {key: value for key, value in body[bag].items() if not key.startswith("airflow.")}
        if body.get("tags") == {}:
            del body["tags"]
    return method, path, query, body


# What the SDK did, its request, and our call for it.
SAME = [
    ("workspace_get", "GET", "/workspaces/ws-demo", calls.get_workspace()),
    ("workspace_from_config", "GET", "/workspaces/ws-demo", calls.get_workspace()),
    ("pipeline_list_active", "GET", "/ws-demo/Pipelines", calls.list_pipelines()),
    ("pipeline_get", "GET", "/ws-demo/Pipelines/", calls.get_pipeline(PIPELINE)),
    ("endpoint_get_by_name", "GET", "/PipelineEndpoints/", calls.get_endpoint_by_name("score-endpoint")),
    (
        "pipeline_submit_plain",
        "POST",
        "/PipelineSubmit/",
        calls.submit_pipeline(PIPELINE, PLAIN.to_wire(marks=MARKS, notification=True)),
    ),
    (
        "pipeline_submit_params",
        "POST",
        "/PipelineSubmit/",
        calls.submit_pipeline(PIPELINE, FULL.to_wire(marks=MARKS, notification=True)),
    ),
    (
        "endpoint_submit_default",
        "POST",
        "/PipelineEndpointSubmit/",
        calls.submit_endpoint(ENDPOINT, PLAIN.to_wire(marks=MARKS, notification=False)),
    ),
    ("run_get", "GET", "/PipelineRuns/", calls.get_run(RUN)),
    ("run_status", "GET", "/PipelineRuns/", calls.get_run(RUN)),
    ("run_cancel", "DELETE", "/Execution", calls.cancel_run(CANCELED_RUN)),
    ("run_steps", "GET", "/children", calls.list_steps("MyExperiment", RUN)),
    ("run_details_with_logs", "GET", "/details", calls.get_run_details("MyExperiment", STEP)),
    ("step_stdout_log", "POST", "/Shareable/STDOUT", calls.get_step_output(RUN, "d0d0d0d0", "STDOUT")),
    ("run_tags_set", "GET", "/runs/", calls.get_history_run("MyExperiment", RUN)),
    ("run_tags_set", "PATCH", "/runs/", calls.tag_run("MyExperiment", RUN, {"k": "v"})),
    (
        "experiment_runs_filtered",
        "POST",
        "runs:query",
        calls.query_runs("MyExperiment", FILTER, order_by="StartTimeUtc desc"),
    ),
    ("datastore_get", "GET", "/datastores/", calls.get_datastore("workspaceblobstore")),
    ("datastore_list", "GET", "/datastores", calls.list_datastores()),
]


def carry_out(drive, recorder, captured, call):
    """Carry out a call against the reply that the SDK got."""
    request, response = captured["request"], captured["response"]
    recorder.answer(request["method"], request["path"], Answer(response["status"], response["json"]))
    return drive(workspace(region=None, endpoint=recorder.url), one(call))


@pytest.fixture(params=list(DRIVERS))
def drive(request):
    return DRIVERS[request.param]


@pytest.mark.parametrize(("capture", "method", "part", "call"), SAME, ids=[f"{row[0]}-{row[1]}" for row in SAME])
def test_a_request_is_the_one_of_the_sdk(drive, capture, method, part, call):
    captured = exchange(capture, method, part)
    with Recorder() as recorder:
        carry_out(drive, recorder, captured, call)
    assert [without_marks(seen) for seen in recorder.seen] == [asked(captured["request"])]


def test_every_capture_of_an_operation_that_we_have_is_compared():
    others = {
        "discovery_endpoints",  # below
        "pipeline_get_missing",  # below
        "experiment_list",  # not needed
        "endpoint_list_active",  # not needed
        "pipeline_disable",  # of the operators that need them
        "pipeline_enable",
    }
    captures = {path.stem for path in CAPTURES.glob("*.json") if not path.stem.startswith("schedule_")}
    assert captures - others == {row[0] for row in SAME}


def test_discovery_is_asked_like_the_sdk_does_without_a_token():
    """By hand: discovery belongs to Azure's own hosts, over https, which a test does not reach."""
    from support.driving import play, protocol, reply, requests

    workspace_record = exchange("workspace_get", "GET", "")["response"]["json"]
    workspace_record["properties"]["discoveryUrl"] = "https://koreacentral.api.azureml.ms/discovery"
    discovered = exchange("discovery_endpoints", "GET", "/discovery")
    services = {**discovered["response"]["json"], "api": "https://koreacentral.api.azureml.ms"}
    flow = one(calls.list_pipelines())
    result, steps = play(
        protocol(workspace(region=None)).run(flow),
        reply(body=json.dumps(workspace_record).encode()),
        reply(body=json.dumps(services).encode()),
        reply(body=b"[]"),
    )
    assert result == ()
    record, discovery, listing = requests(steps)
    assert record.url.startswith("https://management.azure.com/subscriptions/")
    assert (discovery.method, discovery.url, discovery.query) == (
        discovered["request"]["method"],
        "https://koreacentral.api.azureml.ms/discovery",
        (),
    )
    assert discovery.scope is None
    assert listing.url.startswith("https://koreacentral.api.azureml.ms/pipelines/v1.0/subscriptions/")


def read(capture, method, part, call):
    with Recorder() as recorder:
        return carry_out(DRIVERS["sync"], recorder, exchange(capture, method, part), call)


def test_the_workspace_is_read():
    workspace_record = read("workspace_get", "GET", "", calls.get_workspace())
    assert (workspace_record.name, workspace_record.location) == ("ws-demo", "koreacentral")
    assert workspace_record.workspace_id == "99999999-aaaa-bbbb-cccc-000000000001"


def test_pipelines_are_read():
    first, second = read("pipeline_list_active", "GET", "/ws-demo/Pipelines", calls.list_pipelines())
    assert (first.id, first.name, first.version, first.is_active) == (PIPELINE, "train-nightly", "1.0", True)
    assert first.graph_id == "cccccccc-0000-0000-0000-000000000001"
    assert first.created is not None
    assert second.name == "score-batch"
    assert read("pipeline_get", "GET", "/ws-demo/Pipelines/", calls.get_pipeline(PIPELINE)).name == "train-nightly"


def test_a_missing_pipeline_is_explained_with_what_the_service_said():
    captured = exchange("pipeline_get_missing", "GET", "/ws-demo/Pipelines/")
    call = calls.get_pipeline("00000000-dead-beef-0000-000000000000")
    with Recorder() as recorder, pytest.raises(NotFound) as caught:
        carry_out(DRIVERS["sync"], recorder, captured, call)
    assert [seen.asked for seen in recorder.seen] == [asked(captured["request"])]
    assert (caught.value.status, caught.value.code) == (404, "UserError")
    assert caught.value.message == "not found '00000000-dead-beef-0000-000000000000'"
    assert "operation=67748abf459447fa8fe7870431aaf576" in caught.value.request_ids


def test_an_endpoint_is_read():
    call = calls.get_endpoint_by_name("score-endpoint")
    endpoint = read("endpoint_get_by_name", "GET", "/PipelineEndpoints/", call)
    assert (endpoint.id, endpoint.default_version, endpoint.versions) == (ENDPOINT, "0", {"0": PIPELINE})
    assert endpoint.is_active


@pytest.mark.parametrize(
    ("capture", "part", "call", "run_id"),
    [
        ("pipeline_submit_params", "/PipelineSubmit/", SAME[6][3], "b545a3be-7ff6-47d1-8225-b90b35de2c83"),
        ("endpoint_submit_default", "/PipelineEndpointSubmit/", SAME[7][3], "bb754b68-5205-4b10-94d5-9a9a44b62574"),
    ],
)
def test_a_submitted_run_is_read(capture, part, call, run_id):
    run = read(capture, "POST", part, call)
    assert (run.id, run.state, run.experiment_name) == (run_id, RunState.NOT_STARTED, "MyExperiment")
    assert run.pipeline_id == PIPELINE


def test_a_run_is_read():
    run = read("run_status", "GET", "/PipelineRuns/", calls.get_run(RUN))
    assert (run.id, run.state, run.status, run.detail) == (RUN, RunState.RUNNING, "Running", "")
    assert run.created is not None
    assert run.created.isoformat() == "2026-11-22T11:18:28.493687+00:00"


def test_steps_are_read():
    page = read("run_steps", "GET", "/children", calls.list_steps("MyExperiment", RUN))
    step = page.runs[0]
    assert (step.id, step.name, step.status, step.node_id) == (STEP, "step one", "Completed", "d0d0d0d0")
    assert page.next_token is None


def test_logs_are_read():
    details = read("run_details_with_logs", "GET", "/details", calls.get_run_details("MyExperiment", STEP))
    assert list(details.log_files) == ["azureml-logs/70_driver_log.txt"]
    assert details.error == ""
    assert "log of stdout" in read(
        "step_stdout_log", "POST", "/Shareable/", calls.get_step_output(RUN, "d0d0d0d0", "STDOUT")
    )


def test_runs_found_in_the_history_are_read():
    page = read("experiment_runs_filtered", "POST", "runs:query", calls.query_runs("MyExperiment", FILTER))
    assert page.runs[0].id == RUN
    assert page.runs[0].tags["k"] == "v"
    assert len(page.runs) == 9


def test_tags_that_were_set_are_read():
    run = read("run_tags_set", "PATCH", "/runs/", calls.tag_run("MyExperiment", RUN, {"k": "v"}))
    assert run.tags["k"] == "v"


def test_datastores_are_read_and_their_keys_are_not_shown():
    store = read("datastore_get", "GET", "/datastores/", calls.get_datastore("workspaceblobstore"))
    assert (store.kind, store.account, store.container) == ("AzureBlob", "demostorage", "azureml-blobstore-0001")
    assert (store.credential_type, store.account_key) == ("AccountKey", "ZmFrZWtleQ==")
    assert "ZmFrZWtleQ" not in repr(store)
    page = read("datastore_list", "GET", "/datastores", calls.list_datastores())
    assert [item.name for item in page.datastores] == ["workspaceblobstore", "workspacefilestore"]
    assert "ZmFrZWtleQ" not in repr(page)
