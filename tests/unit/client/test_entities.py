"""Replies are read tolerantly where the service is known to vary, and never as an end that is none."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.client.entities import (
    Datastore,
    HistoryRun,
    PipelineEndpoint,
    PipelineInterface,
    PipelineRun,
    PublishedPipeline,
    RunDetails,
    RunState,
    Workspace,
    read_time,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FINAL = {"failed", "finished", "canceled", 2, 3, 4}


def run(**wire):
    return PipelineRun.from_wire({"Id": "r", **wire})


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("NotStarted", RunState.NOT_STARTED),
        ("Running", RunState.RUNNING),
        ("Failed", RunState.FAILED),
        ("Finished", RunState.FINISHED),
        ("Canceled", RunState.CANCELED),
        ("Queued", RunState.QUEUED),
        ("finished", RunState.FINISHED),
        *enumerate([RunState.NOT_STARTED, RunState.RUNNING, RunState.FAILED, RunState.FINISHED, RunState.CANCELED]),
        ("0", RunState.NOT_STARTED),
        ("1", RunState.RUNNING),
        ("2", RunState.FAILED),
        ("3", RunState.FINISHED),
        ("4", RunState.CANCELED),
        (None, RunState.NOT_STARTED),
        ("", RunState.NOT_STARTED),
    ],
)
def test_a_status_is_read_as_name_number_or_digits(code, state):
    assert run(Status={"StatusCode": code}).state is state


@pytest.mark.parametrize(
    "code",
    ["Unknown", "Preparing", "CancelRequested", "Completed", " Finished", "Finished!", 5, -1, -2, "5", "-1", 3.0],
)
def test_an_unknown_status_is_never_final_and_keeps_its_text(code):
    seen = run(Status={"StatusCode": code})
    assert seen.state is RunState.UNKNOWN
    assert not seen.state.is_final
    assert seen.status == str(code)


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.floats()))
def test_nothing_else_ends_a_run(code):
    try:
        known = code.lower() in FINAL or (code.isdecimal() and int(code) in FINAL)
    except AttributeError:
        known = code in FINAL and not isinstance(code, (bool, float))
    assert run(Status={"StatusCode": code}).state.is_final is known


@pytest.mark.parametrize("status", [None, {}, {"StatusCode": None}])
def test_no_status_yet_means_not_started(status):
    assert run(Status=status).state is RunState.NOT_STARTED
    assert run().state is RunState.NOT_STARTED


def test_three_states_are_final():
    assert {state for state in RunState if state.is_final} == {RunState.FAILED, RunState.FINISHED, RunState.CANCELED}


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22T11:18:28.4936870Z", datetime(2026, 11, 22, 11, 18, 28, 493687, UTC)),
        ("2019-10-22T15:29:26.2249236+00:00", datetime(2019, 10, 22, 15, 29, 26, 224923, UTC)),
        ("2026-11-22T11:18:28Z", datetime(2026, 11, 22, 11, 18, 28, tzinfo=UTC)),
        ("2026-11-22T11:18:28.5", datetime(2026, 11, 22, 11, 18, 28, 500000, UTC)),
        ("1970-01-01T00:00:00", datetime(1970, 1, 1, tzinfo=UTC)),
        ("2026-11-22T20:18:28+09:00", datetime(2026, 11, 22, 20, 18, 28, tzinfo=timezone(timedelta(hours=9)))),
        ("yesterday", None),
        ("", None),
        (None, None),
        (5, None),
        ({}, None),
    ],
)
def test_a_moment_in_the_forms_of_the_service(text, moment):
    assert read_time(text) == moment
    if moment is not None:
        assert read_time(text).tzinfo is not None


@given(JSON)
def test_no_moment_breaks_reading(value):
    assert read_time(value) is None or isinstance(read_time(value), datetime)


def test_a_run_needs_nothing_but_its_id():
    assert run() == PipelineRun(
        id="r",
        state=RunState.NOT_STARTED,
        status="NotStarted",
        detail="",
        experiment_name="",
        pipeline_id="",
        tags={},
        properties={},
        created=None,
    )


def test_the_old_services_reply_is_read():
    """Published in 2019: numbers for enumerations, seven digits of a second, an epoch for want of a date."""
    seen = run(
        Status={"StatusCode": 1, "StatusDetail": None, "CreationTime": "2019-10-22T15:29:26.2249236+00:00"},
        RunHistoryExperimentName="exp_191018132824",
        PipelineId="b4895c69",
        RunType=2,
        tags={},
        Properties={},
        EntityStatus=0,
        CreatedDate="1970-01-01T00:00:00",
    )
    assert (seen.state, seen.experiment_name) == (RunState.RUNNING, "exp_191018132824")
    assert seen.created.year == 2019


@pytest.mark.parametrize("key", ["tags", "Tags"])
def test_tags_are_read_under_both_names_with_values_as_text(key):
    assert run(**{key: {"a": "1", "b": None, "c": 5}}).tags == {"a": "1", "b": "", "c": "5"}


@pytest.mark.parametrize("bag", [None, [], "text", 5])
def test_tags_that_are_none_are_none(bag):
    assert run(tags=bag, Properties=bag).tags == {}


@pytest.mark.parametrize(
    ("status", "name", "active"),
    [
        ("Active", "Active", True),
        ("Disabled", "Disabled", False),
        ("Deprecated", "Deprecated", False),
        (0, "Active", True),
        (1, "Deprecated", False),
        (2, "Disabled", False),
        ("0", "Active", True),
        ("2", "Disabled", False),
        (-1, "-1", False),
        ("Strange", "Strange", False),
        (None, "", False),
    ],
)
def test_an_entitys_status_as_name_number_or_digits(status, name, active):
    wire = {"Id": "x", "EntityStatus": status, "PipelineVersionList": []}
    for entity in (PublishedPipeline.from_wire(wire), PipelineEndpoint.from_wire(wire)):
        assert (entity.status, entity.is_active) == (name, active)


def test_a_pipeline_and_an_endpoint_need_nothing_but_their_ids():
    assert PublishedPipeline.from_wire({"Id": "p"}).name == ""
    assert PipelineEndpoint.from_wire({"Id": "e", "PipelineVersionList": None}).versions == {}


def test_keys_are_matched_in_the_services_own_case():
    for kind in (PublishedPipeline, PipelineEndpoint, PipelineRun):
        with pytest.raises(KeyError):
            kind.from_wire({"id": "x", "name": "y"})


def test_an_interface_is_read():
    interface = PipelineInterface.from_wire(
        {
            "Parameters": [
                {"Name": "i", "Type": 0, "DefaultValue": "5"},
                {"Name": "f", "Type": "1", "DefaultValue": None, "IsOptional": True},
                {"Name": "b", "Type": "Bool"},
                {"Name": "s", "Type": "String", "DefaultValue": ""},
                {"Name": "u"},
            ],
            "DataPathParameters": [{"Name": "input"}],
            "DataPathParameterList": [{"Name": "data"}],
        }
    )
    types = {name: parameter.type for name, parameter in interface.parameters.items()}
    assert types == {"i": "Int", "f": "Double", "b": "Bool", "s": "String", "u": "Undefined"}
    assert {name for name, parameter in interface.parameters.items() if parameter.required} == {"b", "u"}
    assert (interface.data_paths, interface.datasets) == ({"input"}, {"data"})


def test_an_interface_may_be_empty():
    for wire in ({}, {"Parameters": None, "DataPathParameters": None, "DataPathParameterList": None}):
        interface = PipelineInterface.from_wire(wire)
        assert not interface.parameters
        assert not interface.data_paths | interface.datasets


def test_a_history_run_shows_its_best_name():
    assert HistoryRun.from_wire({"runId": "r"}).name == "r"
    assert HistoryRun.from_wire({"runId": "r", "name": "n"}).name == "n"
    assert HistoryRun.from_wire({"runId": "r", "name": "n", "displayName": "d"}).name == "d"


@pytest.mark.parametrize("bag", ["tags", "properties"])
def test_a_step_knows_its_node(bag):
    assert HistoryRun.from_wire({"runId": "r", bag: {"azureml.nodeid": "n"}}).node_id == "n"
    assert HistoryRun.from_wire({"runId": "r"}).node_id == ""


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        ({}, ""),
        ({"error": None}, ""),
        ({"error": {"error": None}}, ""),
        ({"error": {"error": {"message": None}}}, ""),
        ({"error": {"error": {"message": "boom"}}}, "boom"),
    ],
)
def test_a_runs_error_is_found_and_its_signed_links_are_not_shown(wire, error):
    details = RunDetails.from_wire({**wire, "logFiles": {"a.txt": "https://h/a?sig=SECRET"}})
    assert details.error == error
    assert "SECRET" not in repr(details)


def test_a_datastore_needs_nothing_but_its_name_and_never_shows_its_keys():
    store = Datastore.from_wire({"name": "d"})
    assert (store.kind, store.account, store.protocol, store.endpoint) == ("", "", "https", "core.windows.net")
    assert store.credential_type == "None"
    section = {"accountKey": "SECRET", "sasToken": "sig=SECRET", "credential": "SECRET"}
    store = Datastore.from_wire({"name": "d", "azureStorageSection": section})
    assert (store.account_key, store.sas_token) == ("SECRET", "sig=SECRET")
    assert "SECRET" not in repr(store)
    assert "SECRET" not in str(store)


def test_a_workspace_needs_nothing():
    assert Workspace.from_wire({}) == Workspace("", "", "", "")
    assert Workspace.from_wire({"properties": None}).discovery_url == ""


@given(st.sampled_from([PublishedPipeline, PipelineEndpoint, PipelineRun, HistoryRun, Datastore]), JSON)
def test_whatever_comes_is_read_or_refused_in_a_way_that_the_protocol_knows(kind, value):
    keys = ("Status", "EntityStatus", "PipelineVersionList", "tags", "properties", "azureStorageSection", "createdUtc")
    for key in keys:
        wire = {"Id": "x", "runId": "x", "name": "x", key: value}
        with contextlib.suppress(LookupError, TypeError, ValueError, AttributeError):
            kind.from_wire(wire)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("NotStarted", RunState.NOT_STARTED),
        (None, RunState.NOT_STARTED),
        *dict.fromkeys(("Starting", "Provisioning", "Preparing", "Running", "Finalizing"), RunState.RUNNING).items(),
        ("Queued", RunState.QUEUED),
        ("CancelRequested", RunState.RUNNING),
        ("NotResponding", RunState.RUNNING),
        ("Paused", RunState.RUNNING),
        ("Completed", RunState.FINISHED),
        ("Failed", RunState.FAILED),
        ("Canceled", RunState.CANCELED),
        ("Unknown", RunState.UNKNOWN),
        ("Finished", RunState.UNKNOWN),
        ("completed?", RunState.UNKNOWN),
    ],
)
def test_the_status_of_a_job_is_the_run_historys(status, state):
    job = PipelineRun.from_job({"name": "j", "properties": {"status": status}})
    assert job.state is state
    assert job.status == (status or "NotStarted")


def test_only_literals_are_a_jobs_parameters():
    inputs = {
        "a": {"jobInputType": "literal", "value": "1"},
        "b": {"jobInputType": "Literal", "value": None},
        "c": {"jobInputType": "uri_folder", "uri": "azureml://x"},
        "d": None,
    }
    assert PipelineRun.from_job({"name": "j", "properties": {"inputs": inputs}}).parameters == {"a": "1", "b": ""}


def test_a_step_of_a_job_is_not_a_run():
    with pytest.raises(TypeError, match="no properties"):
        PipelineRun.from_job({"name": "j-step", "properties": None})
