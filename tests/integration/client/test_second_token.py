"""The second token of a job, which Microsoft's SDK sends as ``x-azureml-token``, if the connection can get it."""

from __future__ import annotations

import pytest
from support.drivers.driving import one
from support.services.authority import CLIENT, SECRET, application
from support.services.recorder import Answer, Recorder

from aml_provider.client.calls import get_job, submit_job
from aml_provider.client.errors import BadRequest
from aml_provider.client.http.clients import Client
from aml_provider.client.settings import CLOUDS


def submit(drive, **fields):
    """Submit a job, then read it; the tokens of both requests, and why there is no second one."""

    def flow():
        yield submit_job("j", {})
        yield get_job("j")

    with Recorder() as recorder:
        for method in ("PUT", "GET"):
            recorder.answer(method, "*", Answer(200, {"name": "j", "properties": {"status": "Running"}}))
        connection = application(endpoint=recorder.url, trusted_endpoints=("127.0.0.1",), **fields)
        drive(connection, flow())
        with Client(connection) as client:
            problem = client.ml_problem()
    return [(seen.headers["authorization"], seen.headers.get("x-azureml-token")) for seen in recorder.seen], problem


@pytest.mark.parametrize("cloud", list(CLOUDS.values()), ids=list(CLOUDS))
def test_the_second_token_is_for_azure_machine_learning_itself(authority, drive, cloud):
    authority.secrets[CLIENT] = SECRET
    headers, problem = submit(drive, cloud=cloud)
    arm, second, *_ = authority.issued
    assert headers == [(f"Bearer {arm}", second), (f"Bearer {arm}", None)]
    scopes = [seen.values["scope"].split()[0] for seen in authority.seen if "scope" in seen.values]
    assert scopes[:2] == [f"{cloud.management}/.default", f"{cloud.ml_resource}/.default"]
    assert problem is None


def test_the_second_token_is_left_out_where_nobody_issues_it(authority, drive):
    authority.secrets[CLIENT] = SECRET
    authority.unknown_scopes = {"https://ml.azure.com/.default"}
    headers, problem = submit(drive)
    assert headers == [(f"Bearer {authority.issued[0]}", None)] * 2
    assert "AADSTS500011" in problem


def test_the_second_token_is_not_a_token_that_was_given_for_one_audience(authority, drive):
    headers, problem = submit(drive, auth_method="static_token")
    assert headers == [(f"Bearer {SECRET}", None)] * 2
    assert problem == "auth_method 'static_token' has a token for one audience"


def test_the_second_token_is_shown_by_no_error(authority, drive):
    """A service may repeat what it was sent."""
    authority.secrets[CLIENT] = SECRET
    with Recorder() as recorder:
        take = recorder.take

        def refuse(seen):
            take(seen)
            return Answer(400, {"error": {"code": "UserError", "message": seen.headers["x-azureml-token"]}})

        recorder.take = refuse
        connection = application(endpoint=recorder.url, trusted_endpoints=("127.0.0.1",))
        with pytest.raises(BadRequest, match=r"\*\*\*") as caught:
            drive(connection, one(submit_job("j", {})))
    assert authority.issued[1] not in str(caught.value)
