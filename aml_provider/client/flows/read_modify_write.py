"""Changes of entities that can only be written as a whole: read, edit, write back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from aml_provider.client.errors import (
    AzureMLError,
    Conflict,
    MalformedReply,
    ReplyLost,
    ServerFault,
    Throttled,
    Unreachable,
)
from aml_provider.client.http.messages import Flow, Pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.calls import Call

T = TypeVar("T")

# Seconds before each further try to write.
_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
# One minute in total: a client waits that long for a reply.
_READS = 12
_READ_EVERY = 5.0


def rewrite(
    read: Callable[[], Flow[T]], edit: Callable[[T], dict[str, Any] | None], write: Callable[[dict[str, Any]], Call[T]]
) -> Flow[tuple[T, bool]]:
    """Read an entity, change it, write it back whole.

    Args:
        read: Reads it.
        edit: Returns the changed entity; None if nothing must be changed. After a write whose result is unknown, the
            entity is read and edited again, so that nothing is written twice.
        write: Writes it.

    Returns:
        The entity, and whether it was written.
    """
    in_doubt = False
    for pause in (*_PAUSES, None):
        entity = yield from read()
        wire = edit(entity)
        if wire is None:
            return entity, in_doubt
        try:
            written: T = yield write(wire)
        except AzureMLError as error:
            may_pass = error.in_doubt or isinstance(error, (Conflict, Throttled, Unreachable))
            if pause is None or not may_pass:
                raise
            in_doubt = in_doubt or error.in_doubt
            yield Pause(pause)
            if _may_arrive(error):
                yield from _await_write(read, edit)
        else:
            return written, True
    raise AssertionError


def _may_arrive(error: AzureMLError) -> bool:
    """Whether a write may still take effect: it was accepted without an answer, or a gateway did not wait for one."""
    gave_up = isinstance(error, ServerFault) and error.status in {408, 504}
    return gave_up or isinstance(error, (MalformedReply, ReplyLost))


def _await_write(read: Callable[[], Flow[T]], edit: Callable[[T], dict[str, Any] | None]) -> Flow[None]:
    """Read until a write has arrived or can no longer arrive: one that arrives late would undo the next write."""
    for _ in range(_READS):
        if edit((yield from read())) is None:
            return
        yield Pause(_READ_EVERY)
