"""Replays pages of List Blobs as Azure writes them, at the speed of the wire: Azurite would hide the client's cost.

``/account/nCOUNT`` is a folder of so many blobs, as is each ``/account/nCOUNTxNUMBER``; ``/account/deep`` is one of a
thousand, over 100,000 more in sub-folders. ``/account/events`` is a wake queue without messages. It counts the requests
that it was asked: ``GET /_counts``.

``static_listing.py [CERTIFICATE]`` serves HTTPS if there is a file with a certificate and its key.
"""

from __future__ import annotations

import asyncio
import functools
import re
import socket
import ssl
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import unquote

PAGE = 5000
_DATE = "Sun, 22 Nov 2026 12:00:00 GMT"
# Of each page after the first, names and ETags differ from the first one's in this place.
_MARK = b"#####"
_BLOB = (
    "<Blob><Name>in/data-#####-{number:08d}.csv</Name><Properties>"
    "<Creation-Time>{written}</Creation-Time><Last-Modified>{written}</Last-Modified>"
    "<Etag>0x8DE#####{number:08X}</Etag><Content-Length>{size}</Content-Length><Content-Type>text/csv</Content-Type>"
    "<Content-Encoding /><Content-Language /><Content-CRC64 /><Content-MD5>1B2M2Y8AsgTpgAmY7PhCfg==</Content-MD5>"
    "<Cache-Control /><Content-Disposition /><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier>"
    "<AccessTierInferred>true</AccessTierInferred><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
    "<ServerEncrypted>true</ServerEncrypted></Properties><OrMetadata /></Blob>"
)
_PREFIXES = "".join(f"<BlobPrefix><Name>in/sub-{number:03}/</Name></BlobPrefix>" for number in range(100))
_REQUEST = re.compile(rb"^GET /account/(n([0-9]+)(?:x[0-9]+)?|deep)\?([^ ]*) ")


def blobs(count: int) -> bytes:
    """The blobs of one page."""
    return "".join(
        # A minute and a bit between any two, and not in the names' order.
        _BLOB.format(number=number, size=4096 + number, written=_http_date(number * 61 * 1009 % (61 * PAGE)))
        for number in range(count)
    ).encode()


def _http_date(seconds: int) -> str:
    return format_datetime(datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=seconds), usegmt=True)


_FULL = blobs(PAGE)


def page(count: int, number: int, more: bytes = b"") -> bytes:
    """One page of a folder of so many blobs."""
    left = count - number * PAGE
    entries = (_FULL if left >= PAGE else blobs(left)).replace(_MARK, b"%05d" % number)
    following = b"<NextMarker>p%d</NextMarker>" % (number + 1) if left > PAGE else b"<NextMarker />"
    return (
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://a/" '
        b'ContainerName="c"><Prefix>in/</Prefix><MaxResults>5000</MaxResults><Delimiter>/</Delimiter><Blobs>'
        + entries
        + more
        + b"</Blobs>"
        + following
        + b"</EnumerationResults>"
    )


# Thousands of folders may be the same.
_page = functools.lru_cache(maxsize=1)(page)


class Connection(asyncio.Protocol):
    """One connection of a client."""

    asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that has arrived whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[:end], self._received[end + 4 :]
            body = self._answer(head)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nDate: %b\r\nx-ms-version: 2021-12-02\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (_DATE.encode(), len(body), body)
            )

    def _answer(self, head: bytes) -> bytes:
        if head.startswith(b"GET /_counts "):
            return b"%d" % Connection.asked
        Connection.asked += 1
        if head.startswith(b"GET /account/events/messages?"):
            return b"<?xml version='1.0' encoding='utf-8'?><QueueMessagesList />"
        found = _REQUEST.match(head)
        assert found is not None, head
        query = dict(pair.partition("=")[::2] for pair in unquote(found[3].decode()).split("&"))
        number = int(query.get("marker", "p0").removeprefix("p"))
        if found[2]:
            return _page(int(found[2]), number)
        return page(1000, 0, _PREFIXES.encode()) if "delimiter" in query else page(101_000, number)


async def serve(certificate: str = "") -> None:
    """Serve until standard input ends."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, sock=listener, ssl=context)
    scheme = "https" if context else "http"
    print(f"listening on {scheme}://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
