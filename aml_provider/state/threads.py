"""Asking Airflow something from an event loop, where Airflow has no asynchronous way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run in a thread what asks Airflow something.

    Airflow 3.0 and 3.1 answer in the triggerer's own event loop, to which only asgiref's threads know the way back.
    An answer that nobody reads ends their whole triggerer, so who is cancelled meanwhile leaves the thread alone.
    """
    from asgiref.sync import sync_to_async

    return await asyncio.shield(asyncio.ensure_future(sync_to_async(function, thread_sensitive=False)(*args, **kwargs)))
