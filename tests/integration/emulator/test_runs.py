"""Pipelines, endpoints, runs and run history of the emulator, over HTTP."""

from __future__ import annotations

import httpx
import pytest

from aml_provider.emulator.server import EmulatorServer

SCOPE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
PIPELINES, HISTORY = f"/pipelines/v1.0{SCOPE}", f"/history/v1.0{SCOPE}"
SUBMIT = f"{PIPELINES}/PipelineRuns/PipelineSubmit"
SCORE = "10000000-0000-4000-8000-000000000001"
FAILS = "10000000-0000-4000-8000-000000000002"
RETIRED = "10000000-0000-4000-8000-000000000003"
TWIN = "10000000-0000-4000-8000-000000000004"
TYPED = "10000000-0000-4000-8000-000000000006"
OLD = "10000000-0000-4000-8000-000000000007"
LONG = "10000000-0000-4000-8000-000000000008"
ENDPOINT = "20000000-0000-4000-8000-000000000001"


class Api(httpx.Client):
    """A client of the emulator with the calls that every test needs."""

    def __init__(self, emulator):
        super().__init__(base_url=emulator.url, headers={"Authorization": "Bearer t"})

    def submit(self, pipeline=TWIN, **body):
        reply = self.post(f"{SUBMIT}/{pipeline}", json={"ExperimentName": "exp", **body})
        assert reply.status_code == 200, reply.text
        return reply.json()["Id"]

    def status(self, run_id):
        entity = self.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()
        return entity["Status"]["StatusCode"], self.get(f"{HISTORY}/runs/{run_id}").json()["status"]

    def query(self, text=None, experiment="exp", **more):
        body = {"filter": text, **more} if text else more
        reply = self.post(f"{HISTORY}/experiments/{experiment}/runs:query", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def found(self, text=None, **more):
        return [record["runId"] for record in self.query(text, **more)["value"]]


@pytest.fixture
def emulator():
    with EmulatorServer() as running:
        running.clock.hold()
        yield running


@pytest.fixture
def api(emulator):
    with Api(emulator) as client:
        yield client


@pytest.fixture
def quirky(request):
    with EmulatorServer(quirks=request.param) as running, Api(running) as client:
        running.clock.hold()
        yield running, client


def message(reply, status):
    assert reply.status_code == status, reply.text
    return reply.json()["Error"]["Message"]


class TestPipelines:
    def test_pipelines_are_listed(self, api):
        names = [item["Name"] for item in api.get(f"{PIPELINES}/Pipelines?activeOnly=true").json()]
        assert names.count("twins") == 2
        assert "retired" not in names
        every = api.get(f"{PIPELINES}/Pipelines?activeOnly=false").json()
        assert [item["EntityStatus"] for item in every if item["Name"] == "retired"] == ["Disabled"]

    def test_the_interface_of_a_graph(self, api):
        graph = api.get(f"{PIPELINES}/Pipelines/{TYPED}").json()["GraphId"]
        interface = api.get(f"{PIPELINES}/Graphs/{graph}/Interface").json()
        found = {item["Name"]: (item["Type"], item["DefaultValue"]) for item in interface["Parameters"]}
        assert found == {
            "count": ("Int", None),
            "rate": ("Double", "0.5"),
            "verbose": ("Bool", "False"),
            "label": ("String", None),
        }
        assert [item["Name"] for item in interface["DataPathParameterList"]] == ["input_dataset"]
        graph = api.get(f"{PIPELINES}/Pipelines/{SCORE}").json()["GraphId"]
        (path,) = api.get(f"{PIPELINES}/Graphs/{graph}/Interface").json()["DataPathParameters"]
        assert path["DefaultValue"] == {"DataStoreName": "workspaceblobstore", "RelativePath": "incoming"}

    @pytest.mark.parametrize("status", ["Broken", None, {"status": "Active"}])
    def test_an_unknown_status_is_refused(self, api, status):
        assert "not a status" in message(api.put(f"{PIPELINES}/Pipelines/{SCORE}/status", json=status), 400)

    def test_names_in_the_scope_ignore_case(self, api):
        scope = "/SUBSCRIPTIONS/S/resourcegroups/RG/providers/microsoft.machinelearningservices/workspaces/WS"
        assert api.get(f"/pipelines/v1.0{scope}/Pipelines").status_code == 200

    def test_data_types(self, api):
        assert len(api.get(f"{PIPELINES}/DataTypes").json()) == 11
        new = {"Id": "New", "Name": "New", "Description": "New", "IsDirectory": False, "ParentDataTypeIds": []}
        assert api.post(f"{PIPELINES}/DataTypes", json=new).json()["Id"] == "New"
        assert "already exist" in message(api.post(f"{PIPELINES}/DataTypes", json=new), 409)


class TestEndpoints:
    def test_submit(self, api):
        path = f"{PIPELINES}/PipelineRuns/PipelineEndpointSubmit/Id/{ENDPOINT}"
        body = {"ExperimentName": "exp"}
        assert api.post(path, json=body).json()["PipelineId"] == SCORE
        assert api.post(f"{path}/0?pipelineVersion=0", json=body).json()["PipelineId"] == OLD
        assert "Version 7" in message(api.post(f"{path}/7?pipelineVersion=7", json=body), 404)

    def test_update_is_the_whole_entity(self, api):
        entity = api.get(f"{PIPELINES}/PipelineEndpoints/Id/{ENDPOINT}").json()
        entity["DefaultVersion"] = "2"
        refused = api.put(f"{PIPELINES}/PipelineEndpoints/{ENDPOINT}", json=entity)
        assert "DefaultVersion 2" in message(refused, 400)
        entity["PipelineVersionList"].append({"Version": "2", "PipelineId": TWIN})
        entity["EntityStatus"] = "Disabled"
        reply = api.put(f"{PIPELINES}/PipelineEndpoints/{ENDPOINT}", json=entity).json()
        assert (reply["DefaultVersion"], reply["EntityStatus"]) == ("2", "Disabled")
        assert api.get(f"{PIPELINES}/PipelineEndpoints?activeOnly=true").json() == []
        behind = api.get(f"{PIPELINES}/PipelineEndpoints/{ENDPOINT}/pipelines?activeOnly=true").json()
        assert [item["Id"] for item in behind] == [OLD, SCORE, TWIN]
        path = f"{PIPELINES}/PipelineRuns/PipelineEndpointSubmit/Id/{ENDPOINT}"
        assert "Disabled" in message(api.post(path, json={"ExperimentName": "exp"}), 400)

    def test_create(self, api):
        body = {"Name": "new", "Description": "d", "PipelineId": TWIN, "Properties": {}}
        reply = api.post(f"{PIPELINES}/PipelineEndpoints/Create", json=body).json()
        assert reply["PipelineVersionList"] == [{"Version": "0", "PipelineId": TWIN}]
        assert api.get(f"{PIPELINES}/PipelineEndpoints/Name?Name=new").json() == reply
        assert "already exists" in message(api.post(f"{PIPELINES}/PipelineEndpoints/Create", json=body), 409)
        listed = api.get(f"{PIPELINES}/PipelineEndpoints?activeOnly=true", headers={"BatchSize": "1"}).json()
        assert [item["Name"] for item in listed] == ["score-endpoint"]


class TestSubmission:
    @pytest.mark.parametrize(
        ("pipeline", "body", "status", "text"),
        [
            ("missing", {}, 404, "Pipeline missing"),
            (RETIRED, {}, 400, "Disabled"),
            (SCORE, {"ExperimentName": ""}, 400, "ExperimentName is required"),
            (SCORE, {"ExperimentName": "a b"}, 400, "Invalid experiment name"),
            (SCORE, {"ParameterAssignments": {"nope": "1"}}, 400, "no parameter nope"),
            (SCORE, {"DataPathAssignments": {"nope": {"DataStoreName": "workspaceblobstore"}}}, 400, "nope"),
            (SCORE, {"DataPathAssignments": {"input_datapath": {"DataStoreName": "other"}}}, 400, "Datastore other"),
            (SCORE, {"DataPathAssignments": {"input_datapath": {"RelativePath": "x"}}}, 400, "DataStoreName"),
            (SCORE, {"DataSetDefinitionValueAssignments": {"nope": {}}}, 400, "nope"),
            (SCORE, {"ParameterAssignments": [1]}, 400, "must be a JSON object"),
            (TYPED, {}, 400, "required parameter count"),
        ],
    )
    def test_invalid_submissions_are_refused(self, api, pipeline, body, status, text):
        reply = api.post(f"{SUBMIT}/{pipeline}", json={"ExperimentName": "exp", **body})
        assert text in message(reply, status)
        assert api.get("/_emulator/runs").json()["runs"] == []

    def test_keys_in_any_case_and_numbers(self, api):
        body = {
            "experimentname": "exp",
            "parameterassignments": {"count": 20, "verbose": True},
            "Tags": {"a": "b", "n": None},
        }
        entity = api.post(f"{SUBMIT}/{TYPED}", json=body).json()
        assert entity["ParameterAssignments"] == {"count": "20", "verbose": "True"}
        assert entity["tags"] == {"a": "b", "n": None}
        assert (entity["RunSource"], entity["RunType"]) == ("Unavailable", "HTTP")

    def test_a_body_that_is_not_json_is_refused(self, api):
        reply = api.post(f"{SUBMIT}/{SCORE}", content=b"{", headers={"Content-Type": "application/json"})
        assert "not JSON" in message(reply, 400)

    def test_history_has_the_run_immediately(self, api):
        run_id = api.submit(
            SCORE,
            RunSource="SDK",
            RunType="SDK",
            Description="nightly",
            ParameterAssignments={"input_string": "x"},
            tags={"t": "1"},
            Properties={"p": "2"},
        )
        record = api.get(f"{HISTORY}/experiments/exp/runs/{run_id}").json()
        assert record["tags"] == {"azureml.pipelineid": SCORE, "azureml.pipelineComponent": "pipelinerun", "t": "1"}
        assert record["properties"] == {
            "azureml.runsource": "azureml.PipelineRun",
            "runSource": "SDK",
            "runType": "SDK",
            "azureml.parameters": '{"input_string": "x"}',
            "azureml.pipelineid": SCORE,
            "p": "2",
        }
        assert record["dataContainerId"] == f"dcid.{run_id}"
        assert api.found('(Tags/t eq "1")') == api.found('(Properties/p eq "2")') == [run_id]
        assert [item["Id"] for item in api.get(f"{PIPELINES}/PipelineRuns/Pipeline/{SCORE}").json()] == [run_id]

    def test_parent(self, api, emulator):
        parent = api.submit()
        refused = api.post(f"{SUBMIT}/{TWIN}?parentRunId=missing", json={"ExperimentName": "exp"})
        assert "parent run missing" in message(refused, 400)
        child = api.post(f"{SUBMIT}/{TWIN}?parentRunId={parent}", json={"ExperimentName": "exp"}).json()["Id"]
        record = api.get(f"{HISTORY}/runs/{child}").json()
        assert (record["parentRunId"], record["rootRunId"]) == (parent, parent)
        assert api.found("(ParentRunId eq null)") == [parent]
        assert api.found(f"(RootRunId eq {parent} and RunId ne {parent})") == [child]
        emulator.clock.advance(60)
        children = api.get(f"{HISTORY}/experiments/exp/runs/{parent}/children").json()["value"]
        assert sorted(item["runType"] for item in children) == ["azureml.PipelineRun", "azureml.StepRun"]


class TestStates:
    def test_time_changes_the_status_of_a_run_and_polls_do_not(self, api, emulator):
        run_id = api.submit()
        for _ in range(3):
            assert api.status(run_id) == ("NotStarted", "NotStarted")
        emulator.clock.advance(0.3)
        assert api.status(run_id) == ("Running", "Running")
        nodes = api.post(f"{PIPELINES}/PipelineRuns/{run_id}/Graph/AllNodes/Status", json=[]).json()
        ((node, status),) = nodes.items()
        assert status["StatusCode"] == "Queued"
        emulator.clock.advance(0.2)
        code = f"{PIPELINES}/PipelineRuns/{run_id}/Graph/Node/StatusCode"
        assert api.post(code, json=[node]).json() == "Running"
        emulator.clock.advance(5)
        assert api.post(code, json=[node]).json() == "Finished"
        assert api.status(run_id) == ("Finished", "Completed")

    def test_the_reply_explains_a_failure(self, api, emulator):
        run_id = api.submit(FAILS)
        emulator.clock.advance(60)
        assert api.status(run_id) == ("Failed", "Failed")
        entity = api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()
        assert entity["HasErrors"]
        assert "Step score failed: ValueError: row 2" in entity["Status"]["StatusDetail"]
        details = api.get(f"{HISTORY}/experiments/exp/runs/{run_id}/details").json()
        assert "Step score failed" in details["error"]["error"]["message"]
        step = next(
            item for item in api.get(f"{HISTORY}/runs/{run_id}/children").json()["value"] if item["status"] == "Failed"
        )
        assert step["tags"]["azureml.pipeline"] == run_id
        (url,) = api.get(f"{HISTORY}/runs/{step['runId']}/details").json()["logFiles"].values()
        log = httpx.get(url).text
        assert "scoring 3 rows" in log
        assert "Traceback" in log
        node = step["tags"]["azureml.nodeid"]
        assert api.post(f"{PIPELINES}/PipelineRuns/{run_id}/Graph/Shareable/STDOUT", json=[node]).text == log
        errors = api.post(f"{PIPELINES}/PipelineRuns/{run_id}/Graph/Shareable/STDERR", json=[node]).text
        assert errors.startswith("ValueError")
        assert httpx.get(url.partition("sig=")[0] + "sig=forged").status_code == 403

    def test_continue_on_step_failure(self, api, emulator):
        run_id = api.submit(FAILS, ContinueRunOnStepFailure=True)
        emulator.clock.advance(60)
        assert api.status(run_id) == ("Finished", "Completed")
        assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["HasErrors"]

    @pytest.mark.parametrize(("method", "path"), [("DELETE", "Execution"), ("POST", "Cancel")])
    def test_cancel(self, api, emulator, method, path):
        run_id = api.submit(LONG)
        emulator.clock.advance(10)
        for _ in range(2):
            assert api.request(method, f"{PIPELINES}/PipelineRuns/{run_id}/{path}").status_code == 200
        assert api.status(run_id) == ("Canceled", "Canceled")
        (step,) = api.get(f"{HISTORY}/runs/{run_id}/children").json()["value"]
        assert step["status"] == "Canceled"

    def test_cancelling_a_finished_run_changes_nothing(self, api, emulator):
        run_id = api.submit()
        emulator.clock.advance(60)
        assert api.delete(f"{PIPELINES}/PipelineRuns/{run_id}/Execution").status_code == 200
        assert api.status(run_id) == ("Finished", "Completed")
        assert message(api.delete(f"{PIPELINES}/PipelineRuns/missing/Execution"), 404)


class TestHistory:
    def test_tags_and_properties(self, api):
        run_id = api.submit(tags={"a": "1"})
        path = f"{HISTORY}/experiments/exp/runs/{run_id}"
        record = api.patch(path, json={"runId": run_id, "tags": {"b": None}, "properties": {"q": "1"}}).json()
        assert record["tags"]["a"] == "1"
        assert record["tags"]["b"] is None
        assert api.found("(Tags/b ne null or Tags/b eq null)") == [run_id]
        assert api.patch(path, json={"properties": {"q": "2"}}).status_code == 400
        assert api.patch(path, json={"displayName": "shown"}).json()["displayName"] == "shown"
        record = api.request("DELETE", f"{path}/tags", json=["a", "b"]).json()
        assert not {"a", "b"} & record["tags"].keys()
        assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["tags"] == {"a": "1"}

    def test_order_and_pages(self, api, emulator):
        ids = []
        for _ in range(5):
            ids.append(api.submit())
            emulator.clock.advance(1)
        query = {"orderby": "CreatedUtc desc", "top": 2}
        page = api.query("(ParentRunId eq null)", **query)
        seen = [record["runId"] for record in page["value"]]
        while page["continuationToken"]:
            page = api.query("(ParentRunId eq null)", **query, continuationToken=page["continuationToken"])
            seen += [record["runId"] for record in page["value"]]
        assert seen == ids[::-1]

    @pytest.mark.parametrize(
        "body", [{"filter": "RunId is x"}, {"orderby": "Colour desc"}, {"continuationToken": "nonsense"}]
    )
    def test_bad_queries(self, api, body):
        api.submit()
        reply = api.post(f"{HISTORY}/experiments/exp/runs:query", json=body)
        assert reply.status_code == 400
        assert reply.json()["error"]["code"] == "UserError"

    def test_the_colon_may_be_encoded(self, api):
        run_id = api.submit()
        reply = api.post(f"{HISTORY}/experiments/exp/runs%3Aquery", json={})
        assert [item["runId"] for item in reply.json()["value"]] == [run_id]

    def test_experiments(self, api):
        assert api.get(f"{HISTORY}/experiments/new").status_code == 404
        created = api.post(f"{HISTORY}/experiments/new").json()
        assert api.get(f"{HISTORY}/experimentids/{created['experimentId']}").json() == created
        api.submit()
        query = f"{HISTORY}/experiments:query"
        names = [item["name"] for item in api.post(query, json={"filter": "(name eq exp)"}).json()["value"]]
        assert names == ["exp"]
        changed = api.patch(
            f"{HISTORY}/experimentids/{created['experimentId']}", json={"archive": True, "tags": {"a": "b"}}
        )
        assert changed.json()["archivedTime"]
        active = api.post(query, json={"viewType": "ActiveOnly"}).json()["value"]
        assert [item["name"] for item in active] == ["exp"]

    def test_a_run_is_found_in_its_experiment_only(self, api):
        run_id = api.submit()
        api.post(f"{HISTORY}/experiments/other")
        assert api.get(f"{HISTORY}/experiments/other/runs/{run_id}").status_code == 404


class TestQuirks:
    @pytest.mark.parametrize("quirky", [["history_lag=30s"]], indirect=True)
    def test_history_lag(self, quirky):
        emulator, api = quirky
        run_id = api.submit()
        assert api.found() == []
        assert api.get(f"{PIPELINES}/PipelineRuns/Pipeline/{TWIN}").json() == []
        assert api.get(f"{HISTORY}/experiments/exp/runs/{run_id}").status_code == 200
        assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").status_code == 200
        emulator.clock.advance(31)
        assert api.found("(ParentRunId eq null)") == [run_id]

    @pytest.mark.parametrize("quirky", [["drop_tags", "drop_properties"]], indirect=True)
    def test_dropped_tags_and_properties(self, quirky):
        _, api = quirky
        run_id = api.submit(tags={"t": "1"}, Properties={"p": "1"})
        assert api.found("(Tags/t eq 1)") == api.found("(Properties/p eq 1)") == []
        entity = api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()
        assert (entity["tags"], entity["Properties"]) == ({}, {})

    @pytest.mark.parametrize("quirky", [["int_enums"]], indirect=True)
    def test_numbers_for_enumerations(self, quirky):
        emulator, api = quirky
        run_id = api.submit()
        emulator.clock.advance(60)
        entity = api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()
        assert (entity["Status"]["StatusCode"], entity["RunType"], entity["EntityStatus"]) == (3, 0, 0)
        codes = api.post(f"{PIPELINES}/PipelineRuns/{run_id}/Graph/AllNodes/StatusCode", json=[]).json()
        assert list(codes.values()) == [4]

    @pytest.mark.parametrize("quirky", [["slow_cancel=20"]], indirect=True)
    def test_slow_cancel(self, quirky):
        emulator, api = quirky
        run_id = api.submit(LONG)
        emulator.clock.advance(10)
        api.delete(f"{PIPELINES}/PipelineRuns/{run_id}/Execution")
        assert api.status(run_id) == ("Running", "CancelRequested")
        emulator.clock.advance(20)
        assert api.status(run_id) == ("Canceled", "Canceled")

    @pytest.mark.parametrize("quirky", [["page_size=2"]], indirect=True)
    def test_page_size(self, quirky):
        _, api = quirky
        for _ in range(3):
            api.submit()
        page = api.query(top=500)
        assert len(page["value"]) == 2
        assert page["continuationToken"]
