"""The emulator's replies have the shape that Microsoft's SDK accepted, and it accepts the SDK's requests."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from aml_provider.emulator.server import EmulatorServer

CAPTURES = Path(__file__).parents[2] / "captures"
PIPELINE = "aaaaaaaa-0000-0000-0000-000000000001"
ENDPOINT = "eeeeeeee-0000-0000-0000-000000000001"
SCOPE = (
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-demo"
    "/providers/Microsoft.MachineLearningServices/workspaces/ws-demo"
)
PIPELINES, HISTORY = f"/pipelines/v1.0{SCOPE}", f"/history/v1.0{SCOPE}"
ARTIFACTS, DATASTORES = f"/artifact/v2.0{SCOPE}", f"/datastore/v1.0{SCOPE}"
SEED = {
    "datastores": [
        {"name": "workspaceblobstore", "account_name": "a", "account_key": "ZmFrZWtleQ==", "container": "c"},
        {"name": "workspacefilestore", "type": "AzureFile", "account_name": "a", "container": "c"},
    ],
    "pipelines": [
        {
            "name": "train-nightly",
            "id": PIPELINE,
            "parameters": [{"name": name, "optional": True} for name in ("s", "i", "f", "b")],
            "data_paths": [{"name": "input_data", "optional": True}],
            "steps": [{"name": "step one"}],
        }
    ],
    "endpoints": [{"name": "score-endpoint", "id": ENDPOINT, "versions": {"0": PIPELINE}}],
}
# Their keys are user data.
BAGS = {"tags", "properties", "Properties", "ParameterAssignments", "DataSetDefinitionValueAssignments", "logFiles"}


def exchanges(capture):
    return json.loads((CAPTURES / f"{capture}.json").read_text())["exchanges"]


def captured(capture, method, part):
    """The reply to the first matching request of a capture."""
    for item in exchanges(capture):
        if item["request"]["method"] == method and part in item["request"]["path"]:
            return item["response"]["json"]
    raise LookupError(part)


def shape(value, other):
    """The keys of a reply, as deep as both values are objects."""
    if isinstance(value, dict) and isinstance(other, dict):
        return {key: None if key in BAGS else shape(item, other.get(key)) for key, item in value.items()}
    if isinstance(value, list) and isinstance(other, list) and value and other:
        return [shape(value[0], other[0])]
    return type(value).__name__ if value is not None and other is not None else None


def send(api, request, path=None, changes=(), **options):
    """Send the SDK's request again, byte for byte and with its Content-Type."""
    body = {**request["json"], **dict(changes)} if changes else request["json"]
    headers = {"Content-Type": request["headers"]["Content-Type"]}
    return api.request(request["method"], path or request["path"], content=json.dumps(body), headers=headers, **options)


def assert_same_shape(ours, theirs):
    assert shape(ours, theirs) == shape(theirs, ours)


@pytest.fixture(scope="module")
def api():
    with (
        EmulatorServer(SEED) as emulator,
        httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer t"}) as client,
    ):
        emulator.clock.hold()
        run = client.post(
            f"{PIPELINES}/PipelineRuns/PipelineSubmit/{PIPELINE}", json={"ExperimentName": "MyExperiment"}
        )
        emulator.clock.advance(60)
        client.run_id = run.json()["Id"]
        client.step_id = client.get(f"{HISTORY}/runs/{client.run_id}/children").json()["value"][0]["runId"]
        yield client


@pytest.mark.parametrize(
    ("capture", "part", "path"),
    [
        ("workspace_get", "/workspaces/ws-demo", SCOPE),
        ("pipeline_get", "/DataTypes", f"{PIPELINES}/DataTypes"),
        ("pipeline_get", "/Pipelines/", f"{PIPELINES}/Pipelines/{PIPELINE}"),
        ("pipeline_list_active", "/Pipelines", f"{PIPELINES}/Pipelines?activeOnly=true"),
        ("endpoint_get_by_name", "/PipelineEndpoints/Name", f"{PIPELINES}/PipelineEndpoints/Name?Name=score-endpoint"),
        ("endpoint_list_active", "/PipelineEndpoints", f"{PIPELINES}/PipelineEndpoints?activeOnly=true"),
        ("run_get", "/PipelineRuns/", f"{PIPELINES}/PipelineRuns/{{run}}"),
        ("run_get", "/experiments/", f"{HISTORY}/experiments/MyExperiment"),
        ("run_get", "/runs/", f"{HISTORY}/experiments/MyExperiment/runs/{{run}}"),
        ("run_steps", "/children", f"{HISTORY}/experiments/MyExperiment/runs/{{run}}/children"),
        ("run_details_with_logs", "/details", f"{HISTORY}/experiments/MyExperiment/runs/{{step}}/details"),
        (
            "run_details_with_logs",
            "/user_logs",
            f"{ARTIFACTS}/artifacts/prefix/contentinfo/ExperimentRun/dcid.{{step}}/user_logs",
        ),
        (
            "run_details_with_logs",
            "/system_logs",
            f"{ARTIFACTS}/artifacts/prefix/contentinfo/ExperimentRun/dcid.{{step}}/system_logs",
        ),
        ("datastore_get", "/datastores/", f"{DATASTORES}/datastores/workspaceblobstore"),
        ("datastore_list", "/datastores", f"{DATASTORES}/datastores?count=100&includeSecret=true"),
    ],
)
def test_captured_gets(api, capture, part, path):
    reply = api.get(path.format(run=api.run_id, step=api.step_id))
    assert reply.status_code == 200
    assert_same_shape(reply.json(), captured(capture, "GET", part))


@pytest.mark.parametrize(
    ("capture", "part"),
    [
        ("pipeline_submit_plain", "/PipelineSubmit/"),
        ("pipeline_submit_params", "/PipelineSubmit/"),
        ("endpoint_submit_default", "/PipelineEndpointSubmit/"),
        ("experiment_list", "/experiments:query"),
        ("experiment_runs_filtered", "/runs:query"),
    ],
)
def test_captured_posts(api, capture, part):
    sent = next(item for item in exchanges(capture) if part in item["request"]["path"])
    request = sent["request"]
    reply = send(api, request, params=request["query"])
    assert reply.status_code == 200
    assert_same_shape(reply.json(), sent["response"]["json"])


SCHEDULES = (
    "schedule_create_datastore_default",
    "schedule_create_datastore_full",
    "schedule_create_day_hours_minutes",
    "schedule_create_minute15",
    "schedule_create_start_time_tz",
)


@pytest.mark.parametrize("capture", SCHEDULES)
def test_a_schedule_as_the_sdk_creates_it(api, capture):
    sent = next(item for item in exchanges(capture) if item["request"]["method"] == "POST")
    reply = send(api, sent["request"])
    assert reply.status_code == 200, reply.text
    theirs = sent["response"]["json"]
    assert_same_shape(reply.json(), theirs)
    changing = {"Id", "Etag", "CreatedDate", "LastModifiedDate", "ProvisioningStatus", "PipelineSubmissionInfo"}
    ours = reply.json()
    assert {key: ours[key] for key in ours.keys() - changing} == {key: theirs[key] for key in theirs.keys() - changing}
    kept = {**ours["PipelineSubmissionInfo"], "ScheduleId": theirs["Id"]}
    assert kept == theirs["PipelineSubmissionInfo"]
    assert_same_shape(api.get(f"{PIPELINES}/Schedules/{ours['Id']}").json(), theirs)


def test_a_schedule_as_the_sdk_lists_and_disables_it(api):
    sent = exchanges("schedule_create_minute15")[-1]["request"]
    entity = send(api, sent).json()
    assert_same_shape(
        [item for item in api.get(f"{PIPELINES}/Schedules?activeOnly=true").json() if item["Id"] == entity["Id"]],
        captured("schedule_list_active", "GET", "/Schedules"),
    )
    put = next(item for item in exchanges("schedule_disable") if item["request"]["method"] == "PUT")
    reply = send(api, put["request"], f"{PIPELINES}/Schedules/{entity['Id']}", {"Id": entity["Id"]})
    assert reply.status_code == 200, reply.text
    assert_same_shape(reply.json(), put["response"]["json"])
    assert reply.json()["EntityStatus"] == "Disabled"


def test_the_runs_of_a_schedule(api):
    sent = exchanges("schedule_create_minute15")[-1]["request"]
    entity = send(api, sent).json()
    runs = f"{PIPELINES}/PipelineRuns/Schedule/{entity['Id']}"
    assert_same_shape(api.get(runs).json(), captured("schedule_pipeline_runs", "GET", "/Schedule/"))
    assert_same_shape(api.get(f"{runs}/Last").json(), captured("schedule_last_run", "GET", "/Last"))


def test_discovery_lists_all_services(api):
    reply = httpx.get(api.base_url.join("/discovery"))
    assert set(reply.json()) >= set(captured("discovery_endpoints", "GET", "/discovery")) - {
        "catalog",
        "gallery",
        "labeling",
    }
    assert set(reply.json().values()) == {str(api.base_url).rstrip("/")}


def test_status_of_a_pipeline_as_the_sdk_sets_it(api):
    for schedule in api.get(f"{PIPELINES}/Schedules").json():
        api.put(f"{PIPELINES}/Schedules/{schedule['Id']}", json={**schedule, "EntityStatus": "Disabled"})
    for capture, status in (("pipeline_disable", "Disabled"), ("pipeline_enable", "Active")):
        request = next(item["request"] for item in exchanges(capture) if item["request"]["method"] == "PUT")
        reply = send(api, request)
        assert reply.status_code == 200
        assert api.get(f"{PIPELINES}/Pipelines/{PIPELINE}").json()["EntityStatus"] == status


def test_tags_as_the_sdk_sets_them(api):
    request = exchanges("run_tags_set")[0]["request"]
    path = f"{HISTORY}/experiments/MyExperiment/runs/{api.run_id}"
    reply = send(api, request, path, {"runId": api.run_id})
    assert_same_shape(reply.json(), captured("run_tags_set", "PATCH", "/runs/"))
    assert reply.json()["tags"]["k"] == "v"


def test_the_sdk_can_read_an_error_of_history(api):
    theirs = captured("pipeline_get_missing", "GET", "/Pipelines/")
    reply = api.get(f"{HISTORY}/runs/missing")
    assert reply.status_code == 404
    assert_same_shape(reply.json(), theirs)
    assert reply.json()["error"]["details"] == []


def test_the_pipelines_service_has_an_envelope_of_its_own(api):
    reply = api.get(f"{PIPELINES}/Pipelines/missing")
    assert reply.status_code == 404
    assert reply.json()["Error"]["Code"] == "UserError"
    assert reply.json()["Error"]["Message"] == "Pipeline missing was not found."
