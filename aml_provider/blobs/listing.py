"""The List Blobs requests that read one level of a blob folder, and what a page of the answer says.

Nothing here does I/O: :func:`poll` is a generator that yields requests and is sent replies, so that one small loop runs
it, blocking or not. The page parser reads bytes with one regular expression per blob, because building the SDK's models
costs a hundred times the CPU; whatever the expression does not fit goes through an XML parser instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aml_provider.blobs.page_parser import _NEXT_MARKER, _OPERATION, _malformed, _unescape, parse_page
from aml_provider.client.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Generator

    from aml_provider.blobs.changes import Detection, FolderState
    from aml_provider.blobs.folder import Folder

__all__ = ["ListRequest", "Reply", "error_facts", "list_request", "next_marker", "poll"]

# Azurite 3.35 takes this one; from 2021-02-12 on, names with characters that XML cannot hold arrive as
# <Name Encoded="true"> instead of failing the listing.
SERVICE_VERSION = "2021-12-02"
PAGE_SIZE = 5000  # the service's maximum
_SEAL, _NONCE = AESGCM(AESGCM.generate_key(256)), bytes(12)


# Of 5,000 blobs each: far beyond what a cursor can be kept for. A service that always has one page more must not fill
# the memory of a triggerer.
_MOST_PAGES = 5000


class ListRequest(NamedTuple):
    """A GET request: the URL without its query, the query and the headers; authentication is the driver's."""

    url: str
    params: dict[str, str]
    headers: dict[str, str]


class Reply(NamedTuple):
    """The answer to a :class:`ListRequest`.

    Attributes:
        status: The HTTP status.
        body: The whole body, decompressed.
        date: The server's ``Date`` header, or None.
    """

    status: int
    body: bytes
    date: str | None = None


def list_request(folder: Folder, marker: str = "", *, metadata: bool = False) -> ListRequest:
    """Ask for one page of the folder's own level.

    Args:
        folder: Where to look.
        marker: ``NextMarker`` of the page before; empty for the first page.
        metadata: Ask for the blobs' metadata too, which tells directory markers from empty blobs.
    """
    params = {"restype": "container", "comp": "list", "delimiter": "/", "maxresults": str(PAGE_SIZE)}
    if folder.prefix:
        params["prefix"] = folder.prefix
    if marker:
        params["marker"] = marker
    if metadata:
        params["include"] = "metadata"
    return ListRequest(folder.container_url, params, {"x-ms-version": SERVICE_VERSION, "Accept": "application/xml"})


def poll(state: FolderState) -> Generator[ListRequest | None, Any, Detection]:
    """List the folder to its end and compare it with what the state knows.

    The state is not changed: give the result to :meth:`FolderState.accept` once it is stored. A page whose bytes were
    seen before, with nothing in them left to decide, is not parsed again.

    Yields:
        One request per page; the driver sends the reply, having repeated what is worth repeating. And None where others
        may go first: to read and compare 5,000 blobs takes some 25 ms, for which an event loop should not stand still.

    Returns:
        What changed.

    Raises:
        ServiceError: A reply is an error or no complete page: the poll is void and nothing moves.
    """
    scan = state.scan()
    marker, seen = "", {""}
    while len(seen) <= _MOST_PAGES:
        status, body, date = yield list_request(state.folder, marker, metadata=not state.rules.ignore_empty)
        if status != 200:
            code, message = error_facts(body)
            raise ServiceError(_OPERATION, status=status, code=code, message=message)
        marker = next_marker(body)
        digest = _digest(body)
        if not scan.repeat(digest):
            page = parse_page(body)
            yield None
            yield from scan.add(digest, page, date)
            yield None
        if not marker:
            return (yield from scan.finish())
        if marker in seen:
            raise _malformed("List Blobs gave the same continuation marker twice")
        seen.add(marker)
    raise _malformed(f"List Blobs gave {_MOST_PAGES} pages and did not come to an end")


def next_marker(body: bytes) -> str:
    """What asks for the page after this one; empty where this is the last.

    Raises:
        MalformedReply: The page has no end, or the marker cannot be read.
    """
    end = _NEXT_MARKER.search(body, max(0, len(body) - 4096))
    if end is None:
        raise _malformed("The reply to List Blobs is cut off or no listing at all")
    try:
        return _unescape(end[1] or b"").decode()
    except ValueError as error:
        raise _malformed(f"The continuation marker of List Blobs cannot be read: {error}") from None


def _digest(body: bytes) -> bytes:
    """Digest the blobs of a page, without its head and continuation marker, which may vary.

    The tag of AES-GCM over data that is only authenticated (GMAC, NIST SP 800-38D), under a key of this process: 128
    bits for a tenth of the CPU that Python's own hash takes. One nonce is enough, since no tag leaves the process.
    """
    start, stop = max(0, body.find(b"<Blobs>")), body.rfind(b"</Blobs>")
    with memoryview(body) as view:
        return _SEAL.encrypt(_NONCE, b"", view[start : max(start, stop)])


def error_facts(body: bytes) -> tuple[str, str]:
    """The code and message in the storage service's error document; empty where it has none."""
    code, message = (
        found[1].decode(errors="replace") if (found := re.search(pattern, body[:4096])) else ""
        for pattern in (rb"<Code>([^<]*)</Code>", rb"<Message>([^<\r\n]*)")
    )
    return code, message
