"""The wake queue of a folder, from a DAG author's arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.blobs.wake_pages import Sharing
    from aml_provider.blobs.wake_reader import WakeReader
    from aml_provider.blobs.wake_state import WakeState


class Waking(NamedTuple):
    """When a poll lists its folder, in plain values that a trigger can store.

    Attributes:
        wake_queue: The address of a storage queue, or its name in the folder's account.
        resync: The most seconds between two listings.
    """

    wake_queue: str
    resync: float

    @classmethod
    def of(cls, wake_queue: Any, resync: Any) -> Waking | None:
        """Check the arguments; None if there is no queue, so that each poll lists.

        Raises:
            InvalidArgument: A value cannot be used; the message names the argument.
        """
        from aml_provider.blobs.queue_address import check_wake_queue
        from aml_provider.durations import in_seconds

        seconds = in_seconds("resync", resync, minimum=1.0)
        return None if wake_queue is None else cls(check_wake_queue("wake_queue", wake_queue), seconds)

    def __str__(self) -> str:
        return f"{self.wake_queue}, and listed after {self.resync:g} s in any case"

    def reader(
        self,
        patterns: tuple[str, ...] | None,
        log: Callable[[int, str], None],
        state: WakeState | None = None,
        sharing: Sharing | None = None,
    ) -> WakeReader:
        """Make the reader of one process, see :class:`~aml_provider.blobs.wake_reader.WakeReader`."""
        from aml_provider.blobs.wake_reader import WakeReader

        return WakeReader(self.wake_queue, self.resync, patterns, log, state=state, sharing=sharing)
