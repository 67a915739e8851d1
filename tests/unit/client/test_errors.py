"""What an error says, and what it never says."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from support.drivers.driving import TOKEN, one, play, reply, requests, session, workspace

from aml_provider.client import calls, errors
from aml_provider.client.entities import ComponentVersion
from aml_provider.client.errors import (
    AuthenticationRefused,
    AzureMLError,
    BadRequest,
    InvalidArgument,
    MalformedReply,
    NotFound,
    PermissionDenied,
    ServerFault,
)
from aml_provider.client.models import DataPath
from aml_provider.client.specs.component_inputs import check_inputs
from aml_provider.client.specs.job import check_order
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import PipelineReference

COUNTS = ComponentVersion.from_wire(
    {
        "id": "/w/components/count/versions/1",
        "name": "1",
        "properties": {"componentSpec": {"type": "pipeline", "inputs": {"rows": {"type": "integer"}}}},
    }
)
PASCAL = json.dumps(
    {"Error": {"Code": "UserError", "Message": "It is so."}, "Correlation": {"operation": "op-1", "request": "req-1"}}
).encode()
CAMEL = json.dumps(
    {"error": {"code": "UserError", "message": "It is so."}, "correlation": {"operation": "op-1", "request": "req-1"}}
).encode()
IDS = {"x_ms_request_id": "svc-1", "x_ms_correlation_request_id": "corr-1"}


def refusal(status, body=CAMEL, call=None, settings=None, **headers):
    result, _ = play(
        session(settings, budget=0.0).run(one(call or calls.get_pipeline("p-1"))), reply(status, body, **headers)
    )
    assert isinstance(result, AzureMLError)
    return result


@pytest.mark.parametrize("body", [PASCAL, CAMEL], ids=["PascalCase", "camelCase"])
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 412, 429, 500, 503])
def test_a_refusal_says_what_was_asked_what_was_answered_and_how_to_find_it_in_azure(status, body):
    error = refusal(status, body, **IDS)
    assert (error.status, error.code, error.message) == (status, "UserError", "It is so.")
    assert str(error).startswith(
        f"get published pipeline 'p-1': the service answered {status} (UserError): It is so."
        if status in {409, 412, 429, 500, 503}
        else f"get published pipeline 'p-1': the service answered {status} (UserError): It is so. "
    )
    ids = ("x-ms-client-request-id=our-id", "x-ms-request-id=svc-1", "x-ms-correlation-request-id=corr-1")
    for known in (*ids, "operation=op-1", "request=req-1"):
        assert known in error.request_ids
        assert known in str(error)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "", ""),
        (b"null", "", "null"),
        (b"[]", "", "[]"),
        (b'"text"', "", '"text"'),
        (b'{"error": "text"}', "", '{"error": "text"}'),
        (b'{"Error": {"Code": null, "Message": null}}', "", '{"Error": {"Code": null, "Message": null}}'),
        (b'{"Message": "An error has occurred."}', "", "An error has occurred."),
        (b"<html>\n <b>Bad\tGateway</b></html>", "", "<html> <b>Bad Gateway</b></html>"),
        (b"\xff\xfe", "", "\ufffd\ufffd"),
        (b"[" * 100_000, "", "[" * 200 + "…"),
    ],
)
def test_any_body_makes_a_readable_message(body, code, message):
    error = refusal(502, body)
    assert isinstance(error, ServerFault)
    assert (error.code, error.message) == (code, message)
    assert (message or "no message") in str(error)


@pytest.mark.parametrize(
    ("message", "details", "shown"),
    [
        ("Bad.", [{"code": "A", "message": "No x."}, {"message": "No y."}], "Bad. (No x.; No y.)"),
        ("Bad.", [{"message": "Bad."}, {"message": None}, "text", None], "Bad."),
        (None, [{"message": "No x."}], "No x."),
        ("Bad.", {"message": "No x."}, "Bad."),
        ("Bad.", [{"message": f"{number}"} for number in range(100)], "Bad. (0; 1; 2; 3; 4; 5; 6; 7; 8; 9)"),
    ],
)
def test_the_details_of_azure_resource_manager_are_in_the_message(message, details, shown):
    body = {"error": {"code": "UserError", "message": message, "details": details}}
    assert refusal(400, json.dumps(body).encode()).message == shown


@pytest.mark.parametrize(
    ("listed", "known"),
    [
        ([{"type": "Correlation", "info": {"value": {"operation": "op-1", "request": "req-1"}}}], True),
        ([None, {"type": "Correlation"}, {"type": "Correlation", "info": {"value": "x"}}], False),
        ({"type": "Correlation"}, False),
    ],
)
def test_the_ids_of_azure_resource_manager_are_in_the_error(listed, known):
    body = {"error": {"code": "UserError", "message": "Bad.", "additionalInfo": listed}}
    ids = refusal(400, json.dumps(body).encode()).request_ids
    assert ("operation=op-1" in ids, "request=req-1" in ids) == (known, known)


def test_a_missing_right_names_the_action_the_role_and_the_identity():
    settings = workspace(auth_method="managed_identity", client_id="me-1", secret=None)
    error = refusal(403, call=calls.submit_pipeline("p", {}), settings=settings)
    assert isinstance(error, PermissionDenied)
    for part in (
        "Microsoft.MachineLearningServices/workspaces/experiments/runs/write",
        "Microsoft.MachineLearningServices/workspaces/experiments/runs/submit/action",
        "Microsoft.MachineLearningServices/workspaces/endpoints/pipelines/read",
        "'AzureML Data Scientist'",
        "'ws-demo'",
        "managed_identity",
        "me-1",
    ):
        assert part in str(error)


@pytest.mark.parametrize(
    ("call", "action", "role"),
    [
        (calls.get_workspace(), "workspaces/read", "Reader"),
        (calls.list_pipelines(), "workspaces/endpoints/pipelines/read", "Reader"),
        (calls.get_run("r"), "workspaces/experiments/runs/read", "Reader"),
        (calls.cancel_run("r"), "workspaces/experiments/runs/write", "AzureML Data Scientist"),
        (calls.query_runs("x", "f"), "workspaces/experiments/runs/read", "Reader"),
        (calls.tag_run("x", "r", {}), "workspaces/experiments/runs/write", "AzureML Data Scientist"),
        (calls.get_datastore("d"), "workspaces/datastores/listsecrets/action", "AzureML Data Scientist"),
    ],
)
def test_each_operation_knows_its_right(call, action, role):
    message = str(refusal(403, call=call))
    assert f"Microsoft.MachineLearningServices/{action}" in message
    assert repr(role) in message


@pytest.mark.parametrize(
    ("method", "parts"),
    [
        ("static_token", ["'static_token'", "password is the token", "AML_EMULATOR_TOKEN"]),
        ("managed_identity", ["'managed_identity'", "tenant_id", "cloud"]),
    ],
)
def test_a_refused_token_names_its_identity_and_the_next_step(method, parts):
    error = refusal(401, settings=workspace(auth_method=method, secret=TOKEN if method == "static_token" else None))
    assert isinstance(error, AuthenticationRefused)
    for part in ("https://management.azure.com/.default", *parts):
        assert part in str(error)


def test_a_missing_thing_is_reported_with_the_workspace_searched():
    error = refusal(404)
    assert isinstance(error, NotFound)
    assert "workspace 'ws-demo' of resource group 'rg-demo'" in str(error)


def test_a_redirect_names_the_fields_that_mend_it():
    error = refusal(301, b"", location="https://elsewhere/")
    assert isinstance(error, BadRequest)
    assert "region or endpoint" in str(error)


# Every operation whose answer matters, with an answer that is JSON and yet none of it.
READS = [
    calls.get_workspace(),
    calls.list_pipelines(),
    calls.get_pipeline("p"),
    calls.get_interface("g"),
    calls.get_endpoint("e"),
    calls.get_endpoint_by_name("e"),
    calls.submit_pipeline("p", {}),
    calls.get_run("r"),
    calls.list_runs_of_pipeline("p"),
    calls.query_runs("x", "f"),
    calls.list_steps("x", "r"),
    calls.get_run_details("x", "r"),
    calls.get_history_run("x", "r"),
    calls.tag_run("x", "r", {}),
    calls.get_datastore("d"),
    calls.list_datastores(),
]
LISTS = [calls.list_pipelines(), calls.list_runs_of_pipeline("p"), *READS[9:11], calls.list_datastores()]
ENTITIES = [READS[2], READS[4], READS[6], READS[7], READS[12], READS[13], READS[14]]


@pytest.mark.parametrize("body", [b"<html>", b"", b"null", b"5", b'"text"', b"true", b"[5]", b"[null]", b"[" * 100_000])
@pytest.mark.parametrize("call", READS, ids=lambda call: call.operation)
def test_an_unreadable_reply_is_reported_with_its_beginning(call, body):
    error = refusal(200, body, call=call)
    assert isinstance(error, MalformedReply)
    assert error.in_doubt
    assert "x-ms-client-request-id=our-id" in error.request_ids
    assert body[:5].decode() in str(error)


@pytest.mark.parametrize("body", [b"{}", b'{"value": null}', b'{"value": {}}', b'{"Value": 5}', b'{"status": "ok"}'])
@pytest.mark.parametrize("call", LISTS, ids=lambda call: call.operation)
def test_no_list_is_not_an_empty_list(call, body):
    """To find nothing decides much: it may prove that no run was submitted."""
    assert isinstance(refusal(200, body, call=call), MalformedReply)


@pytest.mark.parametrize("value", [None, "", 5, [], {}])
@pytest.mark.parametrize("call", ENTITIES, ids=lambda call: call.operation)
def test_an_entity_without_a_usable_id_is_refused(call, value):
    body = json.dumps(dict.fromkeys(("Id", "runId", "name"), value)).encode()
    assert isinstance(refusal(200, body, call=call), MalformedReply)


@pytest.mark.parametrize(
    "echo", [f"Authorization: Bearer {TOKEN}", f"authorization: bearer  {TOKEN} x", f"?sv=1&sig={TOKEN}&se=2"]
)
@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 500])
def test_a_page_that_echoes_the_request_does_not_lead_the_token_into_a_message(status, echo):
    for body in (echo.encode(), json.dumps({"error": {"code": "x", "message": echo}}).encode()):
        error = refusal(status, body, call=calls.get_pipeline("p"))
        for text in (str(error), repr(error), error.message):
            assert TOKEN not in text
        assert "***" in str(error)


@pytest.mark.parametrize("echo", ["Bearer x", "bearer token-1", "Bearer tokens", "BEARER token=a.b"])
def test_no_token_is_too_short_or_too_much_like_a_word_to_be_masked(echo):
    assert refusal(403, json.dumps({"error": {"message": echo}}).encode()).message == f"{echo.split()[0]} ***"


def test_the_word_token_is_no_token():
    said = "The request has no valid bearer token."
    assert refusal(403, json.dumps({"error": {"message": said}}).encode()).message == said


def test_no_request_holds_a_token():
    _, steps = play(session().run(one(calls.get_run("r"))), reply(404))
    assert TOKEN not in repr(requests(steps))
    assert TOKEN not in repr(workspace())


def test_the_tree_at_the_top_of_the_module_is_the_tree_of_classes():
    drawn = {
        line.strip("│├└─ ").split()[0]: "✓" in line
        for line in errors.__doc__.splitlines()
        if any(mark in line for mark in "├└") or line.strip().startswith("AzureMLError")
    }
    classes = {
        name: kind
        for name, kind in vars(errors).items()
        if getattr(kind, "__module__", "") == errors.__name__ and isinstance(kind, type)
    }
    assert set(drawn) == set(classes)
    for name, kind in classes.items():
        assert issubclass(kind, AzureMLError)
        if not kind.__subclasses__() or drawn[name]:
            assert kind.permanent is drawn[name], name


@pytest.mark.parametrize("value", ["", " ", ".", "..", None, 5])
@pytest.mark.parametrize(
    ("argument", "build"),
    [
        ("pipeline_id", calls.get_pipeline),
        ("pipeline_id", lambda value: calls.submit_pipeline(value, {})),
        ("pipeline_id", calls.list_runs_of_pipeline),
        ("endpoint_id", lambda value: calls.submit_endpoint(value, {})),
        ("endpoint_id", calls.get_endpoint),
        ("run_id", calls.get_run),
        ("run_id", calls.cancel_run),
        ("run_id", lambda value: calls.list_steps("x", value)),
        ("experiment_name", lambda value: calls.query_runs(value, "f")),
        ("datastore", calls.get_datastore),
    ],
)
def test_an_id_that_leads_elsewhere_is_refused_before_anything_is_sent(argument, build, value):
    """``DELETE /PipelineRuns/../Execution`` is not what anybody means."""
    with pytest.raises(errors.InvalidArgument) as caught:
        build(value)
    assert caught.value.argument == argument


@pytest.mark.parametrize("value", ["a/b", "a b", "50%", "%2F", "ü", "a?b#c", "../x"])
def test_an_id_is_one_segment_whatever_is_in_it(value):
    path = calls.get_run(value).path
    assert path.count("/") == 2
    assert "?" not in path
    assert "#" not in path


PAGE = b"<html><body>Blocked by policy 7</body></html>"
HTML = {"content_type": "text/html"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [(PAGE, HTML), (b"404 page not found", {}), (b"", {}), (b'{"statusCode": 404, "message": "Not found"}', {})],
    ids=["page", "text", "empty", "another server's JSON"],
)
def test_a_404_without_the_services_code_does_not_show_that_something_is_missing(body, headers):
    error = refusal(404, body, **headers)
    assert type(error) is ServerFault
    assert not error.permanent
    assert "a proxy or another server may have answered" in str(error)


@pytest.mark.parametrize("status", [401, 403])
def test_the_page_of_a_proxy_is_no_reason_to_change_a_role_or_a_token(status):
    error = refusal(status, PAGE, **HTML)
    assert "Blocked by policy 7" in str(error)
    assert "A proxy or a gateway has answered with its own page" in str(error)
    assert "role" not in str(error)
    assert "tenant_id" not in str(error)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "Access was denied by the workspace's private link configuration."),
        (502, "Access was denied by the workspace's private link configuration."),
        (401, "The workspace cannot be used from outside of its Private Link."),
    ],
)
def test_a_workspace_that_is_closed_to_the_public_says_that_the_network_is_the_reason(status, message):
    body = json.dumps({"error": {"code": "UserError", "message": message}}).encode()
    error = refusal(status, body)
    assert "only over its private endpoint" in str(error)
    assert "role" not in str(error)
    assert "tenant_id" not in str(error)


CARRIED = [InvalidArgument("path", "is bad"), refusal(404), refusal(429, retry_after="7")]


@pytest.mark.parametrize(
    "carried", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"]
)
@pytest.mark.parametrize("error", CARRIED, ids=["argument", "404", "429"])
def test_an_error_reaches_another_process_whole(error, carried):
    """A pool of processes that cannot read back its worker's error reports that the pool is broken."""
    there = carried(error)
    assert (type(there), str(there), vars(there)) == (type(error), str(error), vars(error))


SIGNED = "https://acc.blob.core.windows.net/in/a.csv?sv=2024-11-04&sp=r&sig=c2lnbmF0dXJlLW9mLWEtYmxvYg%3D%3D"


@pytest.mark.parametrize(
    "build",
    [
        lambda: RunRequest.of(experiment_name="e", data_paths={"in": DataPath(SIGNED, "")}),
        lambda: RunRequest.of(experiment_name="e", data_paths={"in": DataPath("store", f"{SIGNED}\\")}),
        lambda: RunRequest.of(experiment_name=SIGNED),
        lambda: check_order(
            PipelineReference(component_name="c"), RunRequest.of(experiment_name="e", datasets={"in": SIGNED}), None
        ),
        lambda: check_inputs(RunRequest.of(experiment_name="e", parameters={"rows": SIGNED}), COUNTS),
    ],
)
def test_what_an_author_wrote_is_quoted_without_its_signature(build):
    with pytest.raises(AzureMLError) as caught:
        build()
    assert "sig=***" in str(caught.value)
    assert "c2lnbmF0dXJl" not in f"{caught.value!r} {caught.value} {vars(caught.value)}"
