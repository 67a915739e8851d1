"""Reads a page of a List Blobs reply: its blobs, its sub-folders, and where the next page begins.

The parser reads bytes with one regular expression per blob, because building the SDK's models costs a hundred times the
CPU. A page that does not match the expression is read with an XML parser instead.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_to_bytes

from aml_provider.client.errors import MalformedReply

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

#: The operation in messages.
LIST_BLOBS = "list blobs"

Row = tuple[bytes, bytes, bytes, bytes]
"""One blob: full name (UTF-8, no XML or URL escapes), Last-Modified as sent, ETag without quotes, size in digits."""

# The order is Azurite's and that of https://learn.microsoft.com/rest/api/storageservices/list-blobs; Owner to
# Placeholder, for accounts with a hierarchical namespace, were never seen in a real reply. A wrong guess only costs
# time: the XML parser then reads the page. Each element must follow the previous one directly, so that no match spans
# two blobs. (?:|x) is faster than x?, and the likelier alternative comes first.
_FIELDS = (
    rb"([^<]+)</Name>"
    rb"(?:|<VersionId>[^<]*</VersionId><IsCurrentVersion>[^<]*</IsCurrentVersion>)"
    rb"<Properties>(?:<Creation-Time>[^<]*</Creation-Time>|)"
    rb"<Last-Modified>([\w ,:]+)</Last-Modified><Etag>([\w\x22&;#.-]+)</Etag>"
    rb"(?:|(?:<(?:Owner|Group|Permissions|Acl|ResourceType|Placeholder)>[^<]*</[^>]*>)+)"
    rb"<Content-Length>(0|[1-9][0-9]{0,18})</Content-Length>"
)

# Matches every <Blob> and <BlobPrefix>, also if the fields do not fit, but neither <Blobs> nor <BlobType>.
_PLAIN_ROW = re.compile(rb"<Blob[^sT](?:<Name>" + _FIELDS + rb"|)")
_ROW = re.compile(rb'<Blob[^sT](?:<Name( Encoded="true")?>' + _FIELDS + rb"|)")
_PREFIX = re.compile(rb'<BlobPrefix><Name( Encoded="true")?>([^<]+)</Name>')
# Directory markers. In lower case, because metadata keeps the case in which it was written.
_MARKERS = (b"hdi_isfolder", b"<resourcetype>directory<")
_NEXT_MARKER = re.compile(rb"<NextMarker(?: ?/>|>([^<]*)</NextMarker>)\s*</EnumerationResults>\s*\Z")

_ENTITY = re.compile(rb"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6})|);?")
_ENTITIES = {b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'"}

# Bytes that XML cannot contain, or would change (a carriage return).
_NO_TEXT = bytes({*range(32)} - {9, 10})
_NO_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SIZE = re.compile(r"0*([0-9]{1,19})")
_DEEPEST = 50  # elements; a listing has six


class Page(NamedTuple):
    """The content of one page of a listing.

    Attributes:
        rows: The blobs in listing order.
        directories: Names of the empty blobs that their resource type or metadata identifies as directory markers.
        prefixes: The sub-folders, each name ending in ``/``.
    """

    rows: list[Row]
    directories: frozenset[bytes]
    prefixes: list[bytes]


def malformed(problem: str) -> MalformedReply:
    """The error for a page that is not a listing."""
    return MalformedReply(LIST_BLOBS, status=200, message=problem)


def parse_page(body: bytes) -> Page:
    """Read one page of a List Blobs reply.

    Raises:
        MalformedReply: The body is not a listing.
    """
    try:
        return _parse_fast(body) or _parse_xml(body)
    except ValueError:  # a bad entity, or bytes that are not text: let the XML parser decide
        return _parse_xml(body)


def next_marker(body: bytes) -> str:
    """The marker that requests the next page; empty if this is the last one.

    Raises:
        MalformedReply: The page has no end, or the marker cannot be read.
    """
    end = _NEXT_MARKER.search(body, max(0, len(body) - 4096))
    if end is None:
        raise malformed("The reply to List Blobs is cut off, or is not a listing")
    try:
        return _unescape(end[1] or b"").decode()
    except ValueError as error:
        raise malformed(f"The continuation marker of List Blobs cannot be read: {error}") from None


def _parse_fast(body: bytes) -> Page | None:
    """Read a page by regular expression; None if a blob or prefix does not fit the expression.

    Raises:
        ValueError: A value is not plain text of XML, so the XML parser must read the page.
    """
    start = body.find(b"<Blobs>")
    if b"<EnumerationResults" not in body[:512]:
        return None
    rows: list[Row]
    # After the head of the page, a quote belongs to an encoded name or a quoted ETag (or to metadata: harmless).
    if body.find(b"&", start) < 0 and body.find(b'"', start) < 0:
        rows = _PLAIN_ROW.findall(body)
        _check_text(b"".join([row[0] for row in rows]))
    else:
        found = _ROW.findall(body)
        _check_text(b"".join([name for _, name, *_ in found]))
        rows = [
            (_name(name, encoded), modified, _unescape(etag).strip(b'"'), size)
            for encoded, name, modified, etag, size in found
        ]
    # An entry without an ETag must be a sub-folder; otherwise the XML parser reads the page.
    prefixes: list[bytes] = []
    if b"" in [row[2] for row in rows]:
        entries, rows = len(rows), [row for row in rows if row[2]]
        named = _PREFIX.findall(body)
        if len(rows) + len(named) != entries:
            return None
        _check_text(b"".join([name for _, name in named]))
        prefixes = [_name(name, encoded) for encoded, name in named]
    directories: frozenset[bytes] = frozenset()
    if b"0" in [row[3] for row in rows]:
        small = body.lower()
        if any(marker in small for marker in _MARKERS):
            pieces = body.split(b"<Blob>")[1:]
            directories = frozenset(
                row[0] for row, piece in zip(rows, pieces, strict=True) if row[3] == b"0" and _is_directory(piece)
            )
    return Page(rows, directories, prefixes)


def _check_text(text: bytes) -> None:
    """Raise ValueError if an XML parser would read another text, or refuse it."""
    if b"]]>" in text or text.translate(None, _NO_TEXT) != text:
        raise ValueError("not text in XML")
    if not text.isascii() and _NO_CHARACTERS.search(text.decode()):
        raise ValueError("not characters in XML")


def _is_directory(piece: bytes) -> bool:
    """Whether a blob is a directory marker; uses the XML parser only if it may be one."""
    piece = piece.partition(b"</Blob>")[0]
    small = piece.lower()
    if not any(marker in small for marker in _MARKERS):
        return False
    from xml.etree.ElementTree import ParseError, fromstring  # noqa: PLC0415 - see _parse_xml()

    try:
        return _xml_directory(fromstring(b"<Blob>%b</Blob>" % piece))  # noqa: S314 - see _parse_xml()
    except ParseError as error:
        raise ValueError(str(error)) from None


def _name(text: bytes, encoded: bytes) -> bytes:
    return unquote_to_bytes(_unescape(text)) if encoded else _unescape(text)


def _unescape(text: bytes) -> bytes:
    # Not html.unescape, which knows two thousand more entities than XML does.
    return _ENTITY.sub(_character, text) if b"&" in text else text


def _character(entity: re.Match[bytes]) -> bytes:
    name, decimal, hexadecimal = entity.groups()
    if name and entity[0].endswith(b";"):
        return _ENTITIES[name]
    character = chr(int(decimal) if decimal else int(hexadecimal or b"0", 16))
    if not entity[0].endswith(b";") or _NO_CHARACTERS.match(character):
        raise ValueError(f"{entity[0].decode()} is not a character in XML")
    return character.encode()


def _parse_xml(body: bytes) -> Page:
    """Read a page with an XML parser: any order of elements, any white space."""
    from xml.etree.ElementTree import ParseError, iterparse  # noqa: PLC0415 - 8 ms that few processes need

    rows: list[Row] = []
    directories: set[bytes] = set()
    prefixes: list[bytes] = []
    path: list[str] = []
    root = ""
    # No listing has one, and a few of its entities can expand to gigabytes. An encoding that hides the document type
    # also hides the page's end, so next_marker() has refused it.
    if b"<!DOCTYPE" in body:
        raise malformed("The reply to List Blobs has a document type, which no listing has")
    try:
        # The storage service's own reply.
        for event, element in iterparse(BytesIO(body), ("start", "end")):  # noqa: S314
            if event == "start":
                path.append(element.tag)
                if len(path) > _DEEPEST:
                    raise malformed("The reply to List Blobs is nested too deeply")
                continue
            root = path[0]
            # Elements of metadata may have any name, also one of these.
            kind = path[1:] if len(path) == 3 else None
            if kind == ["Blobs", "Blob"]:
                row = _xml_row(element)
                rows.append(row)
                if row[3] == b"0" and _xml_directory(element):
                    directories.add(row[0])
                element.clear()
            elif kind == ["Blobs", "BlobPrefix"]:
                prefixes.append(_xml_name(element))
                element.clear()
            path.pop()
    except (ParseError, LookupError, ValueError) as error:  # the last two: an unknown or wrong encoding
        raise malformed(f"The reply to List Blobs is not XML: {error}") from None
    if root != "EnumerationResults":
        raise malformed("The reply to List Blobs is not a listing")
    return Page(rows, frozenset(directories), prefixes)


def _xml_row(blob: Element) -> Row:
    modified, etag, size = (
        blob.findtext(f"Properties/{field}", "") for field in ("Last-Modified", "Etag", "Content-Length")
    )
    etag, digits = etag.strip('"'), _SIZE.fullmatch(size)
    if not (modified and etag and digits and size.isascii()):
        raise malformed("A blob in the listing has no usable Last-Modified, Etag or Content-Length")
    return _xml_name(blob), modified.encode(), etag.encode(), str(int(digits[1])).encode()


def _xml_name(element: Element) -> bytes:
    name = element.find("Name")
    if name is None or not name.text:
        raise malformed("An entry of the listing has no name")
    return unquote_to_bytes(name.text) if name.get("Encoded") == "true" else name.text.encode()


def _xml_directory(blob: Element) -> bool:
    """Whether an empty blob stands for a directory."""
    if blob.findtext("Properties/ResourceType", "").lower() == "directory":
        return True
    metadata = blob.find("Metadata")
    return metadata is not None and any(
        key.tag.lower() == "hdi_isfolder" and (key.text or "").strip().lower() == "true" for key in metadata
    )
