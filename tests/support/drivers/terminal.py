"""Programs in a real terminal (a pseudo-terminal), and the screen that a person sees there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time

# What a terminal does instead of showing it: move the cursor, erase, colours, titles.
_CODE = re.compile(rb"\x1b\[([?0-9;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b[=>()][0-9A-B]?")
# Opens the terminal as the leader of a session, which makes it the session's own: then Ctrl-C reaches the program.
_IN_TERMINAL = ("sh", "-c", 'exec <"$0" >"$0" 2>&1; exec "$@"')


class Terminal:
    """A context manager that runs a program in a terminal of its own.

    Args:
        command: The program and its arguments.
        environment: Its environment.
        columns: The terminal's width.
        rows: The terminal's height.
        seconds: The longest time to wait for something; a test whose program hangs fails after that.

    Attributes:
        output: Everything that the program has written.
    """

    def __init__(self, *command, environment, columns=80, rows=24, seconds=240.0):
        self._command = command
        self._environment = {"TERM": "xterm", **environment}
        self._size = struct.pack("HHHH", rows, columns, 0, 0)
        self._seconds = seconds
        self.output = b""

    def __enter__(self):
        self._own, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, self._size)
        name = os.ttyname(theirs)
        # A job in the background of a shell ignores SIGINT, and so would its children; a terminal's programs do not.
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self._process = subprocess.Popen(
                [*_IN_TERMINAL[:2], _IN_TERMINAL[2], name, *map(str, self._command)],
                stdin=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
            )
        finally:
            signal.signal(signal.SIGINT, handler)
        self._theirs = theirs
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._theirs is not None:
            os.close(self._theirs)
        os.close(self._own)

    def type(self, text):
        """Press keys, control characters included."""
        os.write(self._own, text.encode())

    def wait_for(self, text):
        """Wait until the screen has shown this text, on one line."""
        deadline = time.monotonic() + self._seconds
        while not any(text in line for line in self.screen()):
            seen = "\n".join(self.screen())
            assert time.monotonic() < deadline, f"{text!r} does not appear:\n{seen}"
            has_ended = self._process.poll() is not None
            assert self._read(1.0) or not has_ended, f"The program ended without {text!r}:\n{seen}"

    def end(self):
        """Wait for the program's end and return its exit code."""
        deadline = time.monotonic() + self._seconds
        # While a descriptor of theirs is open, the end of the output could not be seen.
        os.close(self._theirs)
        self._theirs = None
        while True:
            assert time.monotonic() < deadline, self.output.decode(errors="replace")
            if not self._read(1.0) and self._process.poll() is not None:
                break
        return self._process.wait()

    def screen(self):
        """The lines that the terminal shows, those that have left it at the top included."""
        return screen_of(self.output)

    def _read(self, seconds):
        if not select.select([self._own], [], [], seconds)[0]:
            return False
        with contextlib.suppress(OSError):
            piece = os.read(self._own, 65536)
            self.output += piece
            return bool(piece)
        return False


def screen_of(output):
    """The lines that a terminal shows after this output."""
    lines, row, column, place = [""], 0, 0, 0
    while place < len(output):
        found = _CODE.match(output, place)
        if found is not None:
            place = found.end()
            number, kind = found[1], found[2]
            if kind == b"A":
                row = max(0, row - int(number or b"1"))
            elif kind == b"K":
                lines[row] = "" if number == b"2" else lines[row][:column]
            continue
        letter, place = output[place : place + 1], place + 1
        if letter == b"\n":
            row += 1
            if row == len(lines):
                lines.append("")
        elif letter == b"\r":
            column = 0
        elif letter == b"\b":
            column -= 1
        elif letter != b"\x07":
            text = lines[row].ljust(column)
            lines[row] = text[:column] + letter.decode("latin-1") + text[column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
