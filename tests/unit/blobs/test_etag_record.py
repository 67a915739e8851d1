"""A record in a blob: read with its ETag, replaced only if it has not changed."""

from __future__ import annotations

import pytest

from aml_provider.blobs.access import ContainerAccess, Location
from aml_provider.blobs.etag_record import StoredText, read_record, replace_record
from aml_provider.blobs.folder import Folder
from aml_provider.client.errors import (
    MalformedReply,
    PermissionDenied,
    ServerFault,
    ServiceError,
)
from aml_provider.client.http.reply import Reply

URL = "https://acct.blob.core.windows.net/landing"
PLACE = Location(Folder(URL, "records/"), ContainerAccess(sas="sig=x"))


def replies(flow, *answers):
    """Run a flow on these answers; its result and its requests."""
    requests = [next(flow)]
    try:
        for status, headers, body in answers:
            requests.append(flow.send(Reply(status, headers, body, "id")))
    except StopIteration as stop:
        return stop.value, requests
    raise AssertionError(f"it asked for more: {requests[-1]}")


def error(code):
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>So.</Message></Error>".encode()


def test_a_record_is_read_with_its_etag():
    kept, [request] = replies(read_record(PLACE, "a b.json"), (200, {"etag": '"0x1"'}, "ü".encode()))
    assert kept == StoredText("ü", '"0x1"')
    assert (request.method, request.url) == ("GET", f"{URL}/records/a%20b.json")


def test_only_a_missing_blob_is_a_missing_record():
    assert replies(read_record(PLACE, "r"), (404, {}, error("BlobNotFound")))[0] == StoredText(None, None)
    for status, code in ((404, "ContainerNotFound"), (404, ""), (403, "AuthorizationFailure"), (409, "BlobArchived")):
        with pytest.raises(ServiceError):
            replies(read_record(PLACE, "r"), (status, {}, error(code)))
    with pytest.raises(MalformedReply):
        replies(read_record(PLACE, "r"), (200, {}, b"x"))


@pytest.mark.parametrize(
    ("before", "condition"),
    [(StoredText(None, None), ("If-None-Match", "*")), (StoredText("old", '"0x1"'), ("If-Match", '"0x1"'))],
)
def test_a_record_is_replaced_only_if_it_has_not_changed(before, condition):
    kept, [request] = replies(replace_record(PLACE, "r", before, "new"), (201, {"etag": '"0x2"'}, b""))
    assert kept == StoredText("new", '"0x2"')
    assert condition in request.headers
    assert request.content == b"new"


@pytest.mark.parametrize(("status", "code"), [(412, "ConditionNotMet"), (409, "BlobAlreadyExists")])
@pytest.mark.parametrize(
    ("there", "kept"),
    [
        ((200, {"etag": '"0x3"'}, b"another's"), None),
        ((404, {}, error("BlobNotFound")), None),
        # The reply to the first attempt was lost.
        ((200, {"etag": '"0x3"'}, b"new"), StoredText("new", '"0x3"')),
    ],
)
def test_a_refused_condition_is_checked_by_a_read(status, code, there, kept):
    flow = replace_record(PLACE, "r", StoredText("old", '"0x1"'), "new")
    assert replies(flow, (status, {}, error(code)), there)[0] == kept


def test_a_leased_record_is_not_taken_for_a_changed_one():
    flow = replace_record(PLACE, "r", StoredText("old", '"0x1"'), "new")
    with pytest.raises(ServiceError, match=r"LeaseIdMissing.*Somebody holds a lease"):
        replies(flow, (412, {}, error("LeaseIdMissing")))


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (403, PermissionDenied, "Storage Blob Data Contributor.*permission to read, create and write"),
        (404, ServiceError, "Is there a container"),
        (503, ServerFault, "answered 503"),
        (409, ServiceError, "answered 409"),
    ],
)
def test_a_record_that_cannot_be_written_is_an_error(status, kind, message):
    with pytest.raises(kind, match=message):
        replies(replace_record(PLACE, "r", StoredText(None, None), "new"), (status, {}, error("Other")))
