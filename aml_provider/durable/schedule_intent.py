"""The intent to create a native schedule, stored before the creation is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.stored import StoredRecordDamaged, made, parse, reading

if TYPE_CHECKING:
    from aml_provider.stored import Slot


class Intent(NamedTuple):
    """A creation that was sent, or was about to be sent.

    Args:
        key: The schedule's key.
        at: When it was about to be sent, in seconds since the epoch.
        schedule_id: The schedule that it created; None while that is not known.
        looked_up: Seconds for which that schedule was searched for in vain; the next try continues from there.
    """

    key: str
    at: float
    schedule_id: str | None = None
    looked_up: float = 0.0

    def save(self, slot: Slot) -> None:
        """Store the intent; when this returns, it is stored.

        Raises:
            StorageError: It cannot be read back, so no creation may follow.
        """
        slot.save(json.dumps(self._asdict()))

    @classmethod
    def load(cls, slot: Slot) -> Intent | None:
        """Read the stored intent.

        Raises:
            StoredRecordDamaged: It cannot be read; the message says what to delete.
        """
        text = slot.load()
        if text is None:
            return None

        def damaged(problem: str) -> StoredRecordDamaged:
            return StoredRecordDamaged(
                f"The stored intent of this task to create a schedule is damaged ({problem}). Check in the workspace "
                f"whether the schedule exists, and then delete the {slot}"
            )

        with reading(damaged):
            return made(cls, parse(text))
