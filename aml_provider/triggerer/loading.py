"""Imports that do not block an event loop."""

from __future__ import annotations

import asyncio
import importlib

_loaded: set[str] = set()


async def load(module: str) -> None:
    """Import a module in a thread: the first import takes longer than an event loop may be blocked."""
    if module not in _loaded:
        await asyncio.to_thread(importlib.import_module, module)
        _loaded.add(module)
