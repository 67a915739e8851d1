"""What is kept of the run history's answers about many runs."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
from support.drivers.driving import play, reply, session

from aml_provider.client import calls
from aml_provider.client.errors import MalformedReply
from aml_provider.client.http.messages import flow_of
from aml_provider.client.polling.queries import StatusRow, list_steps_of, query_statuses

CAPTURE = Path(__file__).parents[3] / "captures" / "experiment_runs_filtered.json"


def ask(flow, *answers):
    """A flow's result, or the error that came out of it."""
    bodies = [reply(body=answer if isinstance(answer, bytes) else json.dumps(answer).encode()) for answer in answers]
    return play(session().run(flow), *bodies)[0]


def statuses(*answers):
    return ask(flow_of(query_statuses("exp", ["a", "b"])), *answers)


def steps(*answers):
    return ask(list_steps_of("exp", ["a", "b"]), *answers)


def record(run_id, status="Running", **others):
    """A run with as much in it as a real one has."""
    return {
        "runId": run_id,
        "status": status,
        "tags": {"value": "x"},
        "properties": {"runId": None, "azureml.runsource": "azureml.StepRun"},
        "createdBy": {"userObjectId": "u", "userName": "n"},
        "lastModifiedBy": {"userObjectId": "u", "userName": "n"},
        "runDefinition": {"runId": 7, "outputs": [{"value": [1]}]},
        "inputs": [],
        "outputs": {},
        "token": None,
        **others,
    }


def test_a_real_answer_is_what_the_whole_records_say():
    (exchange,) = [
        item for item in json.loads(CAPTURE.read_text())["exchanges"] if item["request"]["path"].endswith("runs:query")
    ]
    answer = exchange["response"]["json"]
    whole = ask(flow_of(calls.query_runs("exp", "x")), answer)
    assert whole
    assert statuses(answer) == tuple(StatusRow(run.id, run.status) for run in whole)


def test_what_is_within_a_record_is_none():
    answer = {"value": [record("a", parent=record("c")), record("b", None)]}
    assert statuses(answer) == (("a", "Running"), ("b", "NotStarted"))


@pytest.mark.parametrize(
    "envelope", [{"value": [record("a")]}, {"Value": [record("a")], "nextLink": None}, [record("a")]]
)
def test_each_envelope_is_opened(envelope):
    assert statuses(envelope) == (("a", "Running"),)


def test_pages_are_followed():
    first = {"value": [record("a")], "continuationToken": "2"}
    assert statuses(first, {"value": [record("b")]}) == (("a", "Running"), ("b", "Running"))


def test_a_link_that_cannot_be_followed_is_no_end():
    assert isinstance(statuses({"value": [record("a")], "nextLink": {"href": "https://host/x?page=2"}}), MalformedReply)


@pytest.mark.parametrize(
    "item",
    [{"status": "Running"}, record(None), record(""), record(7), record("\ud800"), {"value": []}, "a", 7, None, []],
)
@pytest.mark.parametrize("asked", [statuses, steps])
def test_a_record_without_an_id_is_no_answer(asked, item):
    assert isinstance(asked({"value": [record("a"), item]}), MalformedReply)


@pytest.mark.parametrize("answer", [{}, record("a"), {"value": record("a")}, b"", b"null", b"{", b"<html>"])
@pytest.mark.parametrize("asked", [statuses, steps])
def test_what_is_no_list_is_no_answer(asked, answer):
    assert isinstance(asked(answer), MalformedReply)


def test_steps_are_in_the_order_of_their_creation_and_with_their_runs():
    def step(run_id, parent, **others):
        return record(run_id, parentRunId=parent, **others)

    answer = [
        step("s1", "b", displayName="last"),
        step("s2", "b", createdUtc="2026-11-22T11:18:29Z", name="second"),
        step("s3", "b", createdUtc="2026-11-22T11:18:28Z", status="Completed"),
        step("s4", "somebody's"),
    ]
    assert steps(answer) == {"a": (), "b": (("s3", "Completed"), ("second", "Running"), ("last", "Running"))}


def test_a_page_keeps_no_more_than_an_object_for_each_run():
    body = json.dumps({"value": [record(f"run-{number}") for number in range(500)]}).encode()
    thresholds = gc.get_threshold()
    gc.collect()
    try:
        # Python counts objects that are made and not yet gone; a young collection begins at each hundredth of them.
        gc.set_threshold(100, 1000, 1000)
        before = gc.get_stats()[0]["collections"]
        found = statuses(body)
        young = gc.get_stats()[0]["collections"] - before
    finally:
        gc.set_threshold(*thresholds)
    assert len(found) == 500
    assert young <= 7
