"""Changes as events: each has an id that is derived from its content, and none is too large for Airflow."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aml_provider.blobs.change import Change

EVENT_BYTES = 512 * 1024
"""The most bytes that an event takes as JSON.

Airflow itself has no limit: an asset event is a JSON column, which MySQL bounds by ``max_allowed_packet``. But each
task of a DAG run gets all events that started the run, and the triggerer logs each event. A thousand changes, the most
that a sensor returns by default, fit in if their names have a usual length.
"""


class ChangeEvent(TypedDict):
    """The payload of an asset event.

    Attributes:
        id: The same for the same blob versions, in every process and at any time.
        changes: Ordered by name.
    """

    id: str
    changes: list[Change]


_SEPARATOR = ", "
_ENVELOPE = len(json.dumps(ChangeEvent(id="0" * 64, changes=[])))


def event_id(changes: Iterable[Change]) -> str:
    """The SHA-256 of the sorted blob versions: the container, path and ETag of each."""
    versions = sorted((change["container_url"], change["path"], change["etag"]) for change in changes)
    return sha256(json.dumps(versions).encode()).hexdigest()


def changes_of(stored: Any) -> list[Change]:
    """Check changes that were stored.

    Raises:
        TypeError: They are not changes.
        LookupError: A part is missing.
    """
    if not isinstance(stored, list):
        raise TypeError(f"changes are {stored!r:.80}")
    for change in stored:
        texts = {change["container_url"], change["path"], change["name"], change["etag"], change["last_modified"]}
        texts |= {change["change"], change["datastore"] or ""}
        if not all(isinstance(text, str) for text in texts) or type(change["size"]) is not int:
            raise TypeError(f"a change is {change!r:.200}")
    return stored


def read_change_event(stored: Any) -> dict[str, Any]:
    """Check the payload of an event that was stored.

    Raises:
        TypeError: It is something else.
        LookupError: A part is missing.
    """
    return {"id": stored["id"], "changes": changes_of(stored["changes"])}


def split(changes: Sequence[Change], limit: int = EVENT_BYTES) -> list[ChangeEvent]:
    """Make events of changes, in their order, none larger than the limit.

    Args:
        changes: The changes; without changes there are no events.
        limit: The most bytes of an event as JSON. A single change that is larger becomes an event anyway; since the
            service limits names to 1,024 characters, no change comes near the default.
    """
    parts: list[list[Change]] = []
    room = 0
    for change in changes:
        # As Airflow encodes it: with every non-ASCII character escaped.
        size = len(json.dumps(change)) + len(_SEPARATOR)
        if size > room or not parts:
            parts.append([])
            room = limit - _ENVELOPE + len(_SEPARATOR)
        parts[-1].append(change)
        room -= size
    return [ChangeEvent(id=event_id(part), changes=part) for part in parts]
