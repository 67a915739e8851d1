"""Who may control the workspace."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from aml_provider.emulator.control_access import ControlAccess
from aml_provider.emulator.workspace.errors import ServiceError


def request(host="127.0.0.1", authorization=None):
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    client = None if host is None else (host, 1)
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers, "client": client})


def status(access, sent, given=None):
    try:
        access.check(sent, given)
    except ServiceError as error:
        return error.status
    return None


@pytest.mark.parametrize(
    ("host", "refusal"),
    [
        ("127.0.0.1", None),
        ("127.9.9.9", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("192.0.2.1", 403),
        ("nobody", 403),
        (None, 403),
    ],
)
def test_without_a_token_only_this_machine_has_access(host, refusal):
    access = ControlAccess(None)
    assert status(access, request(host)) == refusal
    assert access.offered(request(host)) == (refusal is None)


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
@pytest.mark.parametrize(
    ("authorization", "given", "refusal"),
    [
        ("Bearer secret", None, None),
        ("Bearer secre", None, 401),
        (None, None, 401),
        (None, "secret", None),
        ("Bearer secret", "", 401),
        (None, "\ud83d", 401),
    ],
)
def test_with_a_token_everybody_needs_it(host, authorization, given, refusal):
    access = ControlAccess("secret")
    assert status(access, request(host, authorization), given) == refusal
    assert access.offered(request(host))


def test_its_text_does_not_contain_the_token():
    assert "secret" not in repr(ControlAccess("secret"))
