"""The reasons for which a storage account refuses a request: each has its own message, and none shows a signature."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from support.drivers.driving import one, play, reply, session

from aml_provider.blobs import access
from aml_provider.blobs.access import KEEP, LIST, ContainerAccess
from aml_provider.blobs.refusal import detail_of, refusal
from aml_provider.client import calls
from aml_provider.client.errors import PermissionDenied, ServiceError
from aml_provider.client.http.reply import Reply

URL = "https://acct.blob.core.windows.net/landing"
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SIGNATURE = base64.b64encode(b"s" * 32).decode()
ACCOUNT_KEY = base64.b64encode(b"k" * 64).decode()
KEY = ContainerAccess(account_name="acct", account_key=ACCOUNT_KEY)
FRAME = "Signature not valid in the specified time frame: Start [Mon, 01 Jun 2026 10:00:00 GMT] - Expiry [Mon, 01 Jun]"
MAC = "The MAC signature found in the HTTP request '{}' is not the same as any computed signature."
FAILED = "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly."
# A SAS that an identity has made.
DELEGATED = {"skoid": "1111-22", "sktid": "t", "skt": "2026-05-30", "sks": "b", "skv": "2022-11-02"}
UNAUTHORIZED = "This request is not authorized to perform this operation"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    now = [NOW.timestamp()]
    monkeypatch.setattr(access.time, "time", lambda: now[0])
    return now


def sas(**fields):
    values = {"se": "2026-06-02", "sp": "rl", "sv": "2022-11-02", "sr": "c", "sig": SIGNATURE, **fields}
    return ContainerAccess(sas="&".join(f"{name}={value}" for name, value in values.items() if value is not None))


def error_of(right, code="AuthenticationFailed", message=FAILED, *, detail="", date=NOW, wanted=LIST, **more):
    inner = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>" if detail else ""
    body = (
        f"\ufeff<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}\nRequestId:1</Message>{inner}</Error>"
    )
    headers = {} if date is None else {"date": date.strftime("%a, %d %b %Y %H:%M:%S GMT")}
    error = refusal("list blobs", URL, right, wanted, Reply(403, headers, body.encode(), "id"), **more)
    assert SIGNATURE not in str(error)
    return error


@pytest.mark.parametrize(
    ("right", "answer", "reason"),
    [
        (sas(se="2026-06-01T11:59:59Z"), {}, "the SAS ended at 2026-06-01T11:59:59Z; put a current one"),
        (sas(se="2026-06-01"), {}, "the SAS ended at 2026-06-01T00:00:00Z"),
        (sas(se="2026-05-31T10:00Z"), {}, "the SAS ended at 2026-05-31T10:00:00Z"),
        (sas(st="2026-06-01T12:30:00Z"), {}, "the SAS begins at 2026-06-01T12:30:00Z, which is in the future"),
        (sas(sp="r"), {"code": "AuthorizationPermissionMismatch"}, "permission to list; this SAS has sp=r and lacks l"),
        (sas(sp="rl"), {"wanted": KEEP}, "read, create and write; this SAS has sp=rl and lacks cw"),
        (sas(sip="10.1.2.3"), {"code": "AuthorizationSourceIPMismatch"}, "the SAS is for requests from 10.1.2.3 only"),
        (sas(spr="https"), {"code": "AuthorizationProtocolMismatch"}, "the SAS is for https only"),
        (sas(ss="q"), {"code": "AuthorizationServiceMismatch"}, "it must be for blobs (ss=q"),
        (sas(srt="s"), {"code": "AuthorizationResourceTypeMismatch"}, "other kinds of resources (srt=s"),
        (sas(), {}, "the SAS was changed after it was made, is of another account or container, or the key that"),
        (sas(sr="b"), {}, "the SAS is for a single blob (sr=b); one for the whole container is needed"),
        (sas(**DELEGATED, ske="2026-06-01T11:00:00Z"), {}, "the key that signed the SAS ended at 2026-06-01T11:00:00Z"),
        (sas(**DELEGATED, se="2026-05-01", ske="2026-06-01T11:00:00Z"), {}, "the SAS ended at 2026-05-01T00:00:00Z"),
        (
            sas(**DELEGATED, ske="2026-06-02T11:00:00Z"),
            {"code": "AuthorizationPermissionMismatch"},
            "the identity that made the SAS (object id 1111-22) needs the role 'Storage Blob Data Reader'",
        ),
        (
            sas(se=None, sp=None, si="nightly"),
            {"detail": "SAS identifier cannot be found for specified signed identifier"},
            "the container has no stored access policy 'nightly'",
        ),
        (sas(se=None, sp=None, si="policy"), {"detail": "Signature not valid in the specified time frame"}, "policy"),
        (KEY, {}, "the key is not one of the account's current keys"),
        (KEY, {"code": "KeyBasedAuthenticationNotPermitted"}, "the account accepts neither account keys nor SAS"),
        (ContainerAccess(), {"code": "AuthorizationPermissionMismatch"}, "needs the role 'Storage Blob Data Reader'"),
        (ContainerAccess(), {"code": "InvalidAuthenticationInfo"}, "the token was not accepted; check the tenant"),
        (ContainerAccess(), {"code": "AuthorizationFailure"}, "the account's firewall"),
        (sas(), {"code": "AuthorizationFailure"}, "the account's firewall"),
        (KEY, {"code": "SomethingNew"}, "the account's firewall must let this host in"),
    ],
)
def test_each_reason_has_its_own_message(right, answer, reason):
    if answer.get("code") not in {None, "InvalidAuthenticationInfo"}:
        answer = {"message": UNAUTHORIZED, **answer}
    error = error_of(right, **answer)
    assert type(error) is PermissionDenied
    assert f"{URL} was refused to {right.kind}: " in str(error)
    assert reason in str(error)
    assert "clock is" not in str(error)


def test_a_right_that_ends_during_a_listing_says_why():
    error = error_of(sas(se="2026-06-01T11:00:00Z"), begun=True)
    assert type(error) is ServiceError
    assert "ended while it was in use: the SAS ended at 2026-06-01T11:00:00Z" in str(error)


@pytest.mark.parametrize(
    ("off", "words"),
    [
        (-3600, "This host's clock is 1 h 0 min behind the service's"),
        (3 * 3600 + 240, "This host's clock is 3 h 4 min ahead of the service's"),
        (-150, "This host's clock is 2 min behind"),
        (90, None),
        (-90, None),
        (0, None),
    ],
)
def test_a_wrong_clock_is_reported(clock, off, words):
    clock[0] += off
    # A new one: a SAS made from a key is cached.
    error = str(error_of(ContainerAccess(account_name="acct", account_key=ACCOUNT_KEY)))
    assert words in error if words else "clock" not in error
    # And the SAS that was made from the key had ended already.
    assert ("had ended before it arrived" in error) is (off == -3600)


@pytest.mark.parametrize("date", [None, NOW])
def test_the_services_clock_decides_whether_a_sas_has_ended(clock, date):
    clock[0] -= 2 * 3600
    error = str(error_of(sas(se="2026-06-01T11:00:00Z"), date=date))
    assert ("the SAS ended" in error) is (date is NOW)


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        (FRAME, FRAME),
        ("Lifetime validation failed. The token is expired.", "Lifetime validation failed. The token is expired."),
        (
            f"Signature did not match. String to sign used was l\n\n/blob/acct/c\n{SIGNATURE}",
            "Signature did not match.",
        ),
        (f"{MAC.format(SIGNATURE)} Server used following string to sign: 'GET\n\nx-ms-date:Mon'.", MAC.format("***")),
        ("Signature did not match. String-to-sign used was l\n/blob/acct/c", "Signature did not match."),
        ("Wrong. The canonicalized resource was /blob/acct/c. stringToSign: x", "Wrong."),
        ("<![CDATA[Signature did not match. String to sign used was /blob/acct]]>", "Signature did not match."),
        ("sig=abc%3D was refused", "sig=*** was refused"),
        ("A &lt;tag&gt;", "A <tag>"),
    ],
)
def test_the_services_own_detail_is_shown_without_what_was_signed(detail, shown):
    error = str(error_of(sas(), detail=detail))
    assert shown in error
    assert "tring to sign" not in error
    assert "x-ms-date" not in error
    assert "/blob/acct" not in error


@pytest.mark.parametrize("body", [b"", b"<", b"<AuthenticationErrorDetail>", b"<AuthenticationErrorDetail>\xff&#0;</"])
def test_a_broken_answer_has_no_detail(body):
    detail_of(body)
    assert isinstance(refusal("x", URL, KEY, LIST, Reply(403, {"date": "nonsense"}, body, "id")), PermissionDenied)


def test_a_page_of_a_gateway_is_not_taken_for_the_storage_accounts_reply():
    page = Reply(403, {"content-type": "text/html"}, b"<html><body>Blocked by policy 7</body></html>", "id")
    error = str(refusal("x", URL, sas(), LIST, page))
    assert "a proxy or a gateway has answered with its own page, not the storage account" in error
    assert "Blocked by policy 7" in error
    assert "role" not in error


def test_a_refusal_without_a_body_has_its_code_from_the_header():
    error = refusal("x", URL, KEY, LIST, Reply(403, {"x-ms-error-code": "AccountIsDisabled"}, b"", "id"))
    assert error.code == "AccountIsDisabled"
    assert "the storage account is disabled" in str(error)


def test_a_workspaces_refusal_of_a_token_reports_a_wrong_clock_too():
    for date, expected in (("Mon, 01 Jun 2026 12:00:00 GMT", True), (format_datetime(datetime.now(UTC)), False)):
        error, _ = play(session().run(one(calls.get_run("r"))), reply(401, date=date))
        assert ("This host's clock is " in str(error)) is expected


@pytest.mark.parametrize("piece", [b"a ", b"A", b"string to sign ", b"."])
def test_each_detail_is_read_fast(piece):
    begun = time.process_time()
    for _ in range(10):
        detail_of(b"<AuthenticationErrorDetail>" + piece * (8000 // len(piece)))
    assert time.process_time() - begun < 5
