"""Lists one level of a blob folder, page by page, and compares it with what is known of the folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from aml_provider.blobs.access import LIST, ask
from aml_provider.blobs.page_parser import LIST_BLOBS, malformed, next_marker, parse_page
from aml_provider.blobs.refusal import refusal
from aml_provider.client.http.exchange import MOST_OF_A_LISTING
from aml_provider.client.http.messages import Pause, Request

if TYPE_CHECKING:
    from aml_provider.blobs.access import ContainerAccess
    from aml_provider.blobs.change import Detection
    from aml_provider.blobs.folder import Folder
    from aml_provider.blobs.folder_state import FolderState
    from aml_provider.client.http.messages import Flow

# Azurite 3.35 accepts this version; since 2021-02-12, names with characters that XML cannot hold arrive as
# <Name Encoded="true"> instead of failing the listing.
SERVICE_VERSION = "2021-12-02"
PAGE_SIZE = 5000  # the service's maximum
_SEAL, _NONCE = AESGCM(AESGCM.generate_key(256)), bytes(12)
# Of 5,000 blobs each: far more than a cursor can be stored for. A service whose pages never end must not fill the
# memory of a triggerer.
_MOST_PAGES = 5000


def list_request(folder: Folder, access: ContainerAccess, marker: str = "", *, metadata: bool = False) -> Request:
    """Request one page of the folder's own level; the marker is from the previous page, and empty for the first one.

    With ``metadata`` also request the blobs' metadata, which distinguishes directory markers from empty blobs.
    """
    query = {"restype": "container", "comp": "list", "delimiter": "/", "maxresults": str(PAGE_SIZE)}
    if folder.prefix:
        query["prefix"] = folder.prefix
    if marker:
        query["marker"] = marker
    if metadata:
        query["include"] = "metadata"
    return Request(
        operation=LIST_BLOBS,
        method="GET",
        url=folder.container_url,
        query=(*query.items(), *access.signature(folder.container_url)),
        headers=(("x-ms-version", SERVICE_VERSION), ("Accept", "application/xml")),
        most=MOST_OF_A_LISTING,
    )


def poll_folder(state: FolderState, access: ContainerAccess) -> Flow[Detection]:
    """List the folder to its end and compare it with what the state knows.

    A page is not parsed again if its bytes were seen before and nothing in them remains to be decided. To read and
    compare 5,000 blobs takes some 25 ms, so the flow pauses in between: an event loop can run other tasks. The state
    does not change: pass the result to :meth:`FolderState.accept` once it is stored.

    Raises:
        ServiceError: A page could not be read. The poll is discarded and the state does not change.
        Unreachable: No connection could be made.
        ReplyLost: The connection broke.
        CredentialError: No token could be obtained.
    """
    folder, scan = state.folder, state.scan()
    marker, seen = "", {""}
    while len(seen) <= _MOST_PAGES:
        request = list_request(folder, access, marker, metadata=not state.rules.ignore_empty)
        reply = yield from ask(access, request)
        if reply.status != 200:
            raise refusal(LIST_BLOBS, folder.container_url, access, LIST, reply, begun=len(seen) > 1)
        marker = next_marker(reply.body)
        digest = _digest(reply.body)
        if not scan.repeat(digest):
            page = parse_page(reply.body)
            yield Pause(0)
            yield from scan.add(digest, page, reply.headers.get("date"))
            yield Pause(0)
        if not marker:
            return (yield from scan.finish())
        if marker in seen:
            raise malformed("List Blobs gave the same continuation marker twice")
        seen.add(marker)
    raise malformed(f"List Blobs gave {_MOST_PAGES} pages and has not ended")


def _digest(body: bytes) -> bytes:
    """Digest the blobs of a page, without its head and continuation marker, which may vary.

    The digest is the tag of AES-GCM over data that is only authenticated (GMAC, NIST SP 800-38D), under a key of this
    process. It has 128 bits, and takes a tenth of the CPU that Python's own hash takes. One nonce is enough, since no
    tag leaves the process.
    """
    start, stop = max(0, body.find(b"<Blobs>")), body.rfind(b"</Blobs>")
    with memoryview(body) as view:
        return _SEAL.encrypt(_NONCE, b"", view[start : max(start, stop)])
