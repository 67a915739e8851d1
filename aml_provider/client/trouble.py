"""When an operation that failed is tried again, and what is logged about its failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client.help import text_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from aml_provider.client.errors import AzureMLError

#: Seconds between two log lines about the same trouble.
EVERY = 60.0


def pause_after(error: AzureMLError, interval: float) -> float:
    """Seconds from a failed poll to the next one: the usual interval, or longer if the service asks for that."""
    return max(interval, error.retry_after or 0.0)


class Troubles:
    """The operations that are failing. A failure is logged immediately, then once a minute, and when it is over.

    Times are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._lasting: dict[Hashable, tuple[float, float]] = {}

    def failed(self, what: Hashable, why: object, left: float | None, now: float) -> str | None:
        """Record a failure after which the operation is tried again.

        Args:
            what: Identifies the operation.
            why: The failure.
            left: The most seconds for which it is tried again; None: for as long as it takes.
            now: The time.

        Returns:
            The line to log; None if one was logged within the last minute.
        """
        since, logged = self._lasting.get(what, (now, float("-inf")))
        if now - logged < EVERY:
            return None
        self._lasting[what] = since, now
        lasts = f"Still failing after {now - since:.0f} s" if logged > float("-inf") else "It failed"
        goes_on = "for as long as it takes" if left is None else f"for up to {left:.0f} s"
        return f"{lasts}, and is tried again {goes_on}. {text_of(why)}"

    def over(self, what: Hashable, now: float) -> str | None:
        """Record a success.

        Returns:
            The line to log; None if the operation was not failing.
        """
        if what not in self._lasting:
            return None
        since, _ = self._lasting.pop(what)
        return f"It works again, after {now - since:.0f} s."

    def forget(self, what: Hashable) -> None:
        """Forget an operation that is not tried again."""
        self._lasting.pop(what, None)
