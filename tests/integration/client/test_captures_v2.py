"""What our client sends to Azure Resource Manager is what Microsoft's SDK sends, and we read what the SDK accepted."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from support.drivers.driving import DRIVERS, SCOPE, one, workspace
from support.samples.captures import Captures, carry_out, literal
from support.services.recorder import Answer, Recorder

from aml_provider.client import calls
from aml_provider.client.entities import Datastore, RunState
from aml_provider.client.errors import BadRequest, MalformedReply, NotFound
from aml_provider.client.models import DataPath, Recurrence
from aml_provider.client.specs.job import job_to_wire
from aml_provider.client.specs.job_schedule import SCHEDULE, JobScheduleRequest, with_status
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import PipelineReference, Target

COMPONENT = Target(
    "component",
    f"{SCOPE}/components/score_pipeline/versions/1",
    "1",
    f"{SCOPE}/components/score_pipeline/versions/1",
    name="score_pipeline",
    data_inputs=(("input_path", "uri_folder"), ("config", "uri_file")),
)


def data_path(uri):
    store, path = re.fullmatch(r"azureml://datastores/([^/]+)/paths/(.*)", uri).groups()
    return DataPath(store, path)


def request_of(asked, **more):
    """The request whose author wanted the job with these properties."""
    inputs, settings = asked["inputs"], asked["settings"]
    return RunRequest.of(
        experiment_name=asked["experimentName"],
        parameters={name: literal(item["value"]) for name, item in inputs.items() if "value" in item},
        data_paths={name: data_path(item["uri"]) for name, item in inputs.items() if "uri" in item},
        continue_on_step_failure=settings.get("continue_on_step_failure"),
        compute=settings["default_compute"].rpartition("/")[2],
        **more,
    )


def job_body(wire):
    """What we send for a job whose author wanted this."""
    asked = wire["properties"]
    request = request_of(asked, description=asked.get("description"))
    return job_to_wire(request, COMPONENT, workspace=SCOPE, own_tags=asked["properties"])


def schedule_body(name, wire):
    """What we send for a schedule whose author wanted this; a change of its status sends what was read."""
    asked = wire["properties"]
    if "isEnabled" in asked:
        return wire
    trigger = asked["trigger"]
    when = {"cron": trigger.get("expression")}
    if "frequency" in trigger:
        pattern = trigger["schedule"]
        days = [day.title() for day in pattern["weekDays"]]
        frequency, interval = trigger["frequency"].title(), trigger["interval"]
        when = {
            "recurrence": Recurrence(
                frequency, interval, hours=pattern["hours"], minutes=pattern["minutes"], week_days=days
            )
        }
    wanted = JobScheduleRequest.of(
        name=name,
        reference=PipelineReference(component_name=COMPONENT.name),
        request=request_of(asked["action"]["jobDefinition"], description=asked.get("description"), tags=asked["tags"]),
        start_time=trigger["startTime"].replace(" ", "T"),
        end_time=trigger.get("endTime"),
        time_zone=trigger["timeZone"],
        **when,
    )
    return wanted.to_wire(COMPONENT, workspace=SCOPE, own=asked["properties"])


def schedule_as_ours(name, wire):
    """A schedule as the SDK sends it, without what we send in another way."""
    asked = json.loads(json.dumps(wire["properties"]))
    if "isEnabled" in asked:
        return wire
    own = {**asked["properties"], SCHEDULE: name}
    job = as_ours({"properties": asked["action"]["jobDefinition"]})["properties"]
    job.pop("description")
    # Its jobs have the schedule's own description and tags.
    job |= {"tags": {**asked["tags"], **own}, "properties": own}
    if "description" in asked:
        job["description"] = asked["description"]
    trigger = asked["trigger"]
    trigger["startTime"] = trigger["startTime"].replace(" ", "T")
    if "frequency" in trigger:
        trigger["frequency"] = trigger["frequency"].title()
        trigger["schedule"]["weekDays"] = [day.title() for day in trigger["schedule"]["weekDays"]]
    asked.pop("displayName", None)
    action = {"actionType": "CreateJob", "jobDefinition": job}
    return {"properties": {**asked, "properties": own, "isEnabled": True, "action": action, "trigger": trigger}}


def as_ours(wire):
    """A job as the SDK sends it, without what we send in another way."""
    asked = json.loads(json.dumps(wire["properties"]))
    # The SDK sends three forms; the API's description has this one.
    asked["componentId"] = COMPONENT.id
    asked["displayName"] = COMPONENT.name
    # The service has the component's steps; the SDK repeats them only for a component that was called in Python.
    asked["jobs"] = {}
    # Operators have no argument for outputs and modes.
    asked["outputs"] = {}
    for item in asked["inputs"].values():
        item.pop("mode", None)
    asked["settings"]["_source"] = "REMOTE.WORKSPACE.JOB"
    return {"properties": asked}


def properties_filter(query):
    return dict(item.split("=") for item in query["properties"].split(",")) if "properties" in query else None


ROUTES = {
    "PUT /jobs/{}": lambda job_id, body: calls.submit_job(job_id, job_body(body)),
    "GET /jobs": lambda query: calls.list_jobs(properties=properties_filter(query)),
    "GET /jobs/{}": calls.get_job,
    "POST /jobs/{}/cancel": calls.cancel_job,
    "GET /components": calls.list_components,
    "GET /components/{}/versions": lambda name, query: calls.list_component_versions(
        name, limit=int(query["$top"]) if "$top" in query else None
    ),
    "GET /components/{}/versions/{}": calls.get_component,
    "PUT /schedules/{}": lambda name, body: calls.put_job_schedule(name, schedule_body(name, body)),
    "GET /schedules": lambda query: calls.list_job_schedules(active_only=query["listViewType"] == "EnabledOnly"),
    "GET /schedules/{}": calls.get_job_schedule,
    "DELETE /schedules/{}": calls.delete_job_schedule,
    "GET /datastores": lambda query: calls.list_arm_datastores(only_default="isDefault" in query),
    "GET /datastores/{}": calls.get_arm_datastore,
    "POST /datastores/{}/listSecrets": lambda name: calls.list_datastore_secrets(Datastore.from_wire({"name": name})),
    "GET /batchEndpoints": calls.list_batch_endpoints,
    "GET /batchEndpoints/{}": calls.get_batch_endpoint,
    "GET /batchEndpoints/{}/deployments": calls.list_batch_deployments,
    "GET /batchEndpoints/{}/deployments/{}": calls.get_batch_deployment,
}
NOT_OURS = {
    "GET ": "the workspace and discovery are requested as for v1; test_captures.py",
    "GET /discovery": "as before",
    "GET /async/": "the end of an operation is read from the job or schedule itself",
    "GET /runs/": "the run history is requested as for v1; test_captures.py",
    "GET /logs/": "a link with its own signature, not a call",
}
CAPTURES = Captures("captures-v2", ROUTES, NOT_OURS, rf"(/history/v1\.0)?{SCOPE}")
# What our queries have besides the SDK's; and they have a stable version.
MORE = {
    "GET /jobs": {"jobType": "Pipeline"},
    "GET /components/{}/versions": {"listViewType": "ActiveOnly", "$orderBy": "createdtime desc"},
}


@pytest.mark.parametrize(("item", "before"), CAPTURES.exchanges())
def test_what_we_send_is_what_the_sdk_sends(drive, item, before):
    captured = item["request"]
    call = CAPTURES.call_for(captured, before)
    with Recorder() as recorder, contextlib.suppress(NotFound, BadRequest, MalformedReply):
        carry_out(drive, recorder, item, call)
    (seen,) = recorder.seen
    query = {**dict(captured["query"]), **MORE.get(CAPTURES.route_of(captured)[0], {}), "api-version": "2024-04-01"}
    body = None
    if captured["method"] == "PUT":
        is_job = "/jobs/" in captured["path"]
        name = captured["path"].rpartition("/")[2]
        body = as_ours(captured["json"]) if is_job else schedule_as_ours(name, captured["json"])
    assert (seen.method, seen.path, dict(seen.query), seen.json) == (captured["method"], captured["path"], query, body)


def test_every_route_and_every_reason_is_needed():
    CAPTURES.check_tables()


def read(capture, number, call):
    with Recorder() as recorder:
        return carry_out(DRIVERS["sync"], recorder, CAPTURES.of(capture)[number], call)


def test_a_job_is_read_as_a_run():
    run = read("job_get", 0, calls.get_job("airflow-abc-2"))
    assert (run.id, run.state, run.status, run.experiment_name) == (
        "airflow-abc-2",
        RunState.RUNNING,
        "Preparing",
        "scoring",
    )
    assert (run.pipeline_id, run.description) == ("score_pipeline:1", "from Airflow")
    assert run.parameters == {"mode": "append", "threshold": "0.5", "rows": "20", "dry_run": "True"}
    assert run.tags == {"airflow.key": "k-0001"}
    assert run.properties["airflow.key"] == "k-0001"
    assert run.created.isoformat() == "2026-11-29T01:02:03.456789+00:00"


def test_a_submitted_job_is_read_as_a_run():
    run = read("job_create_from_component_call", 1, calls.submit_job("airflow-abc-3", {}))
    assert (run.id, run.state) == ("airflow-abc-3", RunState.NOT_STARTED)


def test_a_refused_second_submission_says_why():
    with pytest.raises(BadRequest, match="its inputs cannot be changed"):
        read("job_create_again_other_body", 0, calls.submit_job("airflow-abc-2", {}))


def test_the_step_of_a_job_is_not_a_run():
    with pytest.raises(MalformedReply):
        read("job_get_child", 0, calls.get_job("airflow-abc-2-step1"))


def test_all_pages_of_a_list_are_read_with_the_token_of_each_link(drive):
    """The SDK follows the links; the token in them is all that we take."""
    pages = CAPTURES.of("job_list")
    with Recorder() as recorder:
        answers = [Answer(200, item["response"]["json"]) for item in pages]
        recorder.answer("GET", pages[0]["request"]["path"], *answers)
        runs = drive(workspace(region=None, endpoint=recorder.url), one(calls.list_jobs()))
    assert [run.id for run in runs] == [item["name"] for page in pages for item in page["response"]["json"]["value"]]
    assert [dict(seen.query).get("$skip") for seen in recorder.seen] == [
        dict(item["request"]["query"]).get("$skip") for item in pages
    ]


def test_components_are_read():
    first, second = read("component_list", 0, calls.list_components())
    assert (first.name, first.latest_version, first.is_archived) == ("score_pipeline", "2", False)
    assert second.name == "score_step"
    found = read("component_get", 0, calls.get_component("score_pipeline", "1"))
    assert (found.id, found.name, found.version) == (COMPONENT.id, "score_pipeline", "1")
    assert found.is_pipeline
    assert found.data_inputs == COMPONENT.data_inputs
    assert {item.name: (item.type, item.required, item.default) for item in found.inputs.values()} == {
        "input_path": ("uri_folder", True, None),
        "config": ("uri_file", False, None),
        "mode": ("string", False, "append"),
        "threshold": ("number", False, "0.5"),
        "rows": ("integer", False, "10"),
        "dry_run": ("boolean", False, None),
    }
    assert (found.inputs["rows"].minimum, found.inputs["rows"].maximum) == ("1", "100")


def test_batch_endpoints_and_their_deployments_are_read():
    found = read("batch_endpoint_get", 0, calls.get_batch_endpoint("score-files"))
    assert (found.name, found.default_deployment, found.status) == ("score-files", "blue", "Succeeded")
    blue, green = read("batch_deployment_list", 0, calls.list_batch_deployments("score-files"))
    assert (blue.name, blue.component_id) == ("blue", COMPONENT.id)
    assert blue.settings == {"continue_on_step_failure": "False", "default_compute": "cpu-cluster"}
    assert green.component_id == f"{SCOPE}/components/score_pipeline/versions/2"
    listed = read("batch_endpoint_list", 1, calls.list_batch_endpoints())
    assert [(item.name, item.default_deployment) for item in listed] == [("third-ep", "")]


def test_a_schedule_that_was_read_is_written_back_as_the_sdk_does_but_whole():
    """The SDK loses the description of the job; test_schedule_disable of the reference says what else."""
    schedule = read("schedule_disable", 0, calls.get_job_schedule("score-every-morning"))
    assert (schedule.name, schedule.kind, schedule.status) == ("score-every-morning", "Cron", "Active")
    assert (schedule.component_id, schedule.experiment_name) == ("score_pipeline:1", "scoring")
    sent = calls.put_job_schedule(schedule.name, with_status(schedule, "Disabled")).body
    captured = CAPTURES.of("schedule_disable")[1]["request"]["json"]
    captured["properties"]["action"]["jobDefinition"]["description"] = "from Airflow"
    assert sent == captured


def test_schedules_of_all_kinds_are_listed():
    """The SDK skips what it cannot read."""
    pages = CAPTURES.of("schedule_list")
    for number, page in enumerate(pages):
        listed = read("schedule_list", number, calls.list_job_schedules())
        assert [item.name for item in listed] == [item["name"] for item in page["response"]["json"]["value"]]


def test_an_enabled_schedule_is_not_deleted():
    with pytest.raises(BadRequest, match="Please disable it first"):
        read("schedule_delete_enabled", 0, calls.delete_job_schedule("score-every-morning"))


def test_a_datastore_and_its_secrets_are_read():
    store = read("datastore_get", 0, calls.get_arm_datastore("workspaceblobstore"))
    assert (store.kind, store.account, store.container) == ("AzureBlob", "demostorage", "azureml-blobstore-0001")
    assert (store.credential_type, store.lacks_secrets, store.secrets) == ("AccountKey", True, ())
    assert read("datastore_list", 0, calls.list_arm_datastores())[0] == store
    store = read("datastore_list_secrets", 0, calls.list_datastore_secrets(store))
    assert (store.account, store.account_key) == ("demostorage", "ZmFrZWtleQ==")
    assert "ZmFrZWtleQ" not in repr(store)
