"""Prints several growing logs to one stream, as ``tail -f`` does for several files."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from aml_provider.cli.terminal import write
from aml_provider.client.text import printable

if TYPE_CHECKING:
    from typing import TextIO


def heading(name: str) -> str:
    """The line above the text of a log."""
    return f"==> {printable(name)} <==\n"


class LogPrinter:
    """Prints whole lines; a heading shows from which log they are.

    A line that has not ended is held back, because the next line may be from another log.

    Args:
        stream: The destination. On a terminal, other people's text must not move the cursor.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._held: dict[str, str] = {}
        self._current: str | None = None

    def add(self, name: str, data: bytes) -> None:
        """Print the next bytes of a log, except the last line if it has not ended."""
        if name not in self._decoders:
            self._decoders[name] = codecs.getincrementaldecoder("utf-8")("replace")
        text = self._held.pop(name, "") + self._decoders[name].decode(data)
        # Progress bars end their lines with a carriage return. At the end of the text, it may be half of a line's end.
        end = max(text.rfind("\n"), text.rfind("\r", 0, max(0, len(text) - 1))) + 1
        if text[end:]:
            self._held[name] = text[end:]
        if end:
            self._print(name, text[:end])

    def finish(self) -> None:
        """Print the lines that have not ended."""
        for name, decoder in self._decoders.items():
            text = self._held.pop(name, "") + decoder.decode(b"", final=True)
            if text:
                self._print(name, f"{text}\n")

    def _print(self, name: str, text: str) -> None:
        if self._stream.isatty():
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            text = printable(text.expandtabs(), lines=True)
        above = ""
        if name != self._current:
            above = heading(name) if self._current is None else f"\n{heading(name)}"
            self._current = name
        write(self._stream, above + text)
