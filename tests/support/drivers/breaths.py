"""Drives a listing that now and then lets others work."""

from __future__ import annotations

from typing import Any

from aml_provider.client.http.messages import Pause


def answer(flow: Any, reply: Any) -> Any:
    """Send a reply; what the flow asks for next."""
    step = flow.send(reply)
    while isinstance(step, Pause) and not step.seconds:
        step = flow.send(None)
    return step


def ended(flow: Any) -> tuple[Any, int]:
    """Run a flow to its end, which asks for nothing any more; its result, and how often it let others work."""
    breaths = 0
    try:
        while True:
            assert next(flow) == Pause(0)
            breaths += 1
    except StopIteration as stop:
        return stop.value, breaths
