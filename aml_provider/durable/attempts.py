"""Things that are read one by one in each poll, of which some cannot be read for a time, or for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client.errors import Throttled
from aml_provider.client.http.retry import may_pass

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from aml_provider.client.errors import AzureMLError

# Each such failure takes as long as requests are repeated.
_MOST_FAILURES = 3


class Attempts:
    """The order in which things are read: those that could not be read come last, so they do not delay the others."""

    def __init__(self) -> None:
        self._failed: dict[str, None] = {}
        self._failures = 0

    @property
    def failed(self) -> tuple[str, ...]:
        """The things that could not be read, the one that was tried longest ago first."""
        return tuple(self._failed)

    @property
    def is_over(self) -> bool:
        """Whether the rest of this poll is left out, because the service itself seems to fail."""
        return self._failures >= _MOST_FAILURES

    def begin(self) -> None:
        """Begin a poll."""
        self._failures = 0

    def ordered(self, things: Iterable[str]) -> list[str]:
        """Things in the order in which they are read."""
        turns = {thing: turn for turn, thing in enumerate(self._failed, 1)}
        return sorted(things, key=lambda thing: turns.get(thing, 0))

    def note(self, thing: str, error: AzureMLError) -> bool:
        """Note that something could not be read.

        Returns:
            Whether it could be read before, or was never tried.

        Raises:
            AzureMLError: The error itself, if the service wants a pause.
        """
        if isinstance(error, Throttled):
            raise error
        is_new = thing not in self._failed
        self._failed.pop(thing, None)
        self._failed[thing] = None
        self._failures += may_pass(error)
        return is_new

    def forget(self, thing: str) -> None:
        """Note that something was read."""
        self._failed.pop(thing, None)

    def keep(self, things: Container[str]) -> None:
        """Forget all but these."""
        self._failed = {thing: None for thing in self._failed if thing in things}
