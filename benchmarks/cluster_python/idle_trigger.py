"""A trigger that does nothing: with it, ``benchmarks/cluster_scale.py`` measures what Airflow spends on any trigger.

The folder is on the path of Airflow's processes only, and has nothing else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent


class IdleTrigger(BaseTrigger):
    """Wait, and never fire."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path and the arguments, of which there are none."""
        return "idle_trigger.IdleTrigger", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until it is cancelled."""
        await asyncio.Event().wait()
        return
        yield  # makes it a generator
