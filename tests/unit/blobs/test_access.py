"""Access to a container: the credential of its datastore, and a right that must last for a whole listing."""

from __future__ import annotations

import base64
from datetime import datetime

import pytest
from support.drivers.breaths import answer
from support.services.folder import Asked, FakeContainer

from aml_provider.blobs import access
from aml_provider.blobs.access import KEEP, PROCESS, ContainerAccess, locate_datastore
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.rules import Rules
from aml_provider.client.entities import Datastore
from aml_provider.client.errors import (
    CredentialError,
    InvalidArgument,
    MalformedReply,
    PermissionDenied,
    ServiceError,
)
from aml_provider.client.http.messages import OwnSettings, Pause
from aml_provider.client.http.protocol import Session
from aml_provider.client.http.reply import Reply
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.settings import STORAGE_SCOPE, WorkspaceSettings

URL = "https://acct.blob.core.windows.net/landing"
KEY = base64.b64encode(b"k" * 64).decode()
SETTINGS = WorkspaceSettings(
    subscription_id="s",
    resource_group="g",
    workspace_name="w",
    auth_method="static_token",
    secret="own-token",
    endpoint="https://westeurope.api.azureml.ms",
)
PRINCIPAL = {"tenantId": "tenant", "clientId": "app"}


@pytest.fixture
def clock(monkeypatch):
    now = [1_700_000_000.0]
    monkeypatch.setattr(access.time, "time", lambda: now[0])
    return now


def container_of(names="abcd", page_size=1):
    container = FakeContainer(page_size=page_size)
    for name in names:
        container.write(f"in/{name}")
    return container


def state():
    return FolderState(Folder(URL, "in/"), Rules.of(on_first_poll="report"), None)


def listed(right, container, before_each=lambda: None):
    """List, with something happening before each page; the detection and the requests."""
    flow, requests = poll_folder(state(), right), []
    try:
        request = next(flow)
        while True:
            requests.append(request)
            status, headers, body = container.answer(Asked("", dict(request.query), {}))
            before_each()
            request = answer(flow, Reply(status, headers, body, "id"))
    except StopIteration as stop:
        return stop.value, requests


def test_a_sas_made_from_a_key_is_renewed_during_a_long_listing(clock):
    """Each page takes ten minutes; a SAS is valid for one hour."""

    def ten_minutes():
        clock[0] += 600

    detection, requests = listed(ContainerAccess(account_name="acct", account_key=KEY), container_of(), ten_minutes)
    assert len(detection.changes) == 4
    expiries = []
    for number, request in enumerate(requests):
        expiry = datetime.fromisoformat(dict(request.query)["se"]).timestamp()
        assert expiry - (1_700_000_000 + 600 * number) >= 1800
        expiries.append(expiry)
    assert len(requests) == 4
    assert expiries == [expiries[0]] * 4

    _, requests = listed(ContainerAccess(account_name="acct", account_key=KEY), container_of("abcdefgh"), ten_minutes)
    assert len({dict(request.query)["sig"] for request in requests}) == 2


def test_a_sas_allows_no_more_than_what_is_done_with_it():
    right = ContainerAccess(account_name="acct", account_key=KEY)
    assert dict(right.signature(URL))["sp"] == "l"
    assert dict(right.signature(URL, KEEP))["sp"] == "rcw"
    of_queues = dict(right.signature("https://acct.queue.core.windows.net/events", PROCESS))
    assert (of_queues["ss"], of_queues["sp"]) == ("q", "rp")


@pytest.mark.parametrize("status", [401, 403])
def test_a_right_that_ends_during_a_listing_voids_the_poll_and_is_not_permanent(status):
    """The next poll reads it again: a SAS may have been rotated."""
    for before, kind, permanent in (([], PermissionDenied, True), ([200], ServiceError, False)):
        container = container_of()
        container.failures = [*before, status]
        with pytest.raises(ServiceError) as caught:
            listed(ContainerAccess(sas="sig=x"), container)
        assert type(caught.value) is kind
        assert caught.value.permanent is permanent
    assert "the right to" in str(caught.value).lower()


@pytest.mark.parametrize("status", [429, 503])
def test_a_throttled_page_is_requested_again_when_the_service_says(status):
    container, pauses = container_of("ab"), []
    container.failures = [200, status, 500]
    machine = Session(SETTINGS, RetryPolicy(jitter=lambda: 0.0)).run(poll_folder(state(), ContainerAccess(sas="a=b")))
    found = []
    try:
        step = next(machine)
        while True:
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                step = machine.send(None)
                continue
            code, headers, body = container.answer(Asked("", dict(step.query), {}))
            if code == status:
                headers["retry-after"] = "17"
            step = machine.send(Reply(code, headers, body, "id"))
    except StopIteration as stop:
        found = [change["name"] for change in stop.value.changes]
    assert found == ["a", "b"]
    assert [pause for pause in pauses if pause] == [17.0, 0.5]
    markers = [asked.query.get("marker") for asked in container.asked]
    assert markers == [None, "in/b", "in/b", "in/b"]


ERROR = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>Oh.</Message></Error>"


@pytest.mark.parametrize("body", [ERROR, b"", b"<html>Sign in</html>", b'{"error":{}}'])
@pytest.mark.parametrize("page", [0, 1])
def test_a_success_that_is_not_a_listing_voids_the_poll(body, page):
    container = container_of()
    answer = container.answer

    def soft_failing(asked):
        status, headers, whole = answer(asked)
        return status, headers, body if len(container.asked) == page + 1 else whole

    container.answer = soft_failing
    with pytest.raises(MalformedReply) as caught:
        listed(ContainerAccess(sas="a=b"), container)
    assert not caught.value.permanent


def located(kind="AzureBlob", **section):
    wire = {"name": "store", "dataStoreType": kind}
    wire["azureStorageSection"] = {"accountName": "acct", "containerName": "landing", **section}
    flow = locate_datastore(SETTINGS, "store", "in")
    assert isinstance(next(flow), OwnSettings)
    flow.send(SETTINGS)
    with pytest.raises(StopIteration) as stop:
        flow.send(Datastore.from_wire(wire))
    return stop.value.value


@pytest.mark.parametrize(
    ("section", "kind", "principal"),
    [
        ({"credentialType": "AccountKey", "accountKey": KEY}, "an account key", False),
        ({"credentialType": "Sas", "sasToken": "?sv=1&sig=x"}, "a SAS", False),
        ({"credentialType": "None"}, "the connection's identity", False),
        ({}, "the connection's identity", False),
        (
            {"credentialType": "None", "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity"},
            "the connection's identity",
            False,
        ),
        (
            {"credentialType": "ClientCredentials", "clientCredentials": {**PRINCIPAL, "clientSecret": "shh"}},
            "the service principal of datastore 'store'",
            True,
        ),
    ],
)
@pytest.mark.parametrize("store", ["AzureBlob", "AzureDataLakeGen2"])
def test_each_kind_of_credential_is_used(section, kind, principal, store):
    location = located(store, **section)
    assert location.folder == Folder(URL, "in/", "store")
    assert location.access.kind == kind
    assert (location.settings is not None) is principal
    flow = poll_folder(FolderState(location.folder, Rules(), None), location.access)
    request = next(flow)
    assert (request.scope == STORAGE_SCOPE) is ("identity" in kind or principal)
    assert ("sig" in dict(request.query)) is not ("identity" in kind or principal)


def test_a_service_principal_signs_in_at_the_connections_cloud_and_shows_nothing():
    """A person who can edit datastores must not be able to choose where the secret is sent."""
    own = {**PRINCIPAL, "clientSecret": "TOPSECRET", "authorityUrl": "https://login.evil.example"}
    location = located(credentialType="ClientCredentials", clientCredentials=own)
    used = location.settings
    assert (used.auth_method, used.tenant_id, used.client_id, used.secret) == (
        "client_secret",
        "tenant",
        "app",
        "TOPSECRET",
    )
    assert used.cloud == SETTINGS.cloud
    assert "TOPSECRET" not in f"{location!r}{Datastore.from_wire({'name': 's', 'azureStorageSection': own})!r}"


@pytest.mark.parametrize(
    "text", ["-----BEGIN PRIVATE KEY-----\nx", base64.b64encode(b"\x30\x82 a PKCS12 file").decode()]
)
def test_a_certificate_comes_as_pem_or_as_base64(text):
    own = {**PRINCIPAL, "isCertAuth": True, "certificate": text}
    used = located(credentialType="ClientCredentials", clientCredentials=own).settings
    assert used.auth_method == "client_certificate"
    assert used.certificate in {text.encode(), b"\x30\x82 a PKCS12 file"}
    assert "PRIVATE" not in repr(used)
    assert "PKCS12" not in repr(used)


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"credentialType": "AccountKey"}, "kind AccountKey, but the workspace did not return it.*listsecrets"),
        ({"credentialType": "Sas", "sasToken": None}, "kind Sas, but the workspace did not return it"),
        ({"credentialType": "ClientCredentials"}, "kind ClientCredentials, but the workspace did not return it"),
        ({"credentialType": "Passkey"}, "unknown kind 'Passkey'"),
        (
            {
                "credentialType": "ClientCredentials",
                "clientCredentials": {"clientId": "a", "clientSecret": "TOPSECRET"},
            },
            "service principal without tenant_id",
        ),
        (
            {"credentialType": "ClientCredentials", "clientCredentials": {**PRINCIPAL, "certificate": "TOPSECRET!é"}},
            "neither PEM nor base64",
        ),
    ],
)
def test_an_unusable_credential_is_explained(section, problem):
    with pytest.raises(InvalidArgument, match=f"^datastore: 'store' has a .*{problem}") as caught:
        located(**section)
    assert "TOPSECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "kind", ["AzureFile", "AzureDataLake", "AzureSqlDatabase", "Hdfs", "DBFS", "OneLake", "Custom"]
)
def test_a_datastore_of_a_kind_without_blobs_is_named_with_the_next_step(kind):
    with pytest.raises(InvalidArgument, match=f"is of kind {kind}; only AzureBlob.*container_url"):
        located(kind)


def test_the_error_for_a_missing_token_names_the_identity():
    for right, expected in ((ContainerAccess(), False), (ContainerAccess(identity="the service principal of x"), True)):
        flow = poll_folder(state(), right)
        next(flow)
        with pytest.raises(CredentialError) as caught:
            flow.throw(CredentialError("no token"))
        assert ("the service principal of x" in str(caught.value)) is expected
