"""The emulator answers any request: never with a 5xx, and always with valid JSON."""

from __future__ import annotations

import json
import re
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.services.workspace_api import HISTORY, PIPELINES, SCOPE, SEED, job_body, serving

from aml_provider.emulator.emulation import Emulation
from aml_provider.emulator.serving.app import service_routes

EXAMPLES = 15
ROUTES = sorted(
    (prefix, method, route.path)
    for prefix, routes in service_routes(Emulation(SEED)).items()
    for route in routes
    for method in (route.methods or ()) - {"HEAD"}
)
SUBMISSION = {
    "ExperimentName": "exp",
    "ParameterAssignments": {"rate": 1},
    "DataPathAssignments": {"input": {"DataStoreName": "store", "RelativePath": "x"}},
    "DataSetDefinitionValueAssignments": {"table": {"SavedDataSetReference": {"Id": "t"}}},
    "RunType": "SDK",
    "ContinueRunOnStepFailure": True,
    "tags": {"emulator.fail_at": "fit"},
    "Properties": {"b": "c"},
}
RECURRENCE = {
    "Frequency": "Week",
    "Interval": 1,
    "StartTime": "2026-12-01T00:00:00",
    "TimeZone": "UTC",
    "Schedule": {"Hours": [1], "Minutes": [2], "WeekDays": ["Monday"]},
}
SCHEDULE = {"Name": "s", "PipelineId": "train", "PipelineSubmissionInfo": SUBMISSION, "EntityStatus": "Active"}
TRIGGER = {"DataStoreName": "store", "PollingInterval": 5, "DataPathParameterName": "input"}
RUN = {"runId": "run", "tags": {"a": "b"}, "properties": {"c": "d"}, "displayName": "n", "description": "d"}
QUERY = {"filter": "(Tags/a eq b)", "orderby": "CreatedUtc desc", "top": 2, "viewType": "All", "continuationToken": ""}
JOB = {
    "displayName": "d",
    "description": "d",
    "isArchived": False,
    "tags": {"a": "b"},
    "properties": {"c": "d"},
    "settings": {"continue_on_step_failure": "True"},
    "inputs": {
        "input": {"jobInputType": "uri_folder", "uri": "azureml://datastores/store/paths/in/"},
        "table": {"jobInputType": "mltable", "uri": "azureml:t:1"},
        "label": {"jobInputType": "literal", "value": "x"},
    },
}
NODE = {
    "type": "pipeline",
    "componentId": f"{SCOPE}/components/fit_files/versions/1",
    "inputs": {
        "input": {"job_input_type": "literal", "value": "${{parent.inputs.folder}}"},
        "rate": {"job_input_type": "literal", "value": "0.5"},
    },
}
# A body that each operation accepts, by the end of its path; changing one value gives a nearly valid one.
ACCEPTED = {
    "Submit/{pipeline_id}": [SUBMISSION],
    "/Id/{endpoint_id}": [SUBMISSION],
    "/components/{name}": [{"properties": {"isArchived": True}}],
    "/components/{name}/versions/{version}": [
        {
            "properties": {
                "description": "d",
                "tags": {"a": "b"},
                "isArchived": False,
                "componentSpec": {
                    "type": "pipeline",
                    "inputs": {"n": {"type": "integer", "default": 1, "min": 0, "max": 9, "optional": True}},
                    "outputs": {"scores": {"type": "uri_folder"}},
                    "jobs": {"first": {"type": "command"}},
                },
            }
        }
    ],
    "/{version}": [SUBMISSION],
    "/PipelineEndpoints/Create": [{"Name": "n", "PipelineId": "train", "Properties": {}, "tags": {}}],
    "/PipelineEndpoints/{endpoint_id}": [
        {
            "Name": "n",
            "EntityStatus": "Active",
            "DefaultVersion": "0",
            "PipelineVersionList": [{"Version": "0", "PipelineId": "score"}, {"Version": "1", "PipelineId": "train"}],
        }
    ],
    "/Schedules/Create": [
        {**SCHEDULE, "ScheduleType": "0", "Recurrence": RECURRENCE},
        {**SCHEDULE, "ScheduleType": "1", "DataStoreTriggerInfo": TRIGGER},
    ],
    "/Schedules/{schedule_id}": [{**SCHEDULE, "Recurrence": RECURRENCE}],
    "s/Create": [
        {
            "Name": "p",
            "Graph": {
                "ModuleNodes": [{"Id": "a", "ModuleId": "m"}, {"Id": "b"}],
                "Edges": [{"SourceOutputPort": {"NodeId": "a"}, "DestinationInputPort": {"NodeId": "b"}}],
            },
            "GraphInterface": {
                "Parameters": [{"Name": "x", "Type": "Int", "DefaultValue": "1"}],
                "DataPathParameters": [{"Name": "y", "DefaultValue": {"DataStoreName": "store"}}],
                "DataPathParameterList": [{"Name": "z", "DefaultValue": {"SavedDataSetReference": {"Id": "t"}}}],
            },
            "ParameterAssignments": {"x": "2"},
        }
    ],
    "/status": ["Active"],
    "/DataTypes": [{"Id": "T", "Name": "T", "IsDirectory": False, "ParentDataTypeIds": []}],
    ":query": [QUERY],
    "/experimentids/{experiment_id}": [{"name": "n", "description": "d", "archive": True, "tags": {"a": "b"}}],
    "/tags:delete": [{"tags": ["a"]}],
    "/tags": [["a"]],
    "/batch/runs": [{"runs": [RUN]}],
    "/runs/{run_id}": [{**RUN, "runId": None}],
    "/events": [{"name": "Microsoft.MachineLearning.Run.Canceled", "timestamp": "2026-12-01T00:00:00Z", "data": {}}],
    "/batch": [
        {"values": [{"name": "m", "columns": {"m": "int"}, "value": [{"data": {"m": 1}}], "properties": {}}]},
    ],
    "/full": [{"metricName": "m"}],
    "/list": [{"continuationToken": ""}],
    "/datastores": [
        {"name": "n", "dataStoreType": "AzureBlob", "azureStorageSection": {"accountName": "a", "containerName": "c"}},
        {"name": "n", "dataStoreType": "Hdfs", "tags": {}, "hdfsSection": {"nameNodeAddress": "a"}},
    ],
    "/datastores/{name}": [
        {"dataStoreType": "AzureBlob", "azureStorageSection": {"accountName": "a", "containerName": "c"}},
    ],
    "/batchEndpoints/{endpoint}/jobs": [
        {
            "properties": {
                "inputData": {
                    "input": {"jobInputType": "UriFolder", "uri": "azureml://datastores/store/paths/in/"},
                    "rate": {"jobInputType": "Literal", "value": 0.5},
                },
                "outputData": {
                    "scores": {"jobOutputType": "UriFolder", "uri": "azureml://datastores/store/paths/out/"}
                },
                "properties": {"experimentName": "exp"},
            }
        }
    ],
    "/schedules/{name}": [
        {
            "properties": {
                "displayName": "d",
                "tags": {"a": "b"},
                "properties": {"c": "d"},
                "isEnabled": enabled,
                "action": {"actionType": "CreateJob", "jobDefinition": job_body(**JOB)["properties"]},
                "trigger": trigger,
            }
        }
        for enabled in (True, False)
        for trigger in (
            {"triggerType": "Cron", "expression": "0 7 * * 1-5", "startTime": "2026-12-01T00:00:00", "timeZone": "UTC"},
            {
                "triggerType": "Recurrence",
                "frequency": "month",
                "interval": 1,
                "schedule": {"hours": [1], "minutes": [2], "weekDays": ["monday"], "monthDays": [31]},
                "endTime": "2027-12-01 00:00:00",
            },
        )
    ],
    "/trigger": [{"scheduleTime": "2026-11-29T12:02:09.700449+00:00"}],
    "/jobs/{job_id}": [
        job_body(**JOB),
        job_body(None, jobs={"a": {"type": "command"}}, inputs={}),
        job_body(None, jobs={"a": NODE}, inputs={"folder": JOB["inputs"]["input"]}),
    ],
    "": [["prepare"]],
}


def words(value):
    """The keys and values of valid bodies, so that generated ones get past the first check."""
    if isinstance(value, dict):
        return [*value, *(word for item in value.values() for word in words(item))]
    if isinstance(value, list):
        return [word for item in value for word in words(item)]
    return [value]


WORDS = sorted({word for word in words(list(ACCEPTED.values())) if isinstance(word, str)})
MORE = ["", "(", "RunId eq", "CreatedUtc ge 0001-01-01T00:00:00+14:00", 'name eq "', "9999-12-31T23:59:59", "Disabled"]
ODD = ["\ud800", "\x00", "9" * 30, "b2Zmc2V0OjE=", "b2Zmc2V0Oi0x"]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([*WORDS, *MORE, *ODD]),
    st.text(max_size=8),
)
bodies = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=4), inner, max_size=8)
    ),
    max_leaves=30,
)


@st.composite
def near_misses(draw, path):
    """A body that the operation accepts, or the same with one value changed."""
    accepted = next(bodies for end, bodies in ACCEPTED.items() if path.endswith(end))
    body = json.loads(json.dumps(draw(st.sampled_from(accepted))))
    place = body
    while isinstance(place, dict | list) and place and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
            place[key] = draw(bodies)
            break
        place = place[key]
    return body


names = st.sampled_from([*WORDS, "a b", "%00", "..", "ü", "x" * 300])
ASKED = {
    "GET": [
        "$filter",
        "$orderby",
        "$top",
        "$continuationToken",
        "count",
        "continuationToken",
        "dataStoreNames",
        "Name",
        "listViewType",
        "tag",
        "properties",
        "$skip",
        "scheduled",
        "scheduleId",
        "$orderBy",
    ],
    "POST": ["parentRunId", "pipelineVersion"],
}
queries = {
    method: st.dictionaries(
        st.sampled_from([*asked, "activeOnly", "viewType", "path"]),
        scalars.map(lambda value: str(value).encode(errors="replace").decode()),
        max_size=3,
    )
    for method, asked in ASKED.items()
}


@pytest.fixture(scope="module")
def api():
    with serving() as running:
        yield running


def known_ids(api):
    """The usual values of path parameters."""
    state = api.emulator.state
    runs = list(state.runs)[:3]
    steps = [step.id for run in list(state.runs.values())[:1] for step in run.steps]
    return {
        "run_id": [*runs, *steps],
        "container": [f"dcid.{run_id}" for run_id in runs],
        "origin": ["ExperimentRun"],
        "pipeline_id": ["train", "score"],
        "graph_id": [state.pipelines["train"].graph_id],
        "endpoint_id": ["door"],
        "schedule_id": [schedule.id for schedule in state.schedules.all()[:3]],
        "experiment": ["exp"],
        "experiment_id": [item.id for item in state.experiments.all()[:3]],
        "name": ["store", "new", "fit_files", "daily"],
        "path": ["user_logs/std_log.txt", ""],
        "version": ["0", "1"],
        "endpoint": ["gate", "empty"],
        "deployment": ["blue"],
        "job_id": [*list(state.runs)[:3], *steps, "new"],
        "node": ["0"],
        "until": ["0", "9999999999999"],
        "module_id": ["m"],
    }


@pytest.mark.parametrize(("prefix", "method", "path"), ROUTES)
def test_no_body_or_path_is_a_server_error(api, prefix, method, path):
    api.emulator.reset()
    api.emulator.clock.hold()
    api.finished()
    api.put_job()
    api.put_schedule()
    api.emulator.clock.advance(60)
    known = known_ids(api)

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def try_once(data):
        def fill(match):
            name = match[1].partition(":")[0]
            return str(data.draw(st.sampled_from(known[name]) if known[name] and data.draw(st.booleans()) else names))

        url = f"{prefix}{SCOPE}{re.sub(r'{(.+?)}', fill, path)}"
        body = data.draw(near_misses(path) if data.draw(st.integers(0, 4)) else bodies) if method != "GET" else None
        headers = {"Content-Type": "application/json"}
        if method == "GET":
            headers["BatchSize"] = data.draw(st.sampled_from(["1", "x", "-1", "9" * 5000]))
        reply = api.request(
            method, url, params=data.draw(queries.get(method, st.none())), headers=headers, content=json.dumps(body)
        )
        # A name with a slash leads to another route, or to none.
        assert reply.status_code < 500 or reply.status_code == 501, reply.text
        statuses.append(reply.status_code)
        if reply.headers.get("Content-Type", "").startswith("application/json"):
            json.loads(reply.text, parse_constant=pytest.fail)

    statuses: list[int] = []
    try_once()
    assert set(statuses) != {501}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"ExperimentName": NaN}',
        b'{"ExperimentName": 1e999}',
        b'{"ExperimentName": "\\ud800"}',
        b"9" * 5000,
        # Some pass the parser, but not the steps after it.
        *(b'{"Properties": {"a": %s}}' % (b"[" * depth + b"]" * depth) for depth in (100, 400, 900, 960)),
    ],
    ids=lambda content: f"{content[:30]!r}-{len(content)}",
)
def test_invalid_json_is_refused(api, content):
    path = f"{PIPELINES}/PipelineRuns/PipelineSubmit/train"
    sent = {"content": content, "headers": {"Content-Type": "application/json"}}
    assert "not JSON" in api.ask("POST", path, 400, **sent)
    assert "not JSON" in api.ask("POST", f"{HISTORY}/experiments:query", 400, **sent)


def test_the_request_log_masks_secrets_in_deep_bodies(api):
    content = b'{"accountKey": "planted", "a": %s}' % (b'[{"b":' * 450 + b'{"sig": "planted"}' + b"}]" * 450)
    api.ask("POST", "/_emulator/faults", json={"kind": "status", "status": 503})
    sent = {"content": content, "headers": {"Content-Type": "application/json"}}
    api.ask("POST", f"{PIPELINES}/PipelineRuns/PipelineSubmit/train", 503, **sent)
    reply = api.get("/_emulator/requests")
    assert reply.json()["requests"][-1]["body"]["accountKey"] == "***"
    assert "planted" not in reply.text


def test_a_path_is_not_redirected(api):
    assert "does not have" in api.ask("GET", f"{PIPELINES}/Pipelines/", 501)


def test_a_filter_of_any_depth_is_answered(api):
    api.submit()
    body = {"filter": "(" * 5000 + "RunId eq x" + ")" * 5000}
    assert "Invalid filter" in api.ask("POST", f"{HISTORY}/experiments/exp/runs:query", 400, json=body)


def test_a_client_that_disconnects_during_its_request_is_not_an_error(caplog):
    with serving() as api:
        address = api.base_url.host, api.base_url.port
        with socket.create_connection(address) as client:
            client.sendall(b"POST /pipelines/v1.0/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        # Its disconnection is noticed before the end of a later request.
        assert api.get("/discovery").status_code < 500
    assert [record for record in caplog.records if record.exc_info] == []
