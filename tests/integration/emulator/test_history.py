"""Runs of the emulator's run history: reading, changing, files, metrics; and runs that fail on demand."""

from __future__ import annotations

import httpx
import pytest
from support.services.workspace_api import ARTIFACTS, HISTORY, METRICS, PIPELINES, SEED, serving

EXP = f"{HISTORY}/experiments/exp"
METRIC = {
    "name": "loss",
    "columns": {"loss": "double"},
    "properties": {"uxMetricType": "azureml.v1.scalar"},
    "value": [{"metricId": "m", "createdUtc": "2026-12-01T00:00:00Z", "step": 1, "data": {"loss": 0.5}}],
}
RUN_LOG, STEP_LOG = "logs/azureml/executionlogs.txt", "user_logs/std_log.txt"


@pytest.fixture
def api():
    with serving() as running:
        yield running


def ways(api, run_id):
    """All paths of a run."""
    experiment_id = api.run(run_id)["experimentId"]
    return [
        f"{EXP}/runs/{run_id}",
        f"{HISTORY}/experimentids/{experiment_id}/runs/{run_id}",
        f"{HISTORY}/runs/{run_id}",
    ]


class TestReading:
    def test_all_addresses_of_a_run_return_the_same(self, api):
        run_id = api.finished()
        for part in ("", "/details", "/children", "/artifacts"):
            replies = [api.ask("GET", f"{way}{part}") for way in ways(api, run_id)]
            assert replies[0] == replies[1] == replies[2]

    def test_a_run_is_not_found_in_another_experiment(self, api):
        run_id = api.submit()
        api.ask("POST", f"{HISTORY}/experiments/other")
        for part in ("", "/details", "/children", "/artifacts", "/metricsingest/wait"):
            assert "was not found" in api.ask("GET", f"{HISTORY}/experiments/other/runs/{run_id}{part}", 404)

    def test_children_in_pages_of_two(self):
        with serving(quirks=["page_size=2"]) as api:
            run_id = api.finished()
            api.submit(pipeline="score")
            path = f"{PIPELINES}/PipelineRuns/PipelineSubmit/score?parentRunId={run_id}"
            child = api.ask("POST", path, json={"ExperimentName": "exp"})["Id"]
            first = api.ask("GET", f"{HISTORY}/runs/{run_id}/children?$orderby=RunNumber asc")
            rest = api.ask(
                "GET",
                f"{HISTORY}/runs/{run_id}/children",
                params={"$orderby": "RunNumber asc", "$continuationToken": first["continuationToken"]},
            )
            assert [len(first["value"]), len(rest["value"])] == [2, 1]
            assert rest["value"][0]["runId"] == child
            assert rest["continuationToken"] is None
            assert "top must be" in api.ask("GET", f"{HISTORY}/runs/{run_id}/children?$top=0", 400)

    def test_a_query_finds_runs_steps_and_children_by_their_ids(self, api):
        run_id, other = api.finished(), api.submit()
        path = f"{PIPELINES}/PipelineRuns/PipelineSubmit/score?parentRunId={run_id}"
        child = api.ask("POST", path, json={"ExperimentName": "exp"})["Id"]
        steps = [item["runId"] for item in api.ask("GET", f"{HISTORY}/runs/{run_id}/children")["value"]]
        steps.remove(child)

        def found(text):
            return {item["runId"] for item in api.ask("POST", f"{EXP}/runs:query", json={"filter": text})["value"]}

        assert found(f"RunId eq {run_id} or RunId eq {other}") == {run_id, other}
        assert found(f"RunId eq {steps[0]}") == {steps[0]}
        assert found(f"ParentRunId eq {run_id}") == {*steps, child}
        assert found(f"ParentRunId eq {run_id} and RunId eq {child}") == {child}
        assert {run_id, other} <= found("ParentRunId eq null")
        assert found(f"RunId eq {run_id} or ParentRunId eq {run_id}") == {run_id, *steps, child}


class TestChanging:
    @pytest.mark.parametrize("way", [0, 1, 2])
    def test_tags_and_names_of_a_run_can_change(self, api, way):
        path = ways(api, run_id := api.submit())[way]
        changes = {
            "runId": run_id,
            "tags": {"flag": None, "a": "1"},
            "properties": {"p": "1"},
            "displayName": "shown",
            "description": "described",
        }
        record = api.ask("PATCH", path, json=changes)
        assert (record["displayName"], record["description"]) == ("shown", "described")
        record = api.ask("PATCH", path, json={"runId": run_id, "tags": {"a": "2"}})
        assert {key: record["tags"][key] for key in ("flag", "a")} == {"flag": None, "a": "2"}
        assert (record["displayName"], record["properties"]["p"]) == ("shown", "1")
        assert api.run(run_id) == record
        record = api.request("DELETE", f"{path}/tags", json=["a", "missing"]).json()
        assert ("a" in record["tags"], "flag" in record["tags"]) == (False, True)

    def test_tags_and_names_of_a_step_can_change(self, api):
        step = api.steps(api.finished())[0]
        changes = {"tags": {"a": "1"}, "displayName": "shown", "description": "described"}
        record = api.ask("PATCH", f"{EXP}/runs/{step['runId']}", json=changes)
        assert (record["name"], record["displayName"], record["description"]) == ("prepare", "shown", "described")
        assert record["tags"]["azureml.nodeid"] == step["tags"]["azureml.nodeid"]

    def test_a_property_cannot_be_overwritten(self, api):
        path = f"{HISTORY}/runs/{api.submit()}"
        api.ask("PATCH", path, json={"properties": {"p": "1"}})
        api.ask("PATCH", path, json={"properties": {"p": "1", "q": "2"}})
        refused = api.ask("PATCH", path, 400, json={"properties": {"p": "2"}, "tags": {"a": "1"}})
        assert "cannot be changed: p" in refused
        assert "a" not in api.ask("GET", path)["tags"]

    @pytest.mark.parametrize("body", [None, [], {"tags": ["a"]}, {"displayName": 1}, {"properties": {"p": []}}])
    def test_invalid_changes_are_refused(self, api, body):
        assert "must be" in api.ask("PATCH", f"{HISTORY}/runs/{api.submit()}", 400, json=body)

    def test_a_body_for_another_run_is_refused(self, api):
        assert "is not that of the path" in api.ask("PATCH", f"{EXP}/runs/{api.submit()}", 400, json={"runId": "x"})
        assert "Run x was not found" in api.ask("PATCH", f"{EXP}/runs/x", 404, json={})
        assert "array of texts" in api.ask("DELETE", f"{EXP}/runs/{api.submit()}/tags", 400)

    def test_several_runs_in_one_request(self, api):
        one, two, other = api.submit(), api.submit(), api.submit(experiment="other")
        body = {"runs": [{"runId": run_id, "tags": {"a": run_id}} for run_id in (one, two, other, "x")]}
        reply = api.ask("PATCH", f"{EXP}/batch/runs", json=body)
        assert {run_id: record["tags"]["a"] for run_id, record in reply["runs"].items()} == {one: one, two: two}
        assert {run_id: error["error"]["innerError"]["code"] for run_id, error in reply["errors"].items()} == {
            other: "NotFound",
            "x": "NotFound",
        }
        assert "a" not in api.run(other)["tags"]


class TestEvents:
    @pytest.mark.parametrize("name", ["Canceled", "CancelRequested"])
    def test_an_event_cancels_a_run(self, api, name):
        run_id = api.submit()
        event = {"timestamp": "2026-12-01T00:00:00Z", "name": f"Microsoft.MachineLearning.Run.{name}", "data": {}}
        api.ask("POST", f"{EXP}/runs/{run_id}/events", json=event)
        assert api.ask("GET", f"{EXP}/runs/{run_id}/metricsingest/wait") == {}
        assert api.run(run_id)["status"] == "Canceled"

    def test_other_events_are_refused(self, api):
        run_id = api.finished()
        step = api.steps(run_id)[0]["runId"]
        cancel = {"name": "Microsoft.MachineLearning.Run.Canceled"}
        completed = {"name": "Microsoft.MachineLearning.Run.Completed"}
        assert "is not accepted for a pipeline run" in api.ask(
            "POST", f"{EXP}/runs/{run_id}/events", 400, json=completed
        )
        assert "cancel its pipeline run" in api.ask("POST", f"{EXP}/runs/{step}/events", 400, json=cancel)
        assert "name is required" in api.ask("POST", f"{EXP}/runs/{run_id}/events", 400, json={})


class TestFiles:
    def test_the_log_of_a_step_at_every_address(self, api):
        step = api.steps(api.finished())[1]["runId"]
        place = f"ExperimentRun/dcid.{step}"
        expected = {"origin": "ExperimentRun", "container": f"dcid.{step}", "path": STEP_LOG}
        lists = [
            f"{ARTIFACTS}/artifacts/{place}",
            f"{ARTIFACTS}/artifacts/{place}/user_logs",
            f"{EXP}/runs/{step}/artifacts",
            f"{EXP}/runs/{step}/artifacts/path/user_logs",
        ]
        for path in lists:
            (found,) = api.ask("GET", path)["value"]
            assert {key: found[key] for key in expected} == expected
            assert found["artifactId"] == f"{place}/{STEP_LOG}"
        assert api.ask("GET", f"{ARTIFACTS}/artifacts/metadata/{place}/{STEP_LOG}") == found
        for path in (
            f"{ARTIFACTS}/artifacts/prefix/contentinfo/{place}",
            f"{EXP}/runs/{step}/artifacts/prefix/contentinfo",
        ):
            for below in ("/user_logs", "/user_logs/", "?path=user_logs", ""):
                (found,) = api.ask("GET", f"{path}{below}")["value"]
                assert {key: found[key] for key in expected} == expected
            assert api.ask("GET", f"{path}/system_logs")["value"] == []
        links = [api.ask("GET", f"{EXP}/runs/{step}/artifacts/artifacturi/{STEP_LOG}"), found["contentUri"]]
        for path in (f"{ARTIFACTS}/artifacts/contentinfo/{place}", f"{EXP}/runs/{step}/artifacts/contentinfo"):
            links += [api.ask("GET", f"{path}/{STEP_LOG}")["contentUri"]]
            links += [api.ask("GET", f"{path}?path={STEP_LOG}")["contentUri"]]
        assert {httpx.get(link).text for link in links} == {"fitting\n"}
        assert api.get(f"{ARTIFACTS}/artifacts/content/{place}/{STEP_LOG}").text == "fitting\n"

    def test_there_are_no_files_before_the_start(self, api):
        run_id = api.submit()
        assert api.ask("GET", f"{EXP}/runs/{run_id}/artifacts")["value"] == []
        assert api.ask("GET", f"{EXP}/runs/{run_id}/details")["logFiles"] == {}
        assert "was not found" in api.ask("GET", f"{EXP}/runs/{run_id}/artifacts/contentinfo/{RUN_LOG}", 404)

    def test_unknown_files_are_a_404(self, api):
        run_id = api.finished()
        for path in (
            f"{ARTIFACTS}/artifacts/ExperimentRun/dcid.x",
            f"{ARTIFACTS}/artifacts/LocalUpload/dcid.{run_id}",
            f"{ARTIFACTS}/artifacts/contentinfo/ExperimentRun/dcid.{run_id}/missing.txt",
            f"{ARTIFACTS}/artifacts/content/ExperimentRun/dcid.{run_id}/missing.txt",
            f"{EXP}/runs/{run_id}/artifacts/artifacturi/missing.txt",
            f"{EXP}/runs/x/artifacts",
        ):
            assert "was not found" in api.ask("GET", path, 404)

    @pytest.mark.parametrize(
        ("wanted", "status", "part", "place"),
        [
            ("bytes=0-2", 206, "fit", "bytes 0-2/8"),
            ("bytes=3-", 206, "ting\n", "bytes 3-7/8"),
            ("bytes=3-900", 206, "ting\n", "bytes 3-7/8"),
            ("bytes=7-7", 206, "\n", "bytes 7-7/8"),
            ("bytes=-2", 200, "fitting\n", None),
            ("lines=0-2", 200, "fitting\n", None),
        ],
    )
    def test_a_link_serves_ranges_as_blob_storage_does(self, api, wanted, status, part, place):
        step = api.steps(api.finished())[1]["runId"]
        link = api.ask("GET", f"{EXP}/runs/{step}/artifacts/artifacturi/{STEP_LOG}")
        reply = httpx.get(link, headers={"Range": wanted})
        assert (reply.status_code, reply.text, reply.headers.get("content-range")) == (status, part, place)
        assert httpx.get(link, headers={"Range": "bytes=8-9"}).status_code == 416

    @pytest.mark.parametrize("signature", ["wrong", "ü", ""])
    def test_a_link_needs_its_signature(self, api, signature):
        link = api.ask("GET", f"{EXP}/runs/{api.finished()}/artifacts/artifacturi/{RUN_LOG}")
        reply = httpx.get(link.partition("?")[0], params={"sig": signature})
        assert reply.status_code == 403


class TestMetrics:
    def test_logged_values_are_returned_by_name(self, api):
        path = f"{METRICS}/runs/{api.finished()}"
        assert api.ask("POST", f"{path}/list", json={})["value"] == []
        assert api.ask("POST", f"{path}/batch", json={"values": [METRIC]}) == {"errors": []}
        more = {**METRIC, "value": [{"data": {"loss": 0.25}}]}
        api.ask("POST", f"{path}/batch", json={"values": [more]})
        (name,) = api.ask("POST", f"{path}/list", json={})["value"]
        assert name["metricKey"]["name"] == "loss"
        found = api.ask("POST", f"{path}/full", json={"metricName": "loss"})
        assert [value["data"] for value in found["value"]] == [{"loss": 0.5}, {"loss": 0.25}]
        assert (found["columns"], found["properties"]["uxMetricType"]) == ({"loss": "double"}, "azureml.v1.scalar")

    def test_each_invalid_value_has_its_own_error(self, api):
        path = f"{METRICS}/runs/{api.finished()}"
        table = {**METRIC, "properties": {"uxMetricType": "azureml.v1.table"}}
        odd = {"name": "odd", "columns": {}, "value": [{"data": {"x": 1}}]}
        reply = api.ask("POST", f"{path}/batch", json={"values": [METRIC, table, odd, {}]})
        assert [error["metric"] for error in reply["errors"]] == [table, odd, {}]
        messages = [error["errorResponse"]["error"]["message"] for error in reply["errors"]]
        assert messages == ["Metric loss is of type azureml.v1.scalar, not azureml.v1.table.",
                            "columns does not contain x.", "name is required."]  # fmt: skip
        assert len(api.ask("POST", f"{path}/full", json={"metricName": "loss"})["value"]) == 1
        assert "Metric odd of run" in api.ask("POST", f"{path}/full", 404, json={"metricName": "odd"})
        assert "Run x was not found" in api.ask("POST", f"{METRICS}/runs/x/list", 404, json={})

    def test_a_step_logs_metrics(self):
        step = {"name": "work", "function": f"{__name__}:measure"}
        with serving({"pipelines": [{"name": "p", "id": "p", "steps": [step]}]}) as api:
            (record,) = api.steps(api.finished(pipeline="p"))
            path = f"{METRICS}/runs/{record['runId']}"
            rows = api.ask("POST", f"{path}/full", json={"metricName": "rows"})
            assert [value["data"] for value in rows["value"]] == [{"rows": 3}, {"rows": 4}]
            model = api.ask("POST", f"{path}/full", json={"metricName": "model"})
            assert (model["columns"], model["value"][0]["data"]) == ({"model": "string"}, {"model": "tree"})


def measure(context):
    """A step function."""
    context.log_metric("rows", 3)
    context.log_metric("rows", 4)
    context.log_metric("model", "tree")


class TestFailingOnDemand:
    def test_a_run_fails_at_the_step_that_it_names(self, api):
        wanted = {"emulator.fail_at": "fit", "emulator.fail_with": "no memory\nleft"}
        for key in ("tags", "Properties"):
            run_id = api.finished(**{key: wanted})
            record = api.run(run_id)
            assert (record["status"], [step["status"] for step in api.steps(run_id)]) == (
                "Failed",
                ["Completed", "Failed"],
            )
            assert record["error"]["error"]["message"] == "Step fit failed: no memory\nleft"
            step = api.steps(run_id)[1]
            log = api.get(f"{ARTIFACTS}/artifacts/content/ExperimentRun/dcid.{step['runId']}/{STEP_LOG}").text
            assert log == "fitting\nno memory\nleft\n"
        assert api.run(api.finished())["status"] == "Completed"

    def test_the_message_is_optional(self, api):
        run_id = api.finished(tags={"emulator.fail_at": "prepare"})
        assert "Step prepare failed: Requested by emulator.fail_at" in api.run(run_id)["error"]["error"]["message"]
        assert len(api.steps(run_id)) == 1

    def test_an_unknown_step_is_refused(self, api):
        path = f"{PIPELINES}/PipelineRuns/PipelineSubmit/train"
        body = {"ExperimentName": "exp", "tags": {"emulator.fail_at": "publish"}}
        assert "no step publish" in api.ask("POST", path, 400, json=body)


class TestOutputs:
    def test_outputs_of_a_run(self, azurite):
        container = azurite.container()
        store = {
            "name": "store",
            "account_name": azurite.account_name,
            "account_key": azurite.account_key,
            "container": container.container_name,
        }
        steps = [{"name": name, "function": f"{__name__}:write"} for name in ("one", "two")]
        seed = {"datastores": [store], "pipelines": [{"name": "p", "id": "p", "steps": steps}]}
        with serving(seed, blob_endpoint=azurite.blob_endpoint) as api:
            run_id = api.finished(pipeline="p")
            path = f"{PIPELINES}/PipelineRuns/{run_id}"
            output = api.ask("GET", f"{path}/PipelineRunOutputs/result.txt")
            place = output["DataLocation"]["DataReference"]["AzureBlobReference"]
            assert (place["RelativePath"], place["AmlDataStoreName"]) == ("out/two/result.txt", "store")
            assert place["Container"] == container.container_name
            assert "Output x of PipelineRun" in api.ask("GET", f"{path}/PipelineRunOutputs/x", 404)
            # Outputs stay known after their datastore is removed.
            api.emulator.state.datastores.clear()
            node = api.steps(run_id)[0]["tags"]["azureml.nodeid"]
            outputs = api.ask("POST", f"{path}/Outputs", json=[node])
            reference = outputs["result.txt"]["DataLocation"]["DataReference"]["AzureBlobReference"]
            assert (reference["RelativePath"], reference["Account"]) == ("out/one/result.txt", None)

    def test_a_missing_datastore_fails_the_step(self):
        steps = [{"name": "work", "function": f"{__name__}:measure"}]
        paths = [{"name": "input", "default": {"datastore": "gone", "path": "x"}}]
        seed = {**SEED, "pipelines": [{"name": "p", "id": "p", "data_paths": paths, "steps": steps}], "endpoints": []}
        with serving(seed) as api:
            record = api.run(api.finished(pipeline="p"))
            assert "Datastore gone was not found" in record["error"]["error"]["message"]


def write(context):
    """Write one blob."""
    context.write_blob("store", f"out/{context.step}/result.txt", b"x")
