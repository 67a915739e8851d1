"""Imports that do not block an event loop."""

from __future__ import annotations

import asyncio
import functools
import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aml_provider.client.in_flight import InFlight
    from aml_provider.triggerer.per_loop import PerLoop

_loaded: set[str] = set()


async def load(module: str) -> None:
    """Import a module in a thread: the first import takes longer than an event loop may be blocked.

    Each trigger that starts calls this first. The callers that wait for one import continue one after the other
    (:mod:`aml_provider.triggerer.turns`).
    """
    # DAG files import this module with the triggers, so it imports little.
    from aml_provider.triggerer.turns import take_turn

    if module not in _loaded:
        await _loading().here.result(module, lambda: _import(module))
    await take_turn()


async def _import(module: str) -> None:
    await asyncio.to_thread(importlib.import_module, module)
    _loaded.add(module)


@functools.cache
def _loading() -> PerLoop[InFlight[None]]:
    """The imports that are under way."""
    from aml_provider.client.in_flight import InFlight
    from aml_provider.triggerer.per_loop import PerLoop

    return PerLoop(InFlight)
