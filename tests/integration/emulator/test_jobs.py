"""Jobs of the v2 API: one entity with the runs of run history, created once under the client's own id."""

from __future__ import annotations

import pytest
from support.services.workspace_api import ARTIFACTS, DATA, HISTORY, PIPELINES, SCOPE, job_body, serving

JOBS = f"{SCOPE}/jobs"
LITERAL = {"jobInputType": "literal", "value": "x"}
INPUT = {"input": {"jobInputType": "uri_folder", "uri": DATA}}


@pytest.fixture
def api():
    with serving() as running:
        yield running


def refusal(reply):
    """The codes of a refusal, the outer one first."""
    error = reply.json()["error"]
    codes = [error["code"]]
    inner = next((item["info"]["value"] for item in error["additionalInfo"] if item["type"] == "InnerError"), None)
    while inner:
        codes.append(inner["code"])
        inner = inner.get("innerError")
    return codes


class TestOneState:
    def test_a_job_is_a_run_of_run_history_under_the_same_id_immediately(self, api):
        job = api.put_job(tags={"a": "b"}, properties={"c": "d"}, displayName="shown", description="why")
        run = api.run("job-1")
        assert (job["name"], run["runId"], run["status"]) == ("job-1", "job-1", job["properties"]["status"])
        assert run["tags"] == {"a": "b"} == job["properties"]["tags"]
        assert run["properties"]["c"] == "d" == job["properties"]["properties"]["c"]
        assert run["properties"]["azureml.runsource"] == "azureml.PipelineRun"
        assert (run["displayName"], run["description"]) == ("shown", "why")

    def test_its_status_moves_by_time_in_both_dialects(self, api):
        api.put_job()
        seen = []
        for seconds in (0.1, 0.2, 60):
            api.emulator.clock.advance(seconds)
            seen.append((api.job()["status"], api.run("job-1")["status"]))
        assert seen == [("NotStarted",) * 2, ("Running",) * 2, ("Completed",) * 2]

    def test_the_steps_of_the_component_are_its_children_with_their_logs(self, api):
        api.put_job()
        assert api.steps("job-1") == []
        api.emulator.clock.advance(60)
        steps = api.steps("job-1")
        assert [(step["name"], step["runType"], step["parentRunId"]) for step in steps] == [
            ("prepare", "azureml.StepRun", "job-1"),
            ("fit", "azureml.StepRun", "job-1"),
        ]
        details = api.ask("GET", f"{HISTORY}/runs/{steps[1]['runId']}/details")
        assert api.get(details["logFiles"]["user_logs/std_log.txt"], headers={"Authorization": ""}).text == "fitting\n"
        path = f"{ARTIFACTS}/artifacts/prefix/contentinfo/ExperimentRun/dcid.job-1/logs"
        assert [item["path"] for item in api.ask("GET", path)["value"]] == ["logs/azureml/executionlogs.txt"]

    def test_a_step_has_no_properties_and_is_unknown_before_it_is_queued(self, api):
        api.put_job()
        second = api.emulator.state.runs["job-1"].steps[1].id
        assert "was not found" in api.ask("GET", f"{JOBS}/{second}", 404)
        api.emulator.clock.advance(60)
        step = api.ask("GET", f"{JOBS}/{second}")
        assert (step["name"], step["properties"]) == (second, None)

    @pytest.mark.parametrize("prefix", ["", "/experiments/exp"])
    def test_a_patch_of_run_history_changes_the_job(self, api, prefix):
        api.put_job(tags={"a": "b"})
        body = {"tags": {"airflow.cancel": "x"}, "properties": {"p": "1"}, "displayName": "n", "hidden": True}
        api.ask("PATCH", f"{HISTORY}{prefix}/runs/job-1", json=body)
        job = api.job()
        assert job["tags"] == {"a": "b", "airflow.cancel": "x"}
        assert (job["properties"]["p"], job["displayName"], job["isArchived"]) == ("1", "n", True)
        assert api.listed("/jobs") == []
        assert api.listed("/jobs?listViewType=ArchivedOnly") == ["job-1"]

    def test_the_pipelines_service_does_not_know_it(self, api):
        api.put_job()
        for method, part in (("GET", ""), ("DELETE", "/Execution"), ("POST", "/Graph/AllNodes/Status")):
            assert "was not found" in api.ask(method, f"{PIPELINES}/PipelineRuns/job-1{part}", 404)
        assert api.job()["status"] == "NotStarted"

    def test_jobs_do_not_know_the_runs_of_published_pipelines(self, api):
        run_id = api.submit()
        assert "was not found" in api.ask("GET", f"{JOBS}/{run_id}", 404)
        assert api.listed("/jobs") == []

    def test_queries_of_run_history_contain_it(self, api):
        api.put_job()
        body = {"filter": "RunId eq job-1"}
        found = api.ask("POST", f"{HISTORY}/experiments/exp/runs:query", json=body)["value"]
        assert [item["runId"] for item in found] == ["job-1"]

    def test_the_workspace_has_a_page_for_it(self, api):
        job = api.put_job(inputs=INPUT)
        page = api.get(job["properties"]["services"]["Studio"]["endpoint"], headers={"Authorization": ""})
        assert page.status_code == 200
        assert "fit_files:1" in page.text
        assert "job-1" in api.get("/runs").text
        (shown,) = api.get("/_emulator/runs").json()["runs"]
        assert (shown["component_id"], shown["data_paths"]) == (
            "fit_files:1",
            {"input": {"datastore": "store", "path": "in/"}},
        )


class TestInputs:
    def test_what_was_sent_comes_back(self, api):
        inputs = {
            **INPUT,
            "rate": {"jobInputType": "literal", "value": "0.25"},
            "table": {"jobInputType": "mltable", "uri": "azureml:t:1"},
        }
        settings = {"default_compute": f"{SCOPE}/computes/c", "continue_on_step_failure": True}
        job = api.put_job(inputs=inputs, settings=settings, outputs={}, jobs={})["properties"]
        assert (job["inputs"], job["settings"], job["outputs"]) == (inputs, settings, {})
        assert job["componentId"] == f"{SCOPE}/components/fit_files/versions/1"
        (run,) = api.emulator.state.runs.values()
        assert run.continue_on_step_failure
        assert api.emulator.state.effective_parameters(run) == {"rate": "0.25"}

    def test_defaults_are_those_of_the_component(self, api):
        api.put_job()
        (run,) = api.emulator.state.runs.values()
        assert api.emulator.state.effective_parameters(run) == {"rate": "0.5"}

    @pytest.mark.parametrize(
        "uri",
        [
            "azureml://datastores/store/paths/a/b.csv",
            f"azureml:/{SCOPE}/datastores/store/paths/a/b.csv",
            "azureml://subscriptions/s/resourcegroups/rg/workspaces/ws/datastores/store/paths/a/b.csv",
            f"azureml:{SCOPE}/datastores/store/paths/a/b.csv",
        ],
    )
    def test_all_forms_of_a_place_in_a_datastore(self, api, uri):
        api.put_job(inputs={"input": {"jobInputType": "uri_folder", "uri": uri}})
        (run,) = api.emulator.state.runs.values()
        assert {name: (path.datastore, path.path) for name, path in run.data_paths.items()} == {
            "input": ("store", "a/b.csv")
        }

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            ({}, "required input input"),
            ({**INPUT, "other": LITERAL}, "no input other"),
            ({"input": LITERAL}, "needs a uri"),
            ({**INPUT, "label": {"jobInputType": "uri_file", "uri": "azureml:x:1"}}, "needs a literal"),
            ({**INPUT, "rate": {"jobInputType": "literal", "value": 0.5}}, "not a text"),
            ({**INPUT, "rate": {"jobInputType": "Literal", "value": "0.5"}}, "jobInputType"),
            ({"input": {"jobInputType": "UriFolder", "uri": DATA}}, "jobInputType"),
            ({"input": {"jobInputType": "uri_folder"}}, "uri is required"),
            ({"input": {"jobInputType": "uri_folder", "uri": "azureml://datastores/x/paths/y"}}, "Datastore x"),
        ],
    )
    def test_inputs_that_do_not_fit_are_refused(self, api, inputs, message):
        assert message in api.put_job(status=400, inputs=inputs)
        assert api.emulator.state.runs == {}

    @pytest.mark.parametrize(
        ("component", "properties", "message"),
        [
            ("fit_files:9", {}, "was not found"),
            ("cook:1", {}, "type command"),
            (None, {"inputs": {}}, "componentId is required"),
            ("fit_files:1", {"jobType": "Command"}, "only Pipeline"),
            ("fit_files:1", {"experimentName": "a b"}, "Invalid experiment name"),
            ("fit_files:1", {"tags": {"emulator.fail_at": "x"}}, "no step x"),
        ],
    )
    def test_wrong_bodies_are_refused(self, api, component, properties, message):
        assert message in api.put_job(status=400, component=component, **properties)

    @pytest.mark.parametrize("reference", ["fit_files:2", "azureml:fit_files:2", f"azureml:{SCOPE.upper()}"])
    def test_a_component_by_text_or_arm_id_in_any_case(self, api, reference):
        given = f"{reference}/COMPONENTS/FIT_FILES/versions/2" if "/" in reference else reference
        body = job_body()
        body["properties"]["componentId"] = given
        api.ask("PUT", f"{JOBS}/job-1", 201, json=body)
        assert api.emulator.state.runs["job-1"].component_id == "fit_files:2"

    def test_a_job_can_copy_another(self, api):
        api.put_job(tags={"a": "b"})
        body = {"jobType": "Pipeline", "sourceJobId": f"{JOBS}/job-1", "experimentName": "", "isArchived": False}
        copy = api.ask("PUT", f"{JOBS}/job-2", 201, json={"properties": body})["properties"]
        assert (copy["experimentName"], copy["inputs"], copy["tags"]) == ("exp", INPUT, {})
        body["sourceJobId"] = f"{JOBS}/none"
        assert "was not found" in api.ask("PUT", f"{JOBS}/job-3", 400, json={"properties": body})

    def test_a_job_fails_on_demand(self, api):
        api.put_job(tags={"emulator.fail_at": "fit", "emulator.fail_with": "no memory"})
        api.emulator.clock.advance(60)
        assert api.job()["status"] == "Failed"
        assert "no memory" in api.run("job-1")["error"]["error"]["message"]

    @pytest.mark.parametrize("job_id", ["-a", "a.b", "a b", "x" * 256])
    def test_invalid_ids(self, api, job_id):
        assert "Invalid job name" in api.put_job(job_id, 400)

    def test_the_id_is_case_sensitive(self, api):
        api.put_job("Job")
        assert "was not found" in api.ask("GET", f"{JOBS}/job", 404)
        api.put_job("job")


class TestSecondPut:
    def test_the_same_body_answers_the_same_job(self, api):
        first = api.put_job(tags={"a": "b"}, properties={"c": "d"})
        assert api.put_job(status=200, tags={"a": "b"}, properties={"c": "d"}) == first
        assert len(api.emulator.state.runs) == 1

    def test_description_tags_name_and_new_properties_may_change(self, api):
        api.put_job(tags={"a": "b"}, properties={"c": "d"})
        changes = {"tags": {"a": "c", "e": "f"}, "properties": {"g": "h"}, "displayName": "n", "description": "d"}
        job = api.put_job(status=200, **changes, isArchived=True)["properties"]
        assert job["tags"] == {"a": "c", "e": "f"}
        assert (job["properties"]["c"], job["properties"]["g"]) == ("d", "h")
        assert (job["displayName"], job["description"], job["isArchived"]) == ("n", "d", True)

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"inputs": {**INPUT, "label": LITERAL}}, "inputs"),
            ({"component": "fit_files:2"}, "componentId"),
            ({"experimentName": "other"}, "experimentName"),
            ({"settings": {"default_compute": "c"}}, "settings"),
            ({"properties": {"c": "e"}}, "c"),
        ],
    )
    def test_everything_else_is_immutable(self, api, changes, named):
        first = api.put_job(properties={"c": "d"})
        reply = api.put(f"{JOBS}/job-1", json=job_body(**changes))
        assert (reply.status_code, refusal(reply)) == (400, ["UserError", "Immutable", "JobPropertyImmutable"])
        assert named in reply.json()["error"]["message"]
        assert api.ask("GET", f"{JOBS}/job-1") == first

    def test_the_id_of_another_run_is_taken(self, api):
        run_id = api.finished()
        step = api.steps(run_id)[0]["runId"]
        for taken in (run_id, step):
            assert "already that of another run" in api.put_job(taken, 400)

    @pytest.mark.parametrize("status", [400, 409])
    def test_put_again_refuses_even_the_same_body(self, status):
        with serving(quirks=[f"put_again={status}"]) as api:
            first = api.put_job()
            reply = api.put(f"{JOBS}/job-1", json=job_body())
            assert (reply.status_code, refusal(reply)) == (status, ["UserError", "Immutable", "JobPropertyImmutable"])
            assert api.ask("GET", f"{JOBS}/job-1") == first

    @pytest.mark.parametrize(("quirks", "tags"), [((), {"a": "b", "c": "d"}), (("put_replaces_tags",), {"a": "b"})])
    def test_tags_are_merged_or_replaced(self, quirks, tags):
        with serving(quirks=quirks) as api:
            api.put_job(tags={"a": "b"})
            api.ask("PATCH", f"{HISTORY}/runs/job-1", json={"tags": {"c": "d"}})
            assert api.put_job(status=200, tags={"a": "b"})["properties"]["tags"] == tags


class TestList:
    def test_newest_first_in_pages_with_an_opaque_token(self):
        with serving(quirks=["page_size=2"]) as api:
            for number in range(5):
                api.put_job(f"job-{number}")
            page = api.ask("GET", f"{JOBS}?api-version=2024-04-01")
            assert "api-version=2024-04-01" in page["nextLink"]
            assert api.listed("/jobs?jobType=Pipeline") == [f"job-{number}" for number in (4, 3, 2, 1, 0)]
            assert "nextLink" not in api.ask("GET", f"{JOBS}?tag=x")
            assert "continuationToken" in api.ask("GET", f"{JOBS}?$skip=2", 400)

    def test_filters(self, api):
        api.put_job("one", properties={"k": "1"}, tags={"t": "x"})
        api.put_job("two", properties={"k": "2", "l": "3"})
        for query, names in (
            ("properties=k", ["two", "one"]),
            ("properties=k=1", ["one"]),
            ("properties=k=2,l=3", ["two"]),
            ("properties=k=1,l=3", []),
            ("tag=t", ["one"]),
            ("tag=u", []),
            ("jobType=Command", []),
            ("listViewType=All", ["two", "one"]),
        ):
            assert api.listed(f"/jobs?{query}") == names, query
        assert "listViewType" in api.ask("GET", f"{JOBS}?listViewType=Some", 400)

    @pytest.mark.parametrize(("choice", "names"), [("names", ["two", "one"]), ("ignored", ["other", "two", "one"])])
    def test_a_filter_by_properties_can_find_too_much(self, choice, names):
        with serving(quirks=[f"properties_filter={choice}"]) as api:
            api.put_job("one", properties={"k": "1"})
            api.put_job("two", properties={"k": "2"})
            api.put_job("other")
            assert api.listed("/jobs?properties=k=1") == names

    def test_a_filter_by_properties_can_be_refused(self):
        with serving(quirks=["properties_filter=refused"]) as api:
            assert "Invalid filter" in api.ask("GET", f"{JOBS}?properties=k=1", 400)

    def test_a_new_job_can_be_listed_late(self):
        with serving(quirks=["list_lag=30s"]) as api:
            api.put_job()
            assert api.job()["status"] == "NotStarted"
            assert api.listed("/jobs") == []
            api.emulator.clock.advance(30)
            assert api.listed("/jobs") == ["job-1"]


class TestEnding:
    def test_a_cancelled_job_ends(self, api):
        api.put_job()
        api.emulator.clock.advance(1)
        reply = api.post(f"{JOBS}/job-1/cancel")
        assert (reply.status_code, reply.content) == (200, b"")
        assert (api.job()["status"], api.run("job-1")["status"]) == ("Canceled", "Canceled")

    def test_a_slow_cancellation_has_an_address_to_poll(self):
        with serving(quirks=["slow_cancel=10s"]) as api:
            api.put_job()
            api.emulator.clock.advance(1)
            reply = api.post(f"{JOBS}/job-1/cancel")
            assert (reply.status_code, reply.headers["Retry-After"]) == (202, "1")
            assert (api.job()["status"], api.run("job-1")["status"]) == ("CancelRequested", "CancelRequested")
            assert api.get(reply.headers["Location"]).status_code == 202
            api.emulator.clock.advance(10)
            assert api.get(reply.headers["Location"]).status_code == 204
            assert api.job()["status"] == "Completed"

    @pytest.mark.parametrize(("quirks", "status"), [((), 200), (("late_cancel_refused",), 400)])
    def test_cancelling_a_job_that_has_ended(self, quirks, status):
        with serving(quirks=quirks) as api:
            api.put_job()
            api.emulator.clock.advance(60)
            assert api.post(f"{JOBS}/job-1/cancel").status_code == status
            assert api.job()["status"] == "Completed"

    def test_a_job_is_deleted_after_its_end(self):
        with serving(quirks=["slow_delete=5s"]) as api:
            api.put_job()
            assert "has not ended" in api.ask("DELETE", f"{JOBS}/job-1", 400)
            api.emulator.clock.advance(60)
            step = api.steps("job-1")[0]["runId"]
            reply = api.delete(f"{JOBS}/job-1")
            assert (reply.status_code, api.get(reply.headers["Location"]).status_code) == (202, 202)
            api.emulator.clock.advance(5)
            assert api.get(reply.headers["Location"]).status_code == 204
            for path in (f"{JOBS}/job-1", f"{JOBS}/{step}", f"{HISTORY}/runs/job-1", f"{HISTORY}/runs/{step}"):
                assert "was not found" in api.ask("GET", path, 404)


class TestQuirks:
    def test_the_token_of_the_header_can_be_required(self):
        with serving(quirks=["job_token_required"]) as api:
            assert "x-azureml-token" in api.put_job(status=400)
            headers = {"x-azureml-token": "planted"}
            api.ask("PUT", f"{JOBS}/job-1", 201, json=job_body(), headers=headers)
            assert "planted" not in api.get("/_emulator/requests").text

    @pytest.mark.parametrize(
        ("quirk", "statuses"),
        [
            ("odd_statuses", ["Queued", "NotResponding", "Completed"]),
            ("null_status", [None, "Running", "Completed"]),
        ],
    )
    def test_statuses(self, quirk, statuses):
        with serving(quirks=[quirk]) as api:
            api.put_job()
            seen = []
            for seconds in (0.1, 0.2, 60):
                api.emulator.clock.advance(seconds)
                seen.append(api.job()["status"])
            assert seen == statuses

    @pytest.mark.parametrize(
        ("quirk", "tags", "found"), [("drop_tags", {}, ["job-1"]), ("drop_properties", {"a": "b"}, [])]
    )
    def test_marks_can_be_dropped(self, quirk, tags, found):
        with serving(quirks=[quirk]) as api:
            api.put_job(tags={"a": "b"}, properties={"k": "v"})
            api.put_job(status=200, tags={"a": "b"}, properties={"k": "v"})
            assert api.job()["tags"] == tags
            assert api.listed("/jobs?properties=k=v") == found

    def test_rest_statuses_leave_azure_resource_manager_alone(self):
        with serving(quirks=["rest_statuses"]) as api:
            api.put_job()
            assert api.post(f"{JOBS}/job-1/cancel").status_code == 200

    def test_run_history_can_know_a_job_late(self):
        with serving(quirks=["history_late=20s"]) as api:
            api.put_job()
            assert "was not found" in api.ask("GET", f"{HISTORY}/runs/job-1", 404)
            assert api.job()["status"] == "NotStarted"
            api.emulator.clock.advance(20)
            assert api.run("job-1")["status"] == "Completed"


class TestFaults:
    def test_a_lost_reply_leaves_the_job(self, api):
        api.emulator.faults.add("status", method="PUT", path="*/jobs/job-1", status=503, after_commit=True)
        assert api.put(f"{JOBS}/job-1", json=job_body()).json()["error"]["code"] == "ServiceError"
        assert api.put_job(status=200)["name"] == "job-1"

    def test_a_refused_request_leaves_nothing(self, api):
        api.emulator.faults.add("status", method="PUT", path="*/jobs/*", status=503)
        api.put(f"{JOBS}/job-1", json=job_body())
        assert "was not found" in api.ask("GET", f"{JOBS}/job-1", 404)
        logged = [(item["status"], item["fault"]) for item in api.emulator.requests("PUT", "/jobs/job-1")]
        assert logged == [(503, "status")]

    def test_a_request_needs_a_token(self, api):
        reply = api.get(f"{JOBS}/x", headers={"Authorization": ""})
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "AuthenticationFailed")


class TestReferences:
    @pytest.mark.parametrize(
        "reference",
        [f"{SCOPE}/components/fit_files/labels/default", "fit_files@latest", "azureml:fit_files@default"],
    )
    def test_a_label_names_the_newest_version(self, api, reference):
        api.put_job(componentId=reference)
        assert api.emulator.state.runs["job-1"].component_id == "fit_files:2"

    def test_a_label_of_an_unknown_component_is_refused(self, api):
        assert "was not found" in api.put_job(status=400, componentId="none@latest")

    @pytest.mark.parametrize("reference", ["azureml:job-1", "job-1", f"{SCOPE}/jobs/job-1"])
    def test_every_way_to_name_a_source(self, api, reference):
        api.put_job()
        api.ask("PUT", f"{JOBS}/job-2", 201, json={"properties": {"jobType": "Pipeline", "sourceJobId": reference}})
        assert api.job("job-2")["inputs"] == api.job()["inputs"]


def test_a_run_has_no_interactive_services(api):
    api.put_job()
    assert api.ask("GET", f"{HISTORY}/runs/job-1/serviceinstances/0") == {"instances": {}}
    assert "was not found" in api.ask("GET", f"{HISTORY}/runs/none/serviceinstances/0", 404)
