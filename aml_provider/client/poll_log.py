"""Decides which polls of a wait are logged: all with news, and from time to time one without.

A wait can last for days, and nearly all of its polls find what the one before has found. A line for each of them would
hide the news, and on a triggerer it costs more than the poll. No line at all would look like a wait that has died.
"""

from __future__ import annotations

from typing import NamedTuple

#: Seconds without news after which a wait logs a line for the first time; each further time is twice as long.
FIRST_SILENCE = 600.0
#: The most seconds between two lines of a wait.
LONGEST_SILENCE = 7200.0


def next_silence(seconds: float) -> float:
    """The seconds until the next line of a wait that has just logged one after this many seconds without news."""
    return min(2.0 * seconds, LONGEST_SILENCE)


def unchanged(text: str, seconds: float) -> str:
    """The line of a poll without news."""
    return f"{text}, unchanged for {seconds / 60.0:.0f} min"


class Lines(NamedTuple):
    """The lines that were logged, for a wait whose next poll is in another process.

    Attributes:
        text: What the last poll has found.
        changed: When a poll found that for the first time.
        due: When a line is logged although nothing has changed.
        silence: The seconds before that.
    """

    text: str | None = None
    changed: float = 0.0
    due: float = 0.0
    silence: float = FIRST_SILENCE


class PollLog:
    """The lines of one wait. Times are seconds of any clock that does not jump.

    Args:
        lines: The :attr:`lines` of the process that polled before.
    """

    def __init__(self, lines: Lines | None = None) -> None:
        self._text, self._changed, self._due, self._silence = lines or Lines()

    @property
    def lines(self) -> Lines:
        """The lines that were logged so far. It changes only if :meth:`line` returns a line."""
        return Lines(self._text, self._changed, self._due, self._silence)

    def line(self, text: str, now: float) -> str | None:
        """Record what a poll has found; return the line to log, or None."""
        if text != self._text:
            self._text = text
            self._changed = now
            self._due = now + self._silence
            return text
        if now < self._due:
            return None
        self._silence = next_silence(self._silence)
        self._due = now + self._silence
        return unchanged(text, now - self._changed)
