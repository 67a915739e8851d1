"""A small text in a blob. The blob is replaced only if it has not changed since it was read."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from aml_provider.blobs.access import KEEP, ask
from aml_provider.blobs.listing import SERVICE_VERSION
from aml_provider.blobs.refusal import error_facts, refusal
from aml_provider.client.errors import MalformedReply
from aml_provider.client.http.exchange import MOST_OF_A_CURSOR
from aml_provider.client.http.messages import Request
from aml_provider.stored import damaged, reading

if TYPE_CHECKING:
    from aml_provider.blobs.access import Location
    from aml_provider.client.http.messages import Flow


class StoredText(NamedTuple):
    """The content of a blob; an ETag of None means that there was no blob."""

    text: str | None
    etag: str | None


def read_record(location: Location, name: str) -> Flow[StoredText]:
    """Read a blob of the folder.

    Raises:
        ServiceError: It cannot be read; a missing container never counts as a missing blob.
        CursorUnreadable: It is not text.
    """
    operation = "read the stored record"
    reply = yield from ask(location.access, _request(operation, "GET", location, name))
    if reply.status == 404 and error_facts(reply.body)[0] == "BlobNotFound":
        return StoredText(None, None)
    etag = reply.headers.get("etag")
    if reply.status != 200:
        raise refusal(operation, location.folder.container_url, location.access, KEEP, reply)
    if not etag:
        raise MalformedReply(operation, status=200, message="the reply has no ETag")
    with reading(damaged):
        return StoredText(reply.body.decode(), etag)


def replace_record(location: Location, name: str, previous: StoredText, text: str) -> Flow[StoredText | None]:
    """Replace a blob of the folder, if it has not changed since it was read.

    Returns:
        The new content; None if somebody else wrote or deleted the blob, and nothing was written.

    Raises:
        ServiceError: It cannot be written.
    """
    operation = "write the stored record"
    condition = ("If-None-Match", "*") if previous.etag is None else ("If-Match", previous.etag)
    request = _request(operation, "PUT", location, name)._replace(content=text.encode())
    kind = (("x-ms-blob-type", "BlockBlob"), ("Content-Type", "application/json; charset=utf-8"))
    reply = yield from ask(location.access, request._replace(headers=(*request.headers, *kind, condition)))
    if reply.status == 201 and "etag" in reply.headers:
        return StoredText(text, reply.headers["etag"])
    code = error_facts(reply.body)[0]
    # A 412 can also come from a lease, not from our condition: then nobody else has written.
    if (reply.status == 412 and not code.startswith("Lease")) or (reply.status == 409 and code == "BlobAlreadyExists"):
        # Perhaps we have written it ourselves: the reply to the first of several attempts can get lost.
        now = yield from read_record(location, name)
        return now if now.text == text else None
    raise refusal(operation, location.folder.container_url, location.access, KEEP, reply)


def _request(operation: str, method: str, location: Location, name: str) -> Request:
    url = location.folder.container_url
    return Request(
        operation=operation,
        method=method,
        url=f"{url}/{quote(f'{location.folder.prefix}{name}')}",
        query=location.access.signature(url, KEEP),
        headers=(("x-ms-version", SERVICE_VERSION),),
        most=MOST_OF_A_CURSOR,
    )
