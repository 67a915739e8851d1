"""The streams of a command: their characters, their colours, and what happens if their reader has gone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from rich.color import ColorSystem
from rich.style import Style

if TYPE_CHECKING:
    from typing import TextIO

#: The exit code that a shell reports of a program whose output nobody reads any more: 128 and the number of SIGPIPE.
READER_GONE = 141

# With PYTHONUNBUFFERED, Python takes a write of which a pipe accepted only a part for a success. A pipe accepts 4096
# bytes as a whole or not at all, and a character has four bytes at most.
_AT_A_TIME = 1024
_SUCCESSES = ("Active", "Completed", "Finished", "Succeeded")
_CHANGES = ("Deleting", "Finalizing", "Preparing", "Provisioning", "Running", "Starting", "Updating", "Creating")
_STOPS = ("CancelRequested", "Canceled", "NotResponding", "Paused", "Pausing")
# Only the eight colours that every palette makes readable.
_COLOURS = (
    dict.fromkeys(_SUCCESSES, "green")
    | dict.fromkeys(_CHANGES, "cyan")
    | dict.fromkeys(_STOPS, "yellow")
    | {"Failed": "red"}
)


def write(stream: TextIO | None, text: str) -> None:
    """Write text and flush it; characters that the stream cannot encode are escaped.

    Raises:
        SystemExit: The reader has closed the pipe, as in ``| head -1``. The exit code is that of other programs.
    """
    # Python has no stream where the shell has closed it (``>&-``).
    if stream is None:
        return
    try:
        whole = encodable(text, stream)
        stream.writelines(whole[start : start + _AT_A_TIME] for start in range(0, len(whole), _AT_A_TIME))
        stream.flush()
    except BrokenPipeError:
        leave(stream)


def leave(stream: TextIO) -> NoReturn:
    """End the command, because nobody reads this stream any more."""
    # Python would flush the stream at its end, and fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    raise SystemExit(READER_GONE) from None


def encodable(text: str, stream: TextIO) -> str:
    """Escape the characters of a text that a stream cannot encode."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def has_colours(stream: TextIO) -> bool:
    """Whether colours are written to a stream: NO_COLOR and FORCE_COLOR decide, then the terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or is_screen(stream)


def is_screen(stream: TextIO) -> bool:
    """Whether a stream is a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in {"", "dumb", "unknown"}


def colour_of(status: str) -> str:
    """The colour of a status; empty for a status that is neither good nor bad, and for an unknown one."""
    return _COLOURS.get(status, "")


def painted(text: str, status: str, stream: TextIO) -> str:
    """A text in the colour of a status, if the stream has colours."""
    colour = colour_of(status)
    return (
        Style(color=colour).render(text, color_system=ColorSystem.STANDARD) if colour and has_colours(stream) else text
    )
