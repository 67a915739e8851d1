"""Lists that come in pages: all of them are read, whatever the envelope, and reading ends."""

from __future__ import annotations

import json

import pytest
from support.drivers.driving import MISSING, one, play, reply, requests, session

from aml_provider.client import calls
from aml_provider.client.calls.call import Call
from aml_provider.client.errors import MalformedReply, NotFound, ServerFault

# One of each place where the next page's token is sent.
QUERY = calls.list_datastores()
CHILDREN = calls.list_steps("x", "r-1")
BODY = calls.query_runs("x", "f")
PASCAL = calls.list_pipelines()


def item(call, name):
    key = {"datastore": "name", "history": "runId", "pipelines": "Id"}[call.service]
    return {key: name}


def page(call, names, token=None, *, items="value", tokens="continuationToken"):
    return reply(body=json.dumps({items: [item(call, name) for name in names], tokens: token}).encode())


def read(call, *answers, most=2000):
    result, steps = play(session(budget=0.0).run(one(call)), *answers)
    asked = requests(steps)
    assert len(asked) <= most
    return result, asked


def names(call, result):
    return [getattr(entity, "name" if call.service == "datastore" else "id") for entity in result]


def tokens(call, asked):
    """The token that each request carried."""
    if call.body is not None:
        return [json.loads(request.content).get(call.page_key) for request in asked]
    return [dict(request.query).get(call.page_key) for request in asked]


@pytest.mark.parametrize("call", [QUERY, CHILDREN, BODY, PASCAL], ids=lambda call: call.operation)
def test_all_pages_are_read_in_their_order(call):
    answers = [page(call, "ab", "t1"), page(call, "", "t2"), page(call, "c")]
    result, asked = read(call, *answers)
    assert names(call, result) == ["a", "b", "c"]
    assert tokens(call, asked) == [None, "t1", "t2"]
    assert len({(request.method, request.url, request.query[: len(call.query)]) for request in asked}) == 1


@pytest.mark.parametrize("items", ["value", "Value", "Entity", "entity"])
@pytest.mark.parametrize("key", ["continuationToken", "ContinuationToken"])
def test_either_envelope_is_read(items, key):
    answers = [page(PASCAL, "a", "t1", items=items, tokens=key), page(PASCAL, "b", items=items, tokens=key)]
    result, asked = read(PASCAL, *answers)
    assert names(PASCAL, result) == ["a", "b"]
    assert tokens(PASCAL, asked) == [None, "t1"]


@pytest.mark.parametrize("call", [QUERY, CHILDREN, BODY, PASCAL], ids=lambda call: call.operation)
def test_a_bare_array_is_a_list_without_further_pages(call):
    result, asked = read(call, reply(body=json.dumps([item(call, "a")]).encode()))
    assert names(call, result) == ["a"]
    assert len(asked) == 1


@pytest.mark.parametrize("key", ["continuationToken", "$skipToken", "$skiptoken", "ContinuationToken"])
def test_a_link_to_the_next_page_gives_its_token_and_not_its_host(key):
    link = f"https://elsewhere.example/x?a=b&{key}=t%2F1"
    result, asked = read(QUERY, page(QUERY, "a", link, tokens="nextLink"), page(QUERY, "b"))
    assert names(QUERY, result) == ["a", "b"]
    assert tokens(QUERY, asked) == [None, "t/1"]
    assert len({request.url for request in asked}) == 1


def test_a_link_that_cannot_be_followed_is_not_the_end_of_the_list():
    error, _ = read(QUERY, page(QUERY, "a", "https://elsewhere.example/x?page=2", tokens="nextLink"))
    assert type(error) is MalformedReply


@pytest.mark.parametrize("repeated", [["t1"], ["t1", "t1"], ["t1", "t2", "t1", "t2"], ["a", "b", "c", "a"]])
def test_a_token_that_comes_again_ends_it(repeated):
    result, asked = read(CHILDREN, *(page(CHILDREN, "x", token) for token in repeated * 100))
    assert len(result) == len(asked) == len(set(repeated)) + 1


def test_tokens_without_end_are_an_error_and_no_list():
    result, asked = read(CHILDREN, *(page(CHILDREN, "x", f"t{number}") for number in range(1001)))
    assert type(result) is MalformedReply
    assert "has not ended after 1000 pages" in str(result)
    assert len(asked) == 1000


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(500), ServerFault),
        (reply(404, MISSING), NotFound),
        (reply(404), ServerFault),
        (reply(body=b"<html>"), MalformedReply),
    ],
    ids=lambda value: getattr(value, "status", None) or getattr(value, "__name__", None),
)
def test_a_page_that_fails_fails_the_list(answer, kind):
    error, _ = read(CHILDREN, page(CHILDREN, "a", "t1"), answer)
    assert type(error) is kind


@pytest.mark.parametrize(("limit", "wanted", "pages"), [(1, "a", 1), (2, "ab", 1), (3, "abc", 2), (9, "abcd", 2)])
def test_no_more_is_read_than_its_limit_needs(limit, wanted, pages):
    call = calls.query_runs("x", "f", limit=limit)
    result, asked = read(call, page(call, "ab", "t1"), page(call, "cd"))
    assert (names(call, result), len(asked)) == (list(wanted), pages)
    assert json.loads(asked[0].content)["top"] == limit


def test_a_page_has_no_more_than_the_service_gives():
    assert calls.query_runs("x", "f", limit=10_000).body["top"] == 500


def test_every_list_may_come_in_pages():
    """A list that is cut off without a word would be taken for the whole."""
    lists = [
        calls.list_pipelines(),
        calls.list_pipeline_summaries(),
        calls.list_endpoints(),
        calls.list_pipelines_of_endpoint("e"),
        calls.list_schedules(),
        calls.list_schedules_of_pipeline("p"),
        calls.list_schedules_of_endpoint("e"),
        calls.list_runs_of_pipeline("p"),
        calls.list_runs_of_schedule("s"),
        calls.query_runs("x", "f"),
        calls.query_experiments(),
        calls.list_steps("x", "r"),
        calls.list_artifacts("c"),
        calls.list_artifact_links("c", "p"),
        calls.list_run_artifacts("x", "r"),
        calls.list_datastores(),
        calls.list_arm_datastores(),
        calls.list_jobs(),
        calls.list_jobs_of_schedule("s"),
        calls.list_job_schedules(),
        calls.list_components(),
        calls.list_component_versions("c"),
        calls.list_batch_endpoints(),
        calls.list_batch_deployments("b"),
        calls.list_metrics("r"),
        calls.get_metric("r", "loss"),
        calls.list_permissions(),
    ]
    assert {call.page_key is not None for call in lists} == {True}
    returning = {
        name
        for name in calls.__all__
        if name != "Call" and "tuple[" in str(vars(calls)[name].__annotations__.get("return"))
    }
    assert len(returning) == len(lists)
    assert all(isinstance(call, Call) for call in lists)
