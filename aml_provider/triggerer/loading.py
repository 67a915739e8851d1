"""Imports that do not block an event loop."""

from __future__ import annotations

import asyncio
import importlib

from aml_provider.triggerer.per_loop import PerLoop
from aml_provider.triggerer.turns import take_turn

_loaded: set[str] = set()
_LOADING: PerLoop[dict[str, asyncio.Task[None]]] = PerLoop(dict)


async def load(module: str) -> None:
    """Import a module in a thread: the first import takes longer than an event loop may be blocked.

    Each trigger that starts calls this first. The callers that wait for one import continue one after the other
    (:mod:`aml_provider.triggerer.turns`).
    """
    if module not in _loaded:
        loading = _LOADING.here
        task = loading.get(module)
        if task is None:
            task = loading[module] = asyncio.create_task(_import(module))
            task.add_done_callback(lambda _: loading.pop(module))
        # A caller that is cancelled must not cancel it for the others.
        await asyncio.shield(task)
    await take_turn()


async def _import(module: str) -> None:
    await asyncio.to_thread(importlib.import_module, module)
    _loaded.add(module)
