"""The emulator accepts what Microsoft's v2 SDK sends, and its replies have all that the SDK's own replies had.

The captured replies come from a stub that answered what the SDK's models want, so a reply may have more than they do.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from support.services.workspace_api import serving

CAPTURES = Path(__file__).parents[2] / "captures-v2"
SCOPE = (
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-demo"
    "/providers/Microsoft.MachineLearningServices/workspaces/ws-demo"
)
HISTORY = f"/history/v1.0{SCOPE}"
INPUTS = [
    {"name": "input_path", "type": "uri_folder"},
    {"name": "config", "type": "uri_file", "optional": True},
    {"name": "mode", "default": "append"},
    {"name": "threshold", "type": "number", "default": "0.5"},
    {"name": "rows", "type": "integer", "optional": True, "default": "10", "min": "1", "max": "100"},
    {"name": "dry_run", "type": "boolean", "optional": True},
]
SEED = {
    "datastores": [
        {"name": "workspaceblobstore", "account_name": "demostorage", "account_key": "ZmFrZWtleQ==", "container": "c"},
        {"name": "workspacefilestore", "type": "AzureFile", "account_name": "a", "account_key": "a", "container": "c"},
    ],
    "components": [
        *(
            {
                "name": "score_pipeline",
                "version": version,
                "display_name": "Score files",
                "description": "Scores files",
                "inputs": INPUTS,
                "outputs": {"scores": "uri_folder"},
                "steps": [{"name": "score"}],
            }
            for version in ("1", "2")
        ),
        {"name": "score_step", "type": "command"},
    ],
    "batch_endpoints": [
        {
            "name": "score-files",
            "default_deployment": "blue",
            "deployments": [
                {
                    "name": name,
                    "component": "score_pipeline:1",
                    "settings": {"continue_on_step_failure": "False", "default_compute": "cpu-cluster"},
                }
                for name in ("blue", "green")
            ],
        },
        {"name": "train-all"},
    ],
}
# Their keys are user data.
BAGS = {"tags", "inputs", "outputs", "jobs", "logFiles", "settings"}
# What the SDK reads of run history and of the workspace; tests/captures has the whole of these replies.
READ = {
    "runId",
    "status",
    "displayName",
    "createdUtc",
    "startTimeUtc",
    "endTimeUtc",
    "error",
    "properties",
    "logFiles",
    "value",
    "name",
    "location",
    "workspaceId",
    "discoveryUrl",
    "storageAccount",
}


def _query(link):
    return parse_qsl(urlsplit(link).query)


def exchanges(capture):
    return json.loads((CAPTURES / f"{capture}.json").read_text())["exchanges"]


def send(api, exchange):
    """Send the SDK's request again, byte for byte and with its headers."""
    request = exchange["request"]
    headers = {name: value for name, value in request["headers"].items() if name != "Authorization"}
    content = json.dumps(request["json"]) if request["json"] is not None else None
    params = [tuple(pair) for pair in request["query"]]
    return api.request(request["method"], request["path"], params=params, headers=headers, content=content)


def lacks(ours, theirs, path=""):
    """The keys, with their paths, that a captured reply has and ours has not, or has with another type."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        found = [f"{path}.{key}" for key in theirs.keys() - ours.keys()]
        # The properties of a thing are an object of their own; those among them are user data.
        bags = BAGS | ({"properties"} if path.endswith(".properties") else set())
        for key in theirs.keys() & ours.keys() - bags:
            found += lacks(ours[key], theirs[key], f"{path}.{key}")
        return found
    if isinstance(theirs, list) and isinstance(ours, list) and theirs and ours:
        return lacks(ours[0], theirs[0], f"{path}[]")
    same = ours is None or theirs is None or type(ours) is type(theirs)
    return [] if same else [f"{path} is {type(ours).__name__}"]


def assert_accepted(api, exchange, read=None):
    """Send a captured request; the status and the shape of the reply are those that the SDK accepted.

    ``read`` are the keys that matter; None: all.
    """
    reply, theirs = send(api, exchange), exchange["response"]
    assert reply.status_code == theirs["status"], reply.text
    if theirs["json"] is not None:
        missing = lacks(reply.json(), theirs["json"])
        assert [path for path in missing if read is None or path.rpartition(".")[2] in read] == []
    return reply


@pytest.fixture
def api():
    with serving(SEED) as running:
        for capture in ("job_create_again_same", "job_create_from_component_call"):
            put = next(item for item in exchanges(capture) if item["request"]["method"] == "PUT")
            assert send(running, put).status_code == 201
        yield running


@pytest.mark.parametrize(
    "capture",
    [
        "batch_deployment_get",
        "batch_deployment_list",
        "batch_endpoint_get",
        "component_get",
        "component_get_latest",
        "component_get_missing",
        "component_list",
        "component_list_versions",
        "datastore_get",
        "datastore_list",
        "datastore_list_secrets",
        "job_create_again_other_body",
        "job_create_again_same",
        "job_get",
        "job_get_missing",
        "job_list_by_property",
    ],
)
def test_the_first_request_of_a_capture(api, capture):
    assert_accepted(api, exchanges(capture)[0])


def test_the_workspace(api):
    assert_accepted(api, exchanges("workspace_get")[0], READ)


def test_the_sdk_finds_the_workspace_through_the_clouds(api):
    # The SDK takes the cloud whose resource manager is part of the address that it has read; it sends no token.
    address = f"{api.emulator.url}/metadata/endpoints"
    (cloud,) = api.get(address, headers={"Authorization": ""}).json()
    assert cloud["resourceManager"] in address
    assert (cloud["authentication"].keys() >= {"loginEndpoint"}, cloud["suffixes"].keys()) == (True, {"storage"})
    # From this the SDK derives the audience of its tokens.
    assert ".".join(cloud["portal"].split(".")[2:]) == "com"


def test_a_list_in_pages_as_the_sdk_follows_them():
    with serving(SEED, quirks=["page_size=1"]) as api:
        put = next(item for item in exchanges("job_create_again_same"))
        page = assert_accepted(api, exchanges("batch_endpoint_list")[0]).json()
        assert [item["name"] for item in api.get(page["nextLink"]).json()["value"]] == ["train-all"]
        for name in ("first", "second"):
            put["request"]["path"] = f"{SCOPE}/jobs/{name}"
            send(api, put)
        page = assert_accepted(api, exchanges("job_list")[0]).json()
        # The SDK follows the link as it is, with its own api-version put in.
        rest = api.get(page["nextLink"], params={"api-version": "x"} | dict(_query(page["nextLink"]))).json()
        assert [page["value"][0]["name"], rest["value"][0]["name"]] == ["second", "first"]
        assert "nextLink" not in rest


def test_jobs_as_the_sdk_creates_and_cancels_them():
    with serving(SEED, quirks=["slow_cancel=5s"]) as api:
        create, cancel, *_, get = exchanges("job_cancel")
        assert_accepted(api, create)
        reply = assert_accepted(api, cancel)
        assert api.get(reply.headers["Location"]).status_code == 202
        api.emulator.clock.advance(60)
        assert api.get(reply.headers["Location"]).status_code == 204
        assert_accepted(api, get)


def test_a_job_made_of_a_component_in_python(api):
    get, put = exchanges("job_create_from_component_call")
    assert_accepted(api, get)
    reply = send(api, put)
    assert (reply.status_code, lacks(reply.json(), put["response"]["json"])) == (200, [])
    # Not the steps that the SDK has copied from the component: it could not send its own job again.
    assert (put["request"]["json"]["properties"]["jobs"].keys(), reply.json()["properties"]["jobs"]) == ({"score"}, {})


def test_the_second_put_with_another_body_is_refused_as_the_sdk_saw_it(api):
    (exchange,) = exchanges("job_create_again_other_body")
    ours, theirs = send(api, exchange).json(), exchange["response"]["json"]

    def inner(reply):
        return next(item["info"] for item in reply["error"]["additionalInfo"] if item["type"] == "InnerError")

    assert inner(ours) == inner(theirs)
    assert ours["error"]["code"] == theirs["error"]["code"]


def test_steps_as_the_sdk_lists_and_reads_them(api):
    api.emulator.clock.advance(60)
    get, children = exchanges("job_list_children")[0], exchanges("job_list_children")[-1]
    assert_accepted(api, get)
    reply = assert_accepted(api, children, READ)
    step = reply.json()["value"][0]["runId"]
    first, *_, last = exchanges("job_get_child")
    for exchange in (first, last):
        name = exchange["request"]["path"].rpartition("/")[2]
        exchange["request"]["path"] = exchange["request"]["path"].replace(name, step)
        assert_accepted(api, exchange, READ)


def test_logs_as_the_sdk_streams_them(api):
    api.emulator.clock.advance(60)
    get, details, *_ = exchanges("job_stream")
    assert_accepted(api, get)
    reply = assert_accepted(api, details, READ)
    # The SDK prints exactly this file of a pipeline, and reads it without a token.
    link = reply.json()["logFiles"]["logs/azureml/executionlogs.txt"]
    assert "completed" in api.get(link, headers={"Authorization": ""}).text or reply.json()["status"] == "Completed"


@pytest.mark.parametrize("capture", ["schedule_create_cron", "schedule_create_recurrence"])
def test_schedules_as_the_sdk_creates_them(capture):
    with serving(SEED, quirks=["provisioning=5s"]) as api:
        put, *_, get = exchanges(capture)
        reply = send(api, put)
        assert reply.status_code == 201, reply.text
        status = reply.headers["Azure-AsyncOperation"]
        assert api.get(status).json() == {"status": "InProgress"}
        api.emulator.clock.advance(5)
        assert api.get(status).json()["status"] == "Succeeded"
        ours, theirs = assert_accepted(api, get).json(), get["response"]["json"]
        assert ours["properties"] == theirs["properties"]


def test_schedules_as_the_sdk_lists_disables_and_deletes_them(api):
    created = exchanges("schedule_create_cron")[0]
    assert send(api, created).status_code == 201
    assert_accepted(api, exchanges("schedule_delete_enabled")[0])
    for capture in ("schedule_get", "schedule_list"):
        exchange = exchanges(capture)[0]
        reply = send(api, exchange)
        missing = lacks(reply.json(), exchange["response"]["json"])
        assert [path for path in missing if not path.endswith((".nextLink", ".description"))] == []
    get, put, *_ = exchanges("schedule_disable")
    assert_accepted(api, put)
    assert api.get(get["request"]["path"]).json()["properties"]["isEnabled"] is False
    delete = next(item for item in exchanges("schedule_delete") if item["request"]["method"] == "DELETE")
    # Without the quirk slow_delete it is finished immediately, which the SDK accepts too (azureml-v2-rest 2.6).
    assert send(api, delete).status_code == 200
    assert api.get(get["request"]["path"]).status_code == 404
