"""A wait that a task passes to the triggerer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.triggers.base import BaseTrigger


class Wait(NamedTuple):
    """A wait that a task passes to the triggerer. A try only returns it; then the operator defers.

    Args:
        trigger: The trigger that waits.
        timeout: How long Airflow lets the deferral last; None: without a limit.
    """

    trigger: BaseTrigger
    timeout: timedelta | None
