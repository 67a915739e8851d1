"""What our client sends is what Microsoft's SDK sends, and what the SDK accepted as a reply, our parsers read."""

from __future__ import annotations

import contextlib
import json

import pytest
from support.drivers.driving import DRIVERS, one, workspace
from support.samples.captures import Captures, carry_out, literal
from support.services.recorder import Recorder

from aml_provider.client import calls
from aml_provider.client.calls.filters import PIPELINE_RUNS, TOP_LEVEL, all_of, tag_equals
from aml_provider.client.entities import RunState, Schedule
from aml_provider.client.errors import NotFound
from aml_provider.client.models import DataPath, Recurrence
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.schedule import ScheduleRequest, with_status
from aml_provider.client.specs.target import Target

SCOPED = r"^(/(pipelines|history|datastore)/v1\.0|/artifact/v2\.0)?/subscriptions/.*/workspaces/ws-demo"
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


def exchange(capture, method, part):
    """The one exchange of a capture that our call stands for."""
    found = [
        item for item in CAPTURES.of(capture) if item["request"]["method"] == method and part in item["request"]["path"]
    ]
    assert found, f"{capture} has no {method} {part}"
    return found[0]


def asked(request):
    return request["method"], request["path"], request["query"], request["json"]


def without_marks(seen):
    """A request as it would be without what we add for Airflow."""
    method, path, query, body = seen.asked
    if isinstance(body, dict):
        if seen.method == "POST" and "PipelineSubmissionInfo" in body:
            submission = body["PipelineSubmissionInfo"]
            assert submission["Properties"] == MARKS
            submission["Properties"] = {}
        for bag in ("tags", "Properties"):
            if bag in body:
                body[bag] = {key: value for key, value in body[bag].items() if not key.startswith("airflow.")}
        if body.get("tags") == {}:
            del body["tags"]
    return method, path, query, body


# The arguments of each call are found in what the SDK sent, so that what comes out has gone through what an author
# would write.
ROUTES = {
    "GET ": calls.get_workspace,
    "GET /Pipelines": lambda query: calls.list_pipelines(active_only=query["activeOnly"] == "true"),
    "GET /Pipelines/{}": calls.get_pipeline,
    "PUT /Pipelines/{}/status": lambda pipeline_id, body: calls.set_pipeline_status(pipeline_id, status=body),
    "GET /PipelineEndpoints": lambda query: calls.list_endpoints(active_only=query["activeOnly"] == "true"),
    "GET /PipelineEndpoints/Name": lambda query: calls.get_endpoint_by_name(query["Name"]),
    "POST /PipelineRuns/PipelineSubmit/{}": lambda pipeline_id, body: calls.submit_pipeline(
        pipeline_id, run_request(body).to_wire(own_tags=MARKS, notification=True)
    ),
    "POST /PipelineRuns/PipelineEndpointSubmit/Id/{}": lambda endpoint_id, body: calls.submit_endpoint(
        endpoint_id, run_request(body).to_wire(own_tags=MARKS, notification=False)
    ),
    "GET /PipelineRuns/{}": calls.get_run,
    "DELETE /PipelineRuns/{}/Execution": calls.cancel_run,
    "POST /PipelineRuns/{}/Graph/Shareable/{}": lambda run_id, stream, body: calls.get_step_log(run_id, *body, stream),
    "GET /PipelineRuns/Schedule/{}": calls.list_runs_of_schedule,
    "GET /PipelineRuns/Schedule/{}/Last": calls.get_last_run_of_schedule,
    "GET /Schedules": lambda query: calls.list_schedules(active_only=query["activeOnly"] == "true"),
    "GET /Schedules/{}": calls.get_schedule,
    "POST /Schedules/Create": lambda body: calls.create_schedule(schedule_body(body)),
    "PUT /Schedules/{}": lambda schedule_id, body, before: calls.update_schedule(
        schedule_id, with_status(Schedule.from_wire(before), body["EntityStatus"])
    ),
    "GET /experiments/{}": calls.get_experiment,
    "POST /experiments:query": lambda body: calls.query_experiments(view=body["viewType"]),
    "GET /experiments/{}/runs/{}": calls.get_history_run,
    "GET /experimentids/{}/runs/{}": calls.get_history_run_by_experiment_id,
    "PATCH /experiments/{}/runs/{}": lambda name, run_id, body: calls.tag_run(name, run_id, body["tags"]),
    "POST /experiments/{}/runs:query": lambda name, body: calls.query_runs(
        name, body["filter"], order_by=body["orderby"]
    ),
    "GET /experiments/{}/runs/{}/children": calls.list_steps,
    "GET /experiments/{}/runs/{}/details": calls.get_run_details,
    "GET /artifacts/prefix/contentinfo/ExperimentRun/{}/{}": calls.list_artifact_links,
    "GET /datastores": calls.list_datastores,
    "GET /datastores/{}": calls.get_datastore,
}
NOT_OURS = {
    "GET /DataTypes": "what a new object of the SDK asks first; nothing that we do needs it",
    "POST /DataTypes": "what it does when an answer to that lacks a type",
    "GET /discovery": "belongs to Azure's own hosts; test_discovery_is_asked_like_the_sdk_does_without_a_token",
    "GET /logs/": "a link with its own signature, not a call; test_log_files_are_fetched_without_a_token",
}
NO_EXCHANGES = {"schedule_matrix": "recorded in another form; tests/unit/client/specs/test_schedule_matrix.py"}
CAPTURES = Captures("captures", ROUTES, NOT_OURS, SCOPED, NO_EXCHANGES)


def run_request(body):
    """What an author would write for a submission."""
    description = body.get("Description")
    return RunRequest.of(
        experiment_name=body["ExperimentName"],
        # As Python values where the SDK was given such: what is sent is text all the same.
        parameters={name: literal(text) for name, text in body["ParameterAssignments"].items()},
        data_paths={
            name: DataPath(item["DataStoreName"], item.get("RelativePath", ""))
            for name, item in body["DataPathAssignments"].items()
        },
        description=None if description == body["ExperimentName"] else description,
        continue_on_step_failure=body.get("ContinueRunOnStepFailure"),
    )


def schedule_body(body):
    """What we send for a schedule whose author wanted this."""
    recurrence, trigger = body.get("Recurrence"), body.get("DataStoreTriggerInfo") or {}
    lists = (recurrence or {}).get("Schedule") or {}
    wanted = ScheduleRequest.of(
        name=body["Name"],
        request=run_request(body["PipelineSubmissionInfo"]),
        recurrence=recurrence
        and Recurrence(
            recurrence["Frequency"],
            recurrence["Interval"],
            recurrence.get("StartTime"),
            recurrence.get("TimeZone"),
            lists.get("Hours"),
            lists.get("Minutes"),
            lists.get("WeekDays"),
        ),
        datastore=trigger.get("DataStoreName"),
        path_on_datastore=trigger.get("PathOnDataStore"),
        polling_interval=trigger.get("PollingInterval", 5),
        data_path_parameter_name=trigger.get("DataPathParameterName"),
    )
    return wanted.to_wire(Target("pipeline", body["PipelineId"]), MARKS)


@pytest.mark.parametrize(("item", "before"), CAPTURES.exchanges())
def test_what_we_send_is_what_the_sdk_sends(drive, item, before):
    captured = item["request"]
    call = CAPTURES.call_for(captured, before)
    with Recorder() as recorder, contextlib.suppress(NotFound):
        carry_out(drive, recorder, item, call)
    assert [without_marks(seen) for seen in recorder.seen] == [asked(captured)]
    assert recorder.seen[0].headers.get("batchsize") == captured["headers"].get("BatchSize")


def test_every_route_and_every_reason_is_needed():
    CAPTURES.check_tables()


def test_discovery_is_asked_like_the_sdk_does_without_a_token():
    """By hand: discovery belongs to Azure's own hosts, over https, which a test does not reach."""
    from support.drivers.driving import play, reply, requests, session

    workspace_record = exchange("workspace_get", "GET", "")["response"]["json"]
    workspace_record["properties"]["discoveryUrl"] = "https://koreacentral.api.azureml.ms/discovery"
    discovered = exchange("discovery_endpoints", "GET", "/discovery")
    services = {**discovered["response"]["json"], "api": "https://koreacentral.api.azureml.ms"}
    flow = one(calls.list_pipelines())
    result, steps = play(
        session(workspace(region=None)).run(flow),
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
        (
            "pipeline_submit_params",
            "/PipelineSubmit/",
            calls.submit_pipeline(PIPELINE, {}),
            "b545a3be-7ff6-47d1-8225-b90b35de2c83",
        ),
        (
            "endpoint_submit_default",
            "/PipelineEndpointSubmit/",
            calls.submit_endpoint(ENDPOINT, {}),
            "bb754b68-5205-4b10-94d5-9a9a44b62574",
        ),
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
    step = read("run_steps", "GET", "/children", calls.list_steps("MyExperiment", RUN))[0]
    assert (step.id, step.name, step.status, step.node_id) == (STEP, "step one", "Completed", "d0d0d0d0")


def test_logs_are_read():
    details = read("run_details_with_logs", "GET", "/details", calls.get_run_details("MyExperiment", STEP))
    assert list(details.log_files) == ["azureml-logs/70_driver_log.txt"]
    assert details.error == ""
    assert "log of stdout" in read(
        "step_stdout_log", "POST", "/Shareable/", calls.get_step_log(RUN, "d0d0d0d0", "STDOUT")
    )


def test_runs_found_in_the_history_are_read():
    runs = read("experiment_runs_filtered", "POST", "runs:query", calls.query_runs("MyExperiment", FILTER))
    assert runs[0].id == RUN
    assert runs[0].tags["k"] == "v"
    assert len(runs) == 9


def test_a_filter_of_ours_is_one_of_the_sdk():
    terms = [PIPELINE_RUNS, tag_equals("k", "v"), '(Properties/trigger eq "x1")', TOP_LEVEL]
    assert all_of(terms) == FILTER
    sent = exchange("experiment_runs_filtered", "POST", "runs:query")["request"]["json"]
    assert sent["filter"] == FILTER


def test_experiments_are_read():
    found = read("experiment_list", "POST", "experiments:query", calls.query_experiments())
    assert [(item.name, item.is_archived) for item in found] == [("MyExperiment", False), ("drv-new-exp", False)]
    assert found[0].id == "2dec8b1b-8997-5e72-ac85-f1071bad2d45"
    assert found[0].created is not None


def test_endpoints_are_read():
    (found,) = read("endpoint_list_active", "GET", "/PipelineEndpoints", calls.list_endpoints())
    assert (found.id, found.name, found.description) == (ENDPOINT, "score-endpoint", "endpoint")


def test_links_to_logs_are_read_and_not_shown():
    call = calls.list_artifact_links(f"dcid.{STEP}", "user_logs")
    (found,) = read("run_details_with_logs", "GET", "/user_logs", call)
    assert (found.path, found.container) == ("user_logs/std_log.txt", f"dcid.{STEP}")
    assert "sig=fake" in found.url
    assert "sig=fake" not in repr(found)


def test_tags_that_were_set_are_read():
    run = read("run_tags_set", "PATCH", "/runs/", calls.tag_run("MyExperiment", RUN, {"k": "v"}))
    assert run.tags["k"] == "v"


def test_datastores_are_read_and_their_keys_are_not_shown():
    store = read("datastore_get", "GET", "/datastores/", calls.get_datastore("workspaceblobstore"))
    assert (store.kind, store.account, store.container) == ("AzureBlob", "demostorage", "azureml-blobstore-0001")
    assert (store.credential_type, store.account_key) == ("AccountKey", "ZmFrZWtleQ==")
    assert "ZmFrZWtleQ" not in repr(store)
    stores = read("datastore_list", "GET", "/datastores", calls.list_datastores())
    assert [item.name for item in stores] == ["workspaceblobstore", "workspacefilestore"]
    assert "ZmFrZWtleQ" not in repr(stores)
