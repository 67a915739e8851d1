"""What is said of something that fails and is tried again: at once, then once a minute, and when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

#: Seconds between two sentences about the same trouble.
EVERY = 60.0


class Troubles:
    """The troubles that last, each by what it is a trouble of. Times are seconds of a clock that only goes on."""

    def __init__(self) -> None:
        self._lasting: dict[Hashable, tuple[float, float]] = {}

    def failed(self, what: Hashable, why: object, left: float | None, now: float) -> str | None:
        """Take note of a failure after which it is tried again.

        Args:
            what: Of what.
            why: The failure.
            left: Seconds for which it is tried again at most; None: for as long as it takes.
            now: The time.

        Returns:
            What is to be said; None where that was said within the last minute.
        """
        since, said = self._lasting.get(what, (now, float("-inf")))
        if now - said < EVERY:
            return None
        self._lasting[what] = since, now
        lasts = f"Still failing after {now - since:.0f} s" if said > float("-inf") else "It failed"
        goes_on = "for as long as it takes" if left is None else f"for up to {left:.0f} s"
        return f"{lasts}, and is tried again {goes_on}. {why}"

    def over(self, what: Hashable, now: float) -> str | None:
        """Take note that it works.

        Returns:
            What is to be said; None where there was no trouble.
        """
        if what not in self._lasting:
            return None
        since, _ = self._lasting.pop(what)
        return f"It works again, after {now - since:.0f} s."

    def forget(self, what: Hashable) -> None:
        """Nobody waits for it any more."""
        self._lasting.pop(what, None)
