"""One level of a blob folder: where it is, the List Blobs requests that read it, and what a page of the answer says.

Nothing here does I/O: :func:`poll` is a generator that yields requests and is sent replies, so that one small loop runs
it, blocking or not. The page parser reads bytes with one regular expression per blob, because building the SDK's models
costs a hundred times the CPU; whatever the expression does not fit goes through an XML parser instead.
"""

from __future__ import annotations

import re
from functools import cache, partial
from io import BytesIO
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from aml_provider.client.errors import InvalidArgument, MalformedReply, ServiceError

if TYPE_CHECKING:
    from collections.abc import Generator
    from xml.etree.ElementTree import Element

    from aml_provider.blobs.changes import Detection, FolderState

__all__ = [
    "Folder",
    "ListRequest",
    "Page",
    "Reply",
    "Row",
    "error_facts",
    "list_request",
    "normalise_path",
    "parse_page",
    "poll",
]

# Azurite 3.35 takes this one; from 2021-02-12 on, names with characters that XML cannot hold arrive as
# <Name Encoded="true"> instead of failing the listing.
SERVICE_VERSION = "2021-12-02"
PAGE_SIZE = 5000  # the service's maximum
_OPERATION = "list blobs"

Row = tuple[bytes, bytes, bytes, bytes]
"""One blob: whole name (UTF-8, no XML or URL escapes), Last-Modified as sent, ETag without quotes, size in digits."""

_CONTAINER = re.compile(r"\$[a-z]{3,}|(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")
# The order is Azurite's and that of https://learn.microsoft.com/rest/api/storageservices/list-blobs; Owner to
# Placeholder, for accounts with a hierarchical namespace, were not seen on the wire. A wrong guess here only costs
# time: the XML parser then reads the page. Elements must follow each other, so that no row runs into the next.
# (?:|x) is tried faster than x?, and the likelier one first.
_FIELDS = (
    rb"([^<]*)</Name>"
    rb"(?:|<VersionId>[^<]*</VersionId><IsCurrentVersion>[^<]*</IsCurrentVersion>)"
    rb"<Properties>(?:<Creation-Time>[^<]*</Creation-Time>|)"
    rb"<Last-Modified>([^<]+)</Last-Modified><Etag>([^<]+)</Etag>"
    rb"(?:|(?:<(?:Owner|Group|Permissions|Acl|ResourceType|Placeholder)>[^<]*</[^>]*>)+)"
    rb"<Content-Length>([0-9]+)</Content-Length>"
)
# Every <Blob> and <BlobPrefix> matches, also one that the fields do not fit, but neither <Blobs> nor <BlobType>.
_PLAIN_ROW = re.compile(rb"<Blob[^sT](?:<Name>" + _FIELDS + rb"|)")
_ROW = re.compile(rb'<Blob[^sT](?:<Name( Encoded="true")?>' + _FIELDS + rb"|)")
_PREFIX = re.compile(rb'<BlobPrefix><Name( Encoded="true")?>([^<]*)</Name>')
_DIRECTORY = re.compile(rb"(?i)<hdi_isfolder>\s*true\s*</hdi_isfolder>|<ResourceType>directory</ResourceType>")
_NEXT_MARKER = re.compile(rb"<NextMarker(?: ?/>|>([^<]*)</NextMarker>)\s*</EnumerationResults>\s*\Z")
_ENTITY = re.compile(rb"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_ENTITIES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}


class Folder(NamedTuple):
    """One folder level of a container. Make it with :meth:`at`, which checks its parts.

    Attributes:
        container_url: The container's address, without query and final slash.
        prefix: What the names in the folder begin with: empty for the container's root, else ending in ``/``.
        datastore: The workspace datastore that the container belongs to, where it was given by that.
    """

    container_url: str
    prefix: str
    datastore: str | None = None

    @classmethod
    def at(
        cls, container_url: str, path: str = "", datastore: str | None = None, *, allow_http: bool = False
    ) -> Folder:
        """Check an address and a path in it.

        Args:
            container_url: ``https://ACCOUNT.blob.core.windows.net/CONTAINER``, or Azurite's
                ``http://127.0.0.1:10000/devstoreaccount1/CONTAINER``.
            path: The folder in the container; empty for its root.
            datastore: Copied into the changes.
            allow_http: Accept plain http to hosts other than loopback.

        Raises:
            ValueError: ``container_url`` or ``path`` is not usable; the message names the argument, and never repeats
                a query string, since that may hold a SAS.
        """
        return cls(_checked_container(container_url, allow_http=allow_http), normalise_path(path), datastore)


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


class Page(NamedTuple):
    """What one page of a listing says.

    Attributes:
        rows: The blobs in listing order.
        directories: Names among them that the service itself marks as directories.
        prefixes: The sub-folders, each name ending in ``/``.
    """

    rows: list[Row]
    directories: frozenset[bytes]
    prefixes: list[bytes]


def normalise_path(path: str) -> str:
    """Turn a folder path into the prefix of the names in it: no leading slash, one final slash, empty for the root.

    Raises:
        ValueError: The path holds a backslash or a ``.`` or ``..`` segment, or is no string.
    """
    if not isinstance(path, str):
        raise InvalidArgument("path", f"a string is needed, not {type(path).__name__}")
    if "\\" in path:
        raise InvalidArgument("path", f"{path!r} has a backslash; folders are separated by /")
    trimmed = path.strip("/")
    if any(segment in {".", ".."} for segment in trimmed.split("/")):
        raise InvalidArgument("path", f"{path!r} has a segment . or .., which blob storage does not resolve")
    return f"{trimmed}/" if trimmed else ""


def _checked_container(container_url: str, *, allow_http: bool) -> str:
    if not isinstance(container_url, str):
        raise InvalidArgument("container_url", f"a string is needed, not {type(container_url).__name__}")
    bare = re.split(r"[?#]", container_url, maxsplit=1)[0]
    # First, since every other message repeats the URL.
    if "@" in bare.partition("//")[2].partition("/")[0]:
        raise InvalidArgument("container_url", "it has a user name or password; secrets belong in the connection")
    if bare != container_url:
        raise InvalidArgument("container_url", f"{bare} has a query string; a SAS or key belongs in the connection")
    try:
        parts = urlsplit(bare)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidArgument("container_url", f"not a URL: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidArgument(
            "container_url", f"{bare!r} is not of the form https://ACCOUNT.blob.core.windows.net/CONTAINER"
        )
    path_style, loopback = _is_ip(host) or host == "localhost", _is_loopback(host)
    if parts.scheme == "http" and not (loopback or allow_http):
        raise InvalidArgument("container_url", f"plain http to {host}; https is needed except for loopback addresses")
    if ".dfs." in host:
        raise InvalidArgument("container_url", f"{host} is the data lake endpoint; give the account's blob endpoint")
    segments = parts.path.strip("/").split("/")
    # The account is in the host name (Azure) or the first segment (Azurite, and any address without a name).
    expected = {2} if path_style else {1} if ".blob." in host else {1, 2}
    if len(segments) not in expected or not _CONTAINER.fullmatch(segments[-1]):
        form = "http://HOST:PORT/ACCOUNT/CONTAINER" if path_style else "https://ACCOUNT.blob.core.windows.net/CONTAINER"
        raise InvalidArgument("container_url", f"{bare!r} is not of the form {form}; a folder in it goes into path")
    return f"{parts.scheme}://{parts.netloc}/{'/'.join(segments)}"


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_ip(host) and ip_address(host).is_loopback)


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
    while True:
        status, body, date = yield list_request(state.folder, marker, metadata=not state.rules.ignore_empty)
        if status != 200:
            code, message = error_facts(body)
            raise ServiceError(_OPERATION, status=status, code=code, message=message)
        end = _NEXT_MARKER.search(body, max(0, len(body) - 4096))
        if end is None:
            raise _malformed("The reply to List Blobs is cut off or no listing at all")
        digest = cache(partial(_digest, body))
        if not scan.repeat(digest):
            page = parse_page(body)
            yield None
            yield from scan.add(digest, page, date)
            yield None
        marker = _unescape(end[1] or b"").decode()
        if not marker:
            return (yield from scan.finish())
        if marker in seen:
            raise _malformed("List Blobs gave the same continuation marker twice")
        seen.add(marker)


def _digest(body: bytes) -> tuple[int, int]:
    """Digest the blobs of a page, without its head and continuation marker, which may vary.

    Python's own keyed 64-bit hash: as strong as the version hashes, half the cost of SHA-256, never stored.
    """
    start, stop = max(0, body.find(b"<Blobs>")), body.rfind(b"</Blobs>")
    with memoryview(body) as view:
        return hash(view[start : max(start, stop)]), stop - start


def error_facts(body: bytes) -> tuple[str, str]:
    """The code and message in the storage service's error document; empty where it has none."""
    code, message = (
        found[1].decode(errors="replace") if (found := re.search(pattern, body[:4096])) else ""
        for pattern in (rb"<Code>([^<]*)</Code>", rb"<Message>([^<\r\n]*)")
    )
    return code, message


def _malformed(problem: str) -> MalformedReply:
    return MalformedReply(_OPERATION, status=200, message=problem)


def parse_page(body: bytes) -> Page:
    """Read one page of a List Blobs reply.

    Raises:
        MalformedReply: The body is not a listing.
    """
    return _parse_fast(body) or _parse_xml(body)


def _parse_fast(body: bytes) -> Page | None:
    """Read a page by pattern; None when any blob or prefix in it has another shape than the pattern's."""
    start = body.find(b"<Blobs>")
    if b"<EnumerationResults" not in body[:512]:
        return None
    rows: list[Row]
    # Past the head of the page, a quote is an encoded name or a quoted ETag (or in metadata, which does no harm).
    if body.find(b"&", start) < 0 and body.find(b'"', start) < 0:
        rows = _PLAIN_ROW.findall(body)
    else:
        rows = [
            (_name(name, encoded), modified, _unescape(etag).strip(b'"'), size)
            for encoded, name, modified, etag, size in _ROW.findall(body)
        ]
    # The guard: what has no ETag is a sub-folder, or the XML parser decides.
    prefixes: list[bytes] = []
    if b"" in [row[2] for row in rows]:
        entries, rows = len(rows), [row for row in rows if row[2]]
        prefixes = [_name(name, encoded) for encoded, name in _PREFIX.findall(body)]
        if len(rows) + len(prefixes) != entries:
            return None
    directories: frozenset[bytes] = frozenset()
    if b"0" in [row[3] for row in rows] and _DIRECTORY.search(body):
        pieces = body.split(b"<Blob>")[1:]
        directories = frozenset(row[0] for row, piece in zip(rows, pieces, strict=True) if _is_directory(row, piece))
    return Page(rows, directories, prefixes)


def _is_directory(row: Row, piece: bytes) -> bool:
    return row[3] == b"0" and _DIRECTORY.search(piece.partition(b"</Blob>")[0]) is not None


def _name(text: bytes, encoded: bytes) -> bytes:
    return unquote_to_bytes(_unescape(text)) if encoded else _unescape(text)


def _unescape(text: bytes) -> bytes:
    # Not html.unescape, which knows two thousand more entities than XML does.
    return _ENTITY.sub(_character, text) if b"&" in text else text


def _character(entity: re.Match[bytes]) -> bytes:
    name, decimal, hexadecimal = entity.groups()
    return _ENTITIES[name] if name else chr(int(decimal) if decimal else int(hexadecimal, 16)).encode()


def _parse_xml(body: bytes) -> Page:
    """Read a page with an XML parser: any order of elements, any white space."""
    from xml.etree.ElementTree import ParseError, iterparse  # noqa: PLC0415 - 8 ms that few processes need

    rows: list[Row] = []
    directories: set[bytes] = set()
    prefixes: list[bytes] = []
    root = None
    try:
        # The storage service's own reply; expat bounds what entities may expand to.
        for _, element in iterparse(BytesIO(body)):  # noqa: S314
            root = element
            if element.tag == "Blob":
                row = _xml_row(element)
                rows.append(row)
                if _xml_directory(element):
                    directories.add(row[0])
                element.clear()
            elif element.tag == "BlobPrefix":
                prefixes.append(_xml_name(element))
                element.clear()
    except ParseError as error:
        raise _malformed(f"The reply to List Blobs is not XML: {error}") from None
    if root is None or root.tag != "EnumerationResults":
        raise _malformed("The reply to List Blobs is no listing")
    return Page(rows, frozenset(directories), prefixes)


def _xml_row(blob: Element) -> Row:
    modified, etag, size = (
        blob.findtext(f"Properties/{field}", "") for field in ("Last-Modified", "Etag", "Content-Length")
    )
    if not (modified and etag and size.isdecimal()):
        raise _malformed("A blob in the listing has no Last-Modified, Etag or Content-Length")
    return _xml_name(blob), modified.encode(), etag.strip('"').encode(), size.encode()


def _xml_name(element: Element) -> bytes:
    name = element.find("Name")
    if name is None or not name.text:
        raise _malformed("An entry of the listing has no name")
    return unquote_to_bytes(name.text) if name.get("Encoded") == "true" else name.text.encode()


def _xml_directory(blob: Element) -> bool:
    marks = (blob.findtext("Properties/ResourceType", ""), blob.findtext("Metadata/hdi_isfolder", ""))
    return marks[0].lower() == "directory" or marks[1].strip().lower() == "true"
