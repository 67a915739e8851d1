"""How much of a growing log file has been read, and whether it is still the same file.

A log is read in parts (HTTP ranges). Each part begins with bytes that were read before: if they differ, the file was
replaced. No time and no ETag decides, because a service may write the whole file again whenever it grows.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client.errors import MalformedReply, ServiceError
from aml_provider.client.http.exchange import MIB, MOST_OF_A_TEXT
from aml_provider.client.http.messages import Request

if TYPE_CHECKING:
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.reply import Reply

# The bytes that are requested at a time.
_PART = 8 * MIB
#: The bytes that are read again, to recognise the file.
OVERLAP = 1024
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)", re.ASCII)


class LogFile:
    """The part of a log file that has been read.

    Args:
        part: The bytes that are requested at a time.

    Attributes:
        size: The number of bytes.
    """

    def __init__(self, part: int = _PART) -> None:
        self.size = 0
        self.part = part
        self._end = b""
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Take the next bytes of the file."""
        self.size += len(data)
        self._digest.update(data)
        self._end = (self._end + data)[-OVERLAP:]

    @property
    def next_range(self) -> tuple[int, int]:
        """The first and the last byte of the next part."""
        start = self.size - len(self._end)
        return start, start + self.part - 1

    def rest_of_part(self, part: bytes) -> bytes | None:
        """The new bytes of the next part; None if the part belongs to another file."""
        return part[len(self._end) :] if part.startswith(self._end) else None

    def rest_of(self, content: bytes) -> bytes | None:
        """The new bytes of the whole file; None if it is another file.

        A file whose beginning was removed is recognised by the last bytes that were read of it.
        """
        if hashlib.sha256(content[: self.size]).digest() == self._digest.digest():
            return content[self.size :]
        if len(self._end) == OVERLAP and (place := content.find(self._end)) >= 0:
            return content[place + OVERLAP :]
        return None


class News(NamedTuple):
    """The findings of one reading of a file.

    Args:
        data: The new bytes; if the file was replaced: all bytes.
        is_replaced: Whether another file has its name now.
    """

    data: bytes
    is_replaced: bool = False


def read_news(operation: str, url: str, known: LogFile) -> Flow[News]:
    """Read what is new of a log file, with a link that carries its own signature.

    ``known`` is not changed: the caller adds the bytes when it has delivered them.

    Args:
        operation: The purpose, for messages.
        url: The link.
        known: The part that has been read before.

    Raises:
        AzureMLError: The file could not be read.
    """
    start, last = known.next_range
    try:
        reply = yield _request(operation, url, start, last)
    except MalformedReply:
        # The part of a compressed file cannot be decompressed.
        reply = yield _request(operation, url)
    if reply.status == 206:
        rest = known.rest_of_part(reply.body) if _place(reply)[0] == start else None
        if rest is not None:
            return News(rest + (yield from _more(operation, url, reply, known.part)))
    elif reply.status == 200:
        return _of_whole(reply.body, known)
    elif reply.status != 416:
        raise _refused(operation, reply)
    elif known.size == 0:
        # An empty file has no first byte.
        return News(b"")
    reply = yield _request(operation, url)
    if reply.status != 200:
        raise _refused(operation, reply)
    return _of_whole(reply.body, known)


def _more(operation: str, url: str, reply: Reply, part: int) -> Flow[bytes]:
    """The parts of a file after the first one."""
    parts: list[bytes] = []
    first, size = _place(reply)
    end = first + len(reply.body)
    while end < min(size, first + MOST_OF_A_TEXT):
        reply = yield _request(operation, url, end, end + part - 1)
        if reply.status != 206 or _place(reply)[0] != end or not reply.body:
            # The file has just been replaced; the next reading recognises that.
            break
        parts.append(reply.body)
        end += len(reply.body)
    return b"".join(parts)


def _of_whole(content: bytes, known: LogFile) -> News:
    rest = known.rest_of(content)
    return News(content, is_replaced=True) if rest is None else News(rest)


def _request(operation: str, url: str, first: int | None = None, last: int | None = None) -> Request:
    # Requested once: the next poll reads it again, and no retry helps if the storage is in a closed network.
    return Request(
        operation,
        "GET",
        url,
        headers=() if first is None else (("Range", f"bytes={first}-{last}"),),
        repeatable=False,
        most=MOST_OF_A_TEXT,
        is_link=True,
    )


def _place(reply: Reply) -> tuple[int, int]:
    """The first byte of a part, and the size of the whole file; -1 and 0 if the reply does not have them."""
    found = _RANGE.fullmatch(reply.headers.get("content-range", ""))
    return (-1, 0) if found is None else (int(found[1]), int(found[2]))


def _refused(operation: str, reply: Reply) -> ServiceError:
    return ServiceError(
        operation,
        status=reply.status,
        hint="The storage account refuses. One in a closed network serves only clients in that network.",
    )
