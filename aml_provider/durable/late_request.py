"""Stores an entry just before its request, in a process that may stand still in between.

The entry is a submission record, or an intent to create a schedule. A worker may freeze, and Airflow may start another
process of its task meanwhile. That process reads the entry, finds nothing that the request has done, and sends its own
request. So a late process must check before it sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aml_provider.client.errors import AzureMLError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.durable.log import Log

_Entry = TypeVar("_Entry")

#: Seconds for the storing of an entry, after which the entry is read again. Airflow needs longer to consider a worker
#: dead, so before that there is no other process.
LATE = 5.0
# Attempts to store the entry in less time.
_STORES = 5
_SLOW = f"Airflow took more than {LATE:.0f} s to store what is about to be sent; storing it again."


def store_before_request(
    at: Callable[[float], _Entry],
    keep: Callable[[_Entry], None],
    is_stored: Callable[[_Entry], bool],
    *,
    withdraw: Callable[[_Entry], None],
    overtaken: type[AzureMLError],
    now: Callable[[], float],
    log: Log,
) -> _Entry:
    """Store an entry with the time of its request; returns it when the request may be sent.

    Args:
        at: Makes the entry for a time, in seconds since the epoch.
        keep: Stores an entry.
        is_stored: Whether an entry is still the one that is stored.
        withdraw: Stores that the request of an entry was not sent.
        overtaken: The class of the error if another process has continued.
        now: The clock.
        log: Gets a warning if storing takes long.

    Raises:
        AzureMLError: Another process of the task has stored another entry meanwhile, or Airflow needs too long to
            store one. Nothing may be sent.
    """
    for _ in range(_STORES):
        entry = at(now())
        began = now()
        keep(entry)
        if now() - began < LATE:
            return entry
        if not is_stored(entry):
            raise overtaken(
                f"This process stood still for more than {LATE:.0f} s before its request, and another process of this "
                "task has continued meanwhile. This one sends nothing; a retry continues with what the other one did."
            )
        log.warning(_SLOW)
    withdraw(entry)
    raise AzureMLError(
        f"Airflow took more than {LATE:.0f} s to store what was about to be sent, {_STORES} times. Nothing was sent; a "
        "retry is safe."
    )
