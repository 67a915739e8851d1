"""Limits of one request and its reply: the time from the first byte to the last, and the memory."""

from __future__ import annotations

import ssl
import time
import zlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20
#: The bytes that are read of a refusal: its code and message are at the beginning.
MOST_OF_AN_ERROR = 256 * 1024
#: The most bytes of one page of a list. In memory, JSON takes up to ten times as much.
MOST_OF_A_PAGE = 64 * MIB
#: The most bytes of one entity.
MOST_OF_A_RECORD = 16 * MIB
#: The most bytes of a text that is kept whole.
MOST_OF_A_TEXT = 256 * MIB
#: The most bytes that are read of a log file, even if only its end is kept.
MOST_OF_A_LOG = 1024 * MIB
#: The most bytes of a page of a blob listing: 5,000 blobs, each with the longest name and 8 KiB of metadata, escaped.
MOST_OF_A_LISTING = 128 * MIB
#: The most bytes of a sensor's cursor in a blob.
MOST_OF_A_CURSOR = 256 * MIB
# The bytes that are decompressed in one step: a piece of 64 KiB from the network may expand to 64 MiB.
_STEP = MIB
_SENT_AT_ONCE = 16_384
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})


class TooLarge(ValueError):
    """The body has more bytes than its kind of reply may have."""


class Unreadable(ValueError):
    """The body has an encoding that was not requested, or does not match its encoding."""


class Deadline:
    """The instant at which an exchange is given up.

    Args:
        seconds: The seconds from now until that instant; None: the exchange is never given up.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self, timeout: float | None = None) -> float | None:
        """The seconds that remain, at most ``timeout``.

        Raises:
            TimeoutError: The deadline has passed.
        """
        if self._end is None:
            return timeout
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(str(self))
        return left if timeout is None else min(left, timeout)

    @property
    def has_passed(self) -> bool:
        """Whether it has passed."""
        return self._end is not None and time.monotonic() >= self._end

    def __str__(self) -> str:
        return f"it had not ended after {self.seconds:g} seconds"


#: The deadline of the exchange that this thread carries out.
CURRENT: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


class TimedSocket:
    """A socket for TLS inside of TLS, which reads in pieces. Without it, the timeout would restart with each piece."""

    def __init__(self, inner: ssl.SSLSocket) -> None:
        self._inner = inner
        self._timeout: float | None = None

    def settimeout(self, seconds: float | None) -> None:
        """Set the timeout of each piece; without ``seconds``, wait for ever."""
        self._timeout = seconds

    def recv(self, size: int) -> bytes:
        """Receive a piece."""
        self._inner.settimeout(_left(self._timeout))
        return self._inner.recv(size)

    def sendall(self, data: bytes) -> None:
        """Send data, within the timeout and the deadline of the exchange."""
        self._inner.settimeout(_left(self._timeout))
        self._inner.sendall(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


#: Makes a stream from a socket, a TLS context, a host and a timeout.
TlsInside: TypeAlias = "Callable[[TimedSocket, ssl.SSLContext, str | None, float | None], Any]"


class TimedBackend:
    """Opens connections whose every read and write respects the deadline of the exchange.

    A read timeout restarts with each byte, so a head that trickles in would never end. Event loops have their own
    deadlines.

    Args:
        inner: The HTTP library's backend.
        tls_inside: Makes the HTTP library's stream for TLS inside of TLS, which a proxy with TLS needs.
    """

    def __init__(self, inner: Any, tls_inside: TlsInside) -> None:
        self._inner = inner
        self._tls_inside = tls_inside

    def connect_tcp(self, *args: Any, **kwargs: Any) -> _TimedStream:
        """Open a connection."""
        return _TimedStream(self._inner.connect_tcp(*args, **kwargs), self._tls_inside)

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> _TimedStream:
        """Open a connection on this machine."""
        return _TimedStream(self._inner.connect_unix_socket(*args, **kwargs), self._tls_inside)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._inner.sleep(seconds)


class _TimedStream:
    def __init__(self, inner: Any, tls_inside: TlsInside) -> None:
        self._inner = inner
        self._tls_inside = tls_inside

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._inner.read(max_bytes, _left(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # The timeout also restarts with each byte that the other side takes.
        for start in range(0, len(buffer), _SENT_AT_ONCE):
            self._inner.write(buffer[start : start + _SENT_AT_ONCE], _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> _TimedStream:
        tunnel = self._inner.get_extra_info("socket")
        if isinstance(tunnel, ssl.SSLSocket):
            inner = self._tls_inside(TimedSocket(tunnel), ssl_context, server_hostname, timeout)
        else:
            inner = self._inner.start_tls(ssl_context, server_hostname, _left(timeout))
        return _TimedStream(inner, self._tls_inside)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(timeout: float | None) -> float | None:
    deadline = CURRENT.get()
    return timeout if deadline is None else deadline.left(timeout)


class Body:
    """A reply's body, taken in pieces as the network brings them.

    Args:
        encoding: Its Content-Encoding.
        most: The most bytes that it may have, decompressed.
        tail: Keep only the last N of them.
        cut: Ignore the bytes beyond ``most``, instead of raising an error.

    Raises:
        Unreadable: Its encoding was not requested.
    """

    def __init__(self, encoding: str, most: int, *, tail: int | None = None, cut: bool = False) -> None:
        self._tail = tail
        self._most = most
        self._cut = cut
        self._pieces: list[bytes] = []
        self._kept = self._size = self._taken = 0
        encoding = encoding.strip().lower()
        if encoding not in _COMPRESSED | {"", "identity"}:
            raise Unreadable(f"its body is compressed with {encoding[:40]!r}, which was not requested")
        self._is_compressed = encoding in _COMPRESSED
        self._unpack = _unpacker()

    def add(self, piece: bytes) -> bool:
        """Take the next piece; return whether more pieces are needed.

        Raises:
            TooLarge: The body is too large.
            Unreadable: It cannot be decompressed.
        """
        if not self._is_compressed:
            return self._keep(piece)
        self._taken += len(piece)
        if self._taken > self._most + MIB:
            # Compressed data that expands to nothing may be endless, too.
            return self._refuse()
        while piece:
            if self._unpack.eof:
                # The body has several compressed members.
                self._unpack = _unpacker()
            try:
                unpacked = self._unpack.decompress(piece, _STEP)
            except zlib.error as error:
                raise Unreadable(f"its body does not match its Content-Encoding: {error}") from None
            piece = self._unpack.unconsumed_tail or self._unpack.unused_data
            if not self._keep(unpacked):
                return False
        return True

    def _keep(self, piece: bytes) -> bool:
        self._size += len(piece)
        if self._size > self._most:
            self._pieces.append(piece[: len(piece) - (self._size - self._most)])
            return self._refuse()
        self._pieces.append(piece)
        self._kept += len(piece)
        if self._tail is not None and self._kept > 2 * self._tail:
            self._pieces = [self.read()]
            self._kept = self._tail
        return True

    def _refuse(self) -> bool:
        if not self._cut:
            raise TooLarge(f"its body has more than {self._most:,} bytes")
        return False

    def end(self) -> bytes:
        """The whole body, after the last piece.

        Raises:
            Unreadable: Its end is missing.
        """
        if self._taken and not self._unpack.eof and not self._cut:
            raise Unreadable("the end of its body is missing")
        return self.read()

    def read(self) -> bytes:
        """The bytes that are kept so far."""
        whole = b"".join(self._pieces)
        return whole if self._tail is None else whole[-self._tail :]


def _unpacker() -> zlib._Decompress:
    # 32 more than the largest window: both gzip and zlib.
    return zlib.decompressobj(zlib.MAX_WBITS | 32)
