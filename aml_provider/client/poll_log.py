"""Decides which polls of a wait are logged: all with news, and from time to time one without.

A wait can last for days, and nearly all of its polls find what the one before has found. A line for each of them would
hide the news, and on a triggerer it costs more than the poll. No line at all would look like a wait that has died.
"""

from __future__ import annotations

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


class PollLog:
    """The lines of one wait. Times are seconds of any clock that does not jump."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._changed = self._due = 0.0
        self._silence = FIRST_SILENCE

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
