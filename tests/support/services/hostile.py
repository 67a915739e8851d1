"""A server that sends the bytes that a test gives it, as slowly and for as long as the test wants."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Hostile:
    """A context manager that answers each connection's first request with raw bytes.

    Args:
        send: Returns the pieces to send, one after the other; called for each connection.
        pause: Seconds between two pieces.
    """

    def __init__(self, send: Callable[[], Iterable[bytes]], *, pause: float = 0.0) -> None:
        self._send = send
        self._pause = pause
        self._ended = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.sent = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            for piece in self._send():
                connection.sendall(piece)
                self.sent += len(piece)
                if self._ended.is_set() or (self._pause and self._ended.wait(self._pause)):
                    return


def head(status: str = "200 OK", **headers: str) -> bytes:
    """A reply's head; underscores in names stand for hyphens."""
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
