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
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

#: The operation in messages.
LIST_BLOBS = "list blobs"

Row = tuple[bytes, bytes, bytes, bytes]
"""One blob: full name (UTF-8, no XML or URL escapes), Last-Modified as sent, ETag without quotes, size in digits."""

_Column = list[bytes]
Columns = tuple[_Column, _Column, _Column, _Column]
"""The same of several blobs, field by field: what is done with a whole column takes a third of the time."""

# The order is Azurite's and that of https://learn.microsoft.com/rest/api/storageservices/list-blobs; Owner to
# Placeholder, for accounts with a hierarchical namespace, were never seen in a real reply. A wrong guess only costs
# time: the XML parser then reads the page. Each element must follow the previous one directly, so that no match spans
# two blobs. (?:|x) is faster than x?, and the likelier alternative comes first. A class of characters takes twice the
# time of [^<], which _check_text() can replace if there are no entities.
_FIELDS = (
    rb"([^<]+)</Name>"
    rb"(?:|<VersionId>[^<]*</VersionId><IsCurrentVersion>[^<]*</IsCurrentVersion>)"
    rb"<Properties>(?:<Creation-Time>[^<]*</Creation-Time>|)"
    rb"<Last-Modified>(%b)</Last-Modified><Etag>(%b)</Etag>"
    rb"(?:|(?:<(?:Owner|Group|Permissions|Acl|ResourceType|Placeholder)>[^<]*</[^>]*>)+)"
    rb"<Content-Length>(0|[1-9][0-9]{0,18})</Content-Length>"
)

# Matches every <Blob> and <BlobPrefix>, also if the fields do not fit, but neither <Blobs> nor <BlobType>.
_PLAIN_ROW = re.compile(rb"<Blob[^sT](?:<Name>" + _FIELDS % (rb"[^<]+", rb"[^<]+") + rb"|)")
_ROW = re.compile(rb'<Blob[^sT](?:<Name( Encoded="true")?>' + _FIELDS % (rb"[\w ,:]+", rb"[\w\x22&;#.-]+") + rb"|)")
_PREFIX = re.compile(rb'<BlobPrefix><Name( Encoded="true")?>([^<]+)</Name>')
# Directory markers. In lower case, because metadata keeps the case in which it was written.
_MARKERS = (b"hdi_isfolder", b"<resourcetype>directory<")
_PIECE = 400_000  # bytes: some 600 blobs
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
        columns: The blobs in listing order.
        directories: Names of the empty blobs that their resource type or metadata identifies as directory markers.
        prefixes: The sub-folders, each name ending in ``/``.
    """

    columns: Columns
    directories: frozenset[bytes]
    prefixes: list[bytes]

    @property
    def rows(self) -> list[Row]:
        """The blobs in listing order, one by one."""
        return list(zip(*self.columns, strict=True))


def columns_of(rows: Sequence[Row]) -> Columns:
    """Turn blobs into columns."""
    names, times, etags, sizes = map(list, zip(*rows, strict=True)) if rows else ([], [], [], [])
    return names, times, etags, sizes


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
    # After the head of the page, a quote belongs to an encoded name or a quoted ETag (or to metadata: harmless).
    if body.find(b"&", start) < 0 and body.find(b'"', start) < 0:
        names, times, etags, sizes = _found(_PLAIN_ROW, body)
        _check_text(b"".join(names))
        _check_text(b"".join(times))
        _check_text(b"".join(etags))
    else:
        encoded, escaped, times, etags, sizes = _found(_ROW, body)
        _check_text(b"".join(escaped))
        names = list(map(_name, escaped, encoded))
        etags = [_unescape(etag).strip(b'"') for etag in etags]
    columns: Columns = names, times, etags, sizes
    # An entry without an ETag must be a sub-folder; otherwise the XML parser reads the page.
    prefixes: list[bytes] = []
    if b"" in etags:
        entries, columns = len(names), columns_of([row for row in zip(*columns, strict=True) if row[2]])
        named = _PREFIX.findall(body)
        if len(columns[0]) + len(named) != entries:
            return None
        _check_text(b"".join([name for _, name in named]))
        prefixes = [_name(name, encoded) for encoded, name in named]
    directories: frozenset[bytes] = frozenset()
    names, _, _, sizes = columns
    if b"0" in sizes:
        small = body.lower()
        if any(marker in small for marker in _MARKERS):
            pieces = body.split(b"<Blob>")[1:]
            directories = frozenset(
                name
                for name, size, piece in zip(names, sizes, pieces, strict=True)
                if size == b"0" and _is_directory(piece)
            )
    return Page(columns, directories, prefixes)


def _found(pattern: re.Pattern[bytes], body: bytes) -> list[list[bytes]]:
    """All matches of a pattern that matches from ``<Blob`` on, as a column for each of its groups.

    The page is searched in pieces. So the tuples of one piece take the memory of those of the previous piece, and there
    are never as many of them as make Python collect garbage, in which it would go through all of them again and again.
    """
    columns: list[list[bytes]] = [[] for _ in range(pattern.groups)]
    at = 0
    while at >= 0:
        # No match extends beyond the next <Blob.
        end = body.find(b"<Blob", at + _PIECE)
        found = pattern.findall(body, at, len(body) if end < 0 else end)
        for column, values in zip(columns, zip(*found, strict=True), strict=False):  # nothing may have been found
            column.extend(values)
        at = end
    return columns


def _check_text(text: bytes) -> None:
    """Raise ValueError if an XML parser would read another text, or refuse it."""
    if text.isalnum():
        return
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
    return Page(columns_of(rows), frozenset(directories), prefixes)


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
