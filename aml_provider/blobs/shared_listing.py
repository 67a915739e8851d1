"""One listing of a folder for all its watchers, each of which may know something different about it."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any, TypeVar

from aml_provider.blobs.cursor import Cursor
from aml_provider.blobs.events import split
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.client.errors import AzureMLError
from aml_provider.client.http.messages import Pause
from aml_provider.watching.outbox import Watcher
from aml_provider.watching.shared import SharedSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.blobs.access import ContainerAccess
    from aml_provider.blobs.change import Change
    from aml_provider.blobs.rules import Rules
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.reply import Reply
    from aml_provider.watching.outbox import WatcherRecord
    from aml_provider.watching.shared import SharedPoll

T = TypeVar("T")

_NOWHERE = Folder("", "")


class SharedFolder(SharedSource):
    """One folder and its watchers: one comparison, and 12 bytes for each blob, serve all that know the same."""

    def _state_of(self, rules: Any, cursor_text: str | None) -> FolderState:
        cursor = None if cursor_text is None else Cursor.decode(cursor_text)
        return FolderState(_NOWHERE, rules, cursor, keeps_gone=False)

    def poll(self, folder: Folder, access: ContainerAccess) -> Flow[SharedPoll]:
        """List the folder once and compare; its address may have changed, since a datastore can be moved.

        Raises:
            AzureMLError: As in :func:`poll_folder`: the poll is discarded and nothing changes.
        """
        everybody = list(self._all)
        for knowledge in everybody:
            knowledge.state.folder = folder
        flows = [poll_folder(knowledge.state, access) for knowledge in everybody]
        detections = yield from _together(flows)
        return self._advanced(everybody, detections)


def watch_folder(folder: SharedFolder, rules: Rules, record: WatcherRecord, now: float) -> Watcher:
    """Make a watcher of a folder.

    Args:
        folder: The folder that is polled.
        rules: Which changes are fired, with this watcher's own pattern.
        record: The stored record.
        now: The time in seconds.

    Raises:
        CursorUnreadable: The record's cursor is damaged, or of a newer format.
    """
    wanted = re.compile("|".join(map(fnmatch.translate, rules.patterns))).match if rules.patterns else None

    def events_of(found: Sequence[Change]) -> list[Any]:
        return split([change for change in found if wanted is None or wanted(change["name"]) is not None])

    knowledge = folder.join(rules._replace(patterns=None), record.cursor_text)
    return Watcher(knowledge, folder.polls, record, events_of, now)


def _together(flows: Sequence[Flow[T]]) -> Flow[list[T]]:
    """Run flows that make the same requests; send each of these once, and its reply to all of them.

    There may be no flows: the last watcher can end while a connection is made.
    """
    answer: Reply | None = None
    results: list[T] = []
    try:
        while flows and not results:
            for flow in flows:
                try:
                    step = flow.send(answer)
                    while isinstance(step, Pause):
                        # Each flow has its own pauses: a page that one has to compare, another one knows already.
                        step = flow.send((yield step))
                except StopIteration as stop:
                    results.append(stop.value)
            if not results:
                try:
                    answer = yield step
                except AzureMLError as error:
                    # One flow is enough: each would add the same text about the right to the folder.
                    flows[0].throw(error)
                    raise
    finally:
        for flow in flows:
            flow.close()
    # They get the same pages, so they end at the same one.
    assert len(results) == len(flows)
    return results
