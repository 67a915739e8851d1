"""Blob events that Event Grid writes to a storage queue: whether one of them concerns a folder. No I/O, no clock.

An event is a hint, never a fact: nothing is reported from it. If it is not clear what an event is about, it concerns
the folder, and costs a listing.
"""

from __future__ import annotations

import base64
import fnmatch
import json
import re
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from aml_provider.blobs.wasb import account_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from aml_provider.blobs.folder import Folder

_SUBJECT = re.compile(r"/blobServices/default/containers/([^/]+)/blobs/(.+)", re.DOTALL)
_ACCOUNT = re.compile(r"/storageAccounts/([a-z0-9]+)\Z", re.IGNORECASE)
# An address of Azure's own begins with the account. Another one with .blob. in it may name something else.
_AZURES_OWN = re.compile(r"\.blob\.(?:core\.|storage\.azure\.)", re.IGNORECASE)
_PREFIX = "microsoft.storage."
# After these there is no blob version that was not there before.
_NO_VERSION = frozenset(
    {
        "blobdeleted",
        "blobtierchanged",
        "directorycreated",
        "directorydeleted",
        "asyncoperationinitiated",
        "blobinventorypolicycompleted",
        "lifecyclepolicycompleted",
    }
)
_OF_BLOBS = frozenset({"blobcreated", "blobrenamed"})
_OF_DIRECTORIES = frozenset({"directoryrenamed"})


def read_events(text: str) -> list[dict[str, Any]]:
    """Read a message: one event or several, as CloudEvents 1.0 or in Event Grid's schema, in base64 or as plain text.

    Raises:
        ValueError: It is something else. The error does not repeat the text, which anybody may have written.
    """
    try:
        found = json.loads(text if text.lstrip()[:1] in {"{", "["} else base64.b64decode(text.strip(), validate=True))
    except (ValueError, Base64Error, RecursionError):
        raise ValueError("the message is not JSON, as text or in base64") from None
    events = found if isinstance(found, list) else [found]
    if not events or not all(isinstance(event, dict) for event in events):
        raise ValueError("the message has no events")
    return events


class Interest(NamedTuple):
    """The blobs that count: those directly in a folder whose last segment matches one of the globs.

    Attributes:
        account: The storage account; empty if it is not certain from the address.
        container: The container.
        prefix: The beginning of all names in the folder, as in :class:`~aml_provider.blobs.folder.Folder`.
        patterns: The globs; None: every name counts.
    """

    account: str
    container: str
    prefix: str
    patterns: tuple[str, ...] | None = None

    @classmethod
    def of(cls, folder: Folder, patterns: Sequence[str] | None = None) -> Interest:
        """The interest in a folder."""
        url = folder.container_url
        container = unquote(url.rpartition("/")[2])
        account = account_of(url) if _AZURES_OWN.search(url) else ""
        return cls(account, container, folder.prefix, None if patterns is None else tuple(patterns))

    def concerns(self, event: Mapping[str, Any]) -> bool:
        """Whether a listing of the folder may find a version that it did not find before the event."""
        kind = event.get("type") if "specversion" in event else event.get("eventType")
        kind = kind.lower().removeprefix(_PREFIX) if isinstance(kind, str) else ""
        if kind in _NO_VERSION or self._is_of_another_account(event):
            return False
        places = list(_places(event, kind))
        if not places:
            return True
        return any(container == self.container and self._is_reached(path, kind) for container, path in places)

    def _is_of_another_account(self, event: Mapping[str, Any]) -> bool:
        source = event.get("source", event.get("topic"))
        found = _ACCOUNT.search(source) if isinstance(source, str) else None
        return bool(self.account) and found is not None and found[1].lower() != self.account

    def _is_reached(self, path: str, kind: str) -> bool:
        # Blobs that a renamed directory brings keep their names below it.
        brings = kind not in _OF_BLOBS and self.prefix.startswith(f"{path.rstrip('/')}/")
        return brings or (kind not in _OF_DIRECTORIES and self._holds(path))

    def _holds(self, path: str) -> bool:
        name = path.removeprefix(self.prefix)
        if not path.startswith(self.prefix) or not name or "/" in name:
            return False
        return self.patterns is None or any(fnmatch.fnmatchcase(name, glob) for glob in self.patterns)


def _places(event: Mapping[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    """The containers and paths that an event names; none if it cannot be read, or may be about any blob."""
    subject, data = event.get("subject"), event.get("data")
    found = _SUBJECT.fullmatch(subject) if isinstance(subject, str) else None
    named = [] if found is None else [found[2]]
    if kind.endswith("renamed"):
        # Which of the two names the subject has is not relied on.
        url = data.get("destinationUrl") if isinstance(data, dict) else None
        path = _path_of(url, found[1]) if found is not None and isinstance(url, str) else None
        if path is None:
            return
        # The name may be written as it is, with such characters, or an address may have a query.
        named += [path, re.split("[?#]", path, maxsplit=1)[0]]
    if found is not None:
        for path in named:
            yield found[1], path
            # Names may be percent-encoded, or look as if they were.
            if (plain := unquote(path)) != path:
                yield found[1], plain


def _path_of(url: str, container: str) -> str | None:
    """The path of a blob's address after its container; None if the container is not in it."""
    try:
        urlsplit(url)
    except ValueError:
        return None
    segments = url.partition("://")[2].split("/")[1:]
    # The account is in the host's name, or the first segment.
    for at in (0, 1):
        if segments[at : at + 1] == [container] and segments[at + 1 :]:
            return "/".join(segments[at + 1 :])
    return None
