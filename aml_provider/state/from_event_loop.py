"""Calls Airflow from an event loop, where Airflow has no asynchronous function."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function that calls Airflow in a thread.

    Airflow 3.0 and 3.1 answer in the triggerer's own event loop, which only asgiref's threads can reach. An answer that
    nobody reads ends their whole triggerer, so the thread continues when the caller is cancelled.
    """
    from asgiref.sync import sync_to_async

    return await asyncio.shield(asyncio.ensure_future(sync_to_async(function, thread_sensitive=False)(*args, **kwargs)))
