"""Requests that no capture shows, and the records that are read from their replies."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime

import pytest

from aml_provider.client import calls
from aml_provider.client.calls.call import Call, next_page
from aml_provider.client.calls.filters import PIPELINE_RUNS, all_of, status_is, tag_equals
from aml_provider.client.entities import (
    Experiment,
    MetricValue,
    Output,
    PipelineEndpoint,
    PipelineInterface,
    PipelineRun,
    PipelineSummary,
    RunState,
    Schedule,
    StepStatus,
    read_time,
)
from aml_provider.client.entities.runs import HistoryRun
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.models import DataPath

WIRE = {"name": "store", "dataStoreType": "AzureBlob"}


@pytest.mark.parametrize(
    ("call", "request_line", "query", "body"),
    [
        (calls.list_pipeline_summaries(), "GET pipelines /Pipelines/View", {"activeOnly": "true"}, None),
        (calls.get_pipeline_summary("p"), "GET pipelines /Pipelines/p/View", {}, None),
        (calls.publish_pipeline({"Name": "n"}), "POST pipelines /Pipelines/Create", {}, {"Name": "n"}),
        (calls.get_graph("g"), "GET pipelines /Graphs/g", {}, None),
        (
            calls.create_endpoint("n", "p", "d"),
            "POST pipelines /PipelineEndpoints/Create",
            {},
            {"Name": "n", "Description": "d", "PipelineId": "p", "Properties": {}},
        ),
        (
            calls.update_endpoint("e", {"Name": "n", "Description": None, "tags": {"k": None}}),
            "PUT pipelines /PipelineEndpoints/e",
            {},
            {"Name": "n", "tags": {"k": None}},
        ),
        (
            calls.list_pipelines_of_endpoint("e", active_only=False),
            "GET pipelines /PipelineEndpoints/e/pipelines",
            {"activeOnly": "false"},
            None,
        ),
        (calls.list_step_statuses("r"), "POST pipelines /PipelineRuns/r/Graph/AllNodes/Status", {}, []),
        (calls.list_step_status_codes("r"), "POST pipelines /PipelineRuns/r/Graph/AllNodes/StatusCode", {}, []),
        (calls.get_step_status("r", "n"), "POST pipelines /PipelineRuns/r/Graph/Node/Status", {}, ["n"]),
        (calls.get_step_status_code("r", "n"), "POST pipelines /PipelineRuns/r/Graph/Node/StatusCode", {}, ["n"]),
        (calls.list_step_outputs("r", "n"), "POST pipelines /PipelineRuns/r/Outputs", {}, ["n"]),
        (calls.get_pipeline_output("r", "o"), "GET pipelines /PipelineRuns/r/PipelineRunOutputs/o", {}, None),
        (calls.find_history_run("r"), "GET history /runs/r", {}, None),
        (
            calls.untag_run("x", "r", ["a", "b"]),
            "DELETE history /experiments/x/runs/r/tags",
            {},
            ["a", "b"],
        ),
        (
            calls.tag_run("x", "r", {"flag": None}),
            "PATCH history /experiments/x/runs/r",
            {},
            {"runId": "r", "tags": {"flag": None}},
        ),
        (
            calls.set_run_properties("x", "r", {"k": "v"}),
            "PATCH history /experiments/x/runs/r",
            {},
            {"runId": "r", "properties": {"k": "v"}},
        ),
        (
            calls.set_run_display_name("x", "r", "n"),
            "PATCH history /experiments/x/runs/r",
            {},
            {"runId": "r", "displayName": "n"},
        ),
        (
            calls.set_run_description("x", "r", "d"),
            "PATCH history /experiments/x/runs/r",
            {},
            {"runId": "r", "description": "d"},
        ),
        (calls.get_experiment("x", view="All"), "GET history /experiments/x", {"viewType": "All"}, None),
        (calls.get_experiment_by_id("i"), "GET history /experimentids/i", {}, None),
        (calls.create_experiment("x"), "POST history /experiments/x", {}, None),
        (
            calls.query_experiments(view="All", filter_text="(name eq x)", limit=5),
            "POST history /experiments:query",
            {},
            {"viewType": "All", "filter": "(name eq x)", "top": 5},
        ),
        (calls.update_experiment("i", {"archive": True}), "PATCH history /experimentids/i", {}, {"archive": True}),
        (calls.untag_experiment("i", ["k"]), "POST history /experimentids/i/tags:delete", {}, {"tags": ["k"]}),
        (calls.delete_experiment("i"), "DELETE history /experimentids/i", {}, None),
        (calls.get_default_datastore(), "GET datastore /default", {}, None),
        (calls.set_default_datastore("s"), "PUT datastore /default/s", {}, None),
        (
            calls.register_datastore(WIRE, create_if_not_exists=False),
            "POST datastore /datastores",
            {"createIfNotExists": "false", "skipValidation": "false"},
            WIRE,
        ),
        (
            calls.update_datastore("store", WIRE, skip_validation=True),
            "PUT datastore /datastores/store",
            {"createIfNotExists": "false", "skipValidation": "true"},
            WIRE,
        ),
        (calls.delete_datastore("store"), "DELETE datastore /datastores/store", {}, None),
        (calls.list_artifacts("dcid.r"), "GET artifact /artifacts/ExperimentRun/dcid.r", {}, None),
        (
            calls.get_artifact_link("dcid.r", "user logs/a.txt"),
            "GET artifact /artifacts/contentinfo/ExperimentRun/dcid.r/user%20logs/a.txt",
            {},
            None,
        ),
        (calls.list_run_artifacts("x", "r"), "GET history /experiments/x/runs/r/artifacts", {}, None),
        (
            calls.trigger_job_schedule("s", datetime(2026, 11, 29, 12, 2, 9, tzinfo=UTC)),
            "POST arm /schedules/s/trigger",
            {"api-version": "2024-01-01-preview"},
            {"scheduleTime": "2026-11-29T12:02:09+00:00"},
        ),
        (
            calls.list_jobs_of_schedule("s"),
            "GET arm /jobs",
            {
                "api-version": "2024-01-01-preview",
                "scheduled": "true",
                "scheduleId": "s",
                "listViewType": "ActiveOnly",
            },
            None,
        ),
        (calls.list_metrics("r"), "POST metric /runs/r/list", {}, {}),
        (calls.get_metric("r", "loss"), "POST metric /runs/r/full", {}, {"metricName": "loss"}),
    ],
    ids=lambda value: value.operation if isinstance(value, Call) else None,
)
def test_a_call_sends_this_request(call, request_line, query, body):
    assert f"{call.method} {call.service} {call.path}" == request_line
    assert dict(call.query) == query
    assert call.body == body


def test_what_must_not_be_sent_twice_is_not():
    once = {name for name in calls.__all__ if "repeatable=False" in inspect.getsource(vars(calls)[name])}
    assert once == {
        "create_endpoint",
        "create_experiment",
        "create_schedule",
        "delete_datastore",
        "delete_experiment",
        "publish_pipeline",
        "put_job_schedule",
        "register_datastore",
        "submit_job",
        "trigger_job_schedule",
        "update_datastore",
        "update_endpoint",
        "update_schedule",
    }
    assert not calls.submit_pipeline("p", {}).repeatable
    assert not calls.submit_endpoint("e", {}).repeatable


def test_every_call_can_be_reached_by_its_name():
    assert calls.__all__ == sorted(calls.__all__)
    made = {name: item for name, item in vars(calls).items() if inspect.isfunction(item)}
    assert set(calls.__all__) == {"Call", *made}
    assert {item.__module__.rpartition(".")[0] for item in made.values()} == {calls.__name__}
    assert all(str(inspect.signature(item).return_annotation).startswith("Call[") for item in made.values())


@pytest.mark.parametrize("path", ["", "a//b", "../x", "a/..", "/a"])
def test_a_path_of_a_file_leads_nowhere_else(path):
    with pytest.raises(InvalidArgument):
        calls.get_artifact_link("c", path)


@pytest.mark.parametrize("view", ["", "active", "Some", None])
def test_a_view_that_there_is_not(view):
    with pytest.raises(InvalidArgument, match=r"^view: "):
        calls.query_experiments(view=view)


@pytest.mark.parametrize("size", [0, -1, True, "5", None, 1.5])
def test_an_invalid_batch_size_is_refused(size):
    with pytest.raises(InvalidArgument, match=r"^batch_size: "):
        calls.list_endpoints(batch_size=size)


class TestFilters:
    def test_a_tag_has_a_value_or_is_there(self):
        assert tag_equals("k", "v w") == '(Tags/k eq "v w")'
        assert tag_equals("k", "v", quoted=False) == "(Tags/k eq v)"
        assert tag_equals("k", None) == "(Tags/k ne null or Tags/k eq null)"

    @pytest.mark.parametrize("name", ["", "a b", 'a"', "a)", "a/b", None, 5])
    def test_a_name_that_could_say_something_else(self, name):
        with pytest.raises(InvalidArgument, match=r"^tags"):
            tag_equals(name, "v")

    @pytest.mark.parametrize(("value", "quoted"), [('a" or "b', True), ("a or b", False), ("a)", False), ("", False)])
    def test_a_value_that_could_say_something_else(self, value, quoted):
        with pytest.raises(InvalidArgument, match=r"^tags"):
            tag_equals("k", value, quoted=quoted)

    def test_filters_are_joined_with_and_and_or(self):
        assert all_of([PIPELINE_RUNS, status_is(RunState.QUEUED.history_words)]).endswith(" and (Status eq Queued))")
        assert status_is(["A", "B"]) == "(Status eq A or Status eq B)"


class TestRecords:
    @pytest.mark.parametrize("state", [state for state in RunState if state is not RunState.UNKNOWN])
    def test_the_histories_words_lead_to_the_same_states(self, state):
        assert state.history_words
        for word in state.history_words:
            run = PipelineRun.from_history(HistoryRun.from_wire({"runId": "r", "status": word}), "x")
            assert (run.state, run.status) == (state, word)

    @pytest.mark.parametrize("word", ["Finished", "completed", "Done", "", "3"])
    def test_a_word_that_the_history_does_not_have_ends_nothing(self, word):
        run = PipelineRun.from_history(HistoryRun.from_wire({"runId": "r", "status": word}), "x")
        assert not run.state.is_final

    def test_a_pipeline_and_its_latest_run(self):
        wire = {
            "PipelineEntity": {"Id": "p", "Name": "n"},
            "LastRunId": "r",
            "LastRunStatus": "Finished",
            "TotalRuns": 2,
        }
        found = PipelineSummary.from_wire(wire)
        assert (found.pipeline.id, found.last_run_id, found.last_run_status, found.total_runs) == (
            "p",
            "r",
            "Finished",
            2,
        )
        without = PipelineSummary.from_wire({"PipelineEntity": {"Id": "p"}})
        assert (without.last_run_id, without.last_run_status, without.total_runs) == ("", "", None)
        assert (
            PipelineSummary.from_wire({**wire, "LastRunStatus": {"StatusCode": "Failed"}}).last_run_status == "Failed"
        )

    def test_defaults_come_from_either_place(self):
        wire = {"Parameters": [{"Name": "a"}, {"Name": "b", "DefaultValue": "own"}, {"Name": "c"}]}
        interface = PipelineInterface.from_wire(wire).with_defaults({"a": "1", "b": "2", "z": "3"})
        shown = {name: (item.default, item.required) for name, item in interface.parameters.items()}
        assert shown == {"a": ("1", False), "b": ("own", False), "c": (None, True)}

    @pytest.mark.parametrize(
        ("kind", "name"), [("AzureBlob", "AzureBlob"), (1, "AzureBlob"), ("6", "AzureDataLakeGen2")]
    )
    def test_an_output_is_read_with_its_place_and_without_its_signature(self, kind, name):
        place = {
            "Container": "c",
            "Account": "a",
            "RelativePath": "p",
            "AmlDataStoreName": "s",
            "Uri": "https://x?sig=y",
        }
        reference = {"Type": kind, "AzureBlobReference": place, "AzureFilesReference": None}
        found = Output.from_wire({"PhysicalSizeInBytes": 5, "DataLocation": {"DataReference": reference}})
        assert (found.type, found.size, found.data_path) == (name, 5, DataPath("s", "p"))
        assert (found.container, found.account) == ("c", "a")
        assert "sig=y" not in repr(found)
        assert Output.from_wire({}).data_path == DataPath("", "")

    @pytest.mark.parametrize(
        ("code", "name"), [(4, "Finished"), ("4", "Finished"), ("Finished", "Finished"), (3, "Failed")]
    )
    def test_a_step_has_numbers_of_its_own(self, code, name):
        """Finished is 3 for a run and 4 for a step."""
        assert StepStatus.from_wire({"StatusCode": code}).status == name
        assert calls.get_step_status_code("r", "n").parse(code) == name

    def test_an_experiment_is_archived_though_the_moment_cannot_be_read(self):
        assert Experiment.from_wire({"experimentId": "e", "archivedTime": "long ago"}).is_archived
        assert not Experiment.from_wire({"experimentId": "e", "archivedTime": None}).is_archived

    def test_a_metrics_value_is_a_number_or_a_row(self):
        assert MetricValue.from_wire({"data": {"loss": 0.5}, "step": 1}).value == 0.5
        assert MetricValue.from_wire({"data": {"x": 1, "y": 2}}).value == {"x": 1, "y": 2}

    def test_an_endpoint_keeps_what_the_service_said(self):
        wire = {"Id": "e", "PipelineVersionList": [{"Version": "0", "PipelineId": "p"}], "New": [1]}
        assert PipelineEndpoint.from_wire(wire).wire == wire
        assert PipelineEndpoint.from_wire({"Id": "e", "PipelineVersionList": None}).versions == {}

    @pytest.mark.parametrize("key", ["PipelineSubmissionInfo", "Recurrence", "DataStoreTriggerInfo"])
    def test_a_malformed_part_of_a_schedule_is_noticed_when_it_is_read(self, key):
        with pytest.raises(TypeError, match=key):
            Schedule.from_wire({"Id": "s", key: "text"})

    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("/Date(1571758166000)/", "2019-10-22T15:29:26+00:00"),
            ("/Date(1571758166000+0900)/", "2019-10-22T15:29:26+00:00"),
            ("Tue, 22 Oct 2019 15:29:26 GMT", "2019-10-22T15:29:26+00:00"),
            ("2019-10-22 15:29:26", "2019-10-22T15:29:26+00:00"),
        ],
    )
    def test_other_forms_of_a_moment(self, text, moment):
        assert read_time(text).isoformat() == moment

    @pytest.mark.parametrize("text", ["/Date(99999999999999999)/", "/Date(x)/", "Someday, 99 Foo 2019", "\ud800"])
    def test_a_time_that_cannot_be_read_is_none(self, text):
        assert read_time(text) is None


@pytest.mark.parametrize(
    ("wire", "token"),
    [
        ([], None),
        ({}, None),
        ({"continuationToken": ""}, None),
        ({"continuationToken": None, "nextLink": None}, None),
        ({"continuationToken": "t", "nextLink": "https://x?skipToken=u"}, "t"),
        ({"continuationToken": 5}, "5"),
        ({"nextLink": "https://x/?$skiptoken=u"}, "u"),
    ],
)
def test_the_token_of_the_next_page(wire, token):
    assert next_page(wire, "key") == (None if token is None else (("key", token),))


@pytest.mark.parametrize(
    ("query", "tokens"),
    [
        ("$skip=a%2Fb%3D", (("$skip", "a/b="),)),
        ("%24skipToken=u", (("$skipToken", "u"),)),
        ("$skip=20&$skiptoken=u&count=30", (("$skip", "20"), ("$skiptoken", "u"))),
    ],
)
def test_the_links_of_azure_resource_manager_have_tokens_of_their_own(query, tokens):
    wire = {"nextLink": f"https://x/jobs?api-version=v&{query}"}
    assert next_page(wire, "$skip") == tokens
    assert Call("list", "GET", "arm", "/jobs", tuple, (("count", "30"),), page_key="$skip").page(tokens).query == (
        ("count", "30"),
        *tokens,
    )


@pytest.mark.parametrize(
    ("query", "key"), [("$top=5", "$skip"), ("$skip=20", "continuationToken"), ("$skip=", "$skip")]
)
def test_a_link_without_a_token_is_not_the_end_of_the_list(query, key):
    with pytest.raises(ValueError, match="no token"):
        next_page({"nextLink": f"https://x/jobs?{query}"}, key)


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        ({}, {}),
        ({"tag": "airflow.key"}, {"tag": "airflow.key"}),
        ({"properties": {"a": "b", "c": None}}, {"properties": "a=b,c"}),
    ],
)
def test_jobs_are_filtered(arguments, query):
    always = {"api-version": "2024-04-01", "jobType": "Pipeline", "listViewType": "ActiveOnly"}
    assert dict(calls.list_jobs(**arguments).query) == {**always, **query}


@pytest.mark.parametrize("properties", [{"a": "b,c"}, {"a": "b=c"}, {"a,b": None}])
def test_a_filter_that_could_mean_something_else_is_not_sent(properties):
    with pytest.raises(InvalidArgument, match="properties: has"):
        calls.list_jobs(properties=properties)
