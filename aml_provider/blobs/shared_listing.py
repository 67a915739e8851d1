"""One listing of a folder for all its watchers, each of which may know something different about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakSet

from aml_provider.blobs.cursor import Cursor
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.client.errors import AzureMLError
from aml_provider.client.http.messages import Pause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aml_provider.blobs.access import ContainerAccess
    from aml_provider.blobs.change import Detection
    from aml_provider.blobs.rules import Rules
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.reply import Reply

T = TypeVar("T")

_NOWHERE = Folder("", "")


class Knowledge:
    """The decisions that some watchers have in common, and the rules by which they were made.

    It exists as long as one of these watchers holds a reference to it.
    """

    def __init__(self, state: FolderState, cursor_text: str | None) -> None:
        self.state = state
        self._text = cursor_text
        self._step: Step | None = None

    @property
    def cursor_text(self) -> str | None:
        """The cursor after what was decided so far; None before the first poll."""
        return self._text if self._step is None else self._step.cursor_text

    def is_of(self, rules: Rules) -> bool:
        """Whether it was made by these rules; ``report_first`` matters only before the first poll."""
        own = self.state.rules
        return own == rules if self.cursor_text is None else own._replace(report_first=rules.report_first) == rules

    def advance(self, step: Step) -> None:
        """Apply the step of a poll."""
        self.state.accept(step.detection)
        self._step = step


class Step:
    """The changes that one poll adds to a knowledge."""

    def __init__(self, detection: Detection) -> None:
        self.detection = detection

    @cached_property
    def cursor_text(self) -> str:
        """The cursor after this step; encoded once for all watchers that store it."""
        return self.detection.cursor.encode()


@dataclass(eq=False, repr=False)
class FolderPoll:
    """One poll of the folder.

    Attributes:
        number: Counts the polls.
        steps: The step of each knowledge that existed when the poll began.
        merged_into: The knowledges that have become equal to another one in this poll, each with the one that replaces
            it.
        has_fired: Whether a watcher has fired an event because of this poll.
        is_stored: Whether these events are stored safely.
    """

    number: int
    steps: Mapping[Knowledge, Step] = field(default_factory=dict)
    merged_into: Mapping[Knowledge, Knowledge] = field(default_factory=dict)
    has_fired: bool = False
    is_stored: bool = False

    @property
    def is_partial(self) -> bool:
        """Whether there are more changes than one poll may report."""
        return any(step.detection.counts.held for step in self.steps.values())


class SharedFolder:
    """Compares one listing with what each watcher of the folder has already decided.

    Watchers that polled together have decided the same, even if their patterns differ: a name that does not match
    counts as decided too. So one comparison, and 12 bytes for each blob, serve all of them.
    """

    def __init__(self) -> None:
        self._all: WeakSet[Knowledge] = WeakSet()
        self.polls = 0

    def __bool__(self) -> bool:
        return bool(self._all)

    def join(self, rules: Rules, cursor_text: str | None) -> Knowledge:
        """Add a watcher, which takes part from the next poll.

        Args:
            rules: Rules without a pattern: each watcher applies its own.
            cursor_text: The cursor that the watcher has stored; None if it has none.

        Returns:
            The key of this watcher's step in :attr:`FolderPoll.steps`.

        Raises:
            CursorUnreadable: The cursor is damaged, or of a newer format.
        """
        for other in self._all:
            if other.cursor_text == cursor_text and other.is_of(rules):
                return other
        cursor = None if cursor_text is None else Cursor.decode(cursor_text)
        new = Knowledge(FolderState(_NOWHERE, rules, cursor, keeps_gone=False), cursor_text)
        self._all.add(new)
        return new

    def poll(self, folder: Folder, access: ContainerAccess) -> Flow[FolderPoll]:
        """List the folder once and compare; its address may have changed, since a datastore can be moved.

        Raises:
            AzureMLError: As in :func:`poll_folder`: the poll is discarded and nothing changes.
        """
        everybody = list(self._all)
        for knowledge in everybody:
            knowledge.state.folder = folder
        flows = [poll_folder(knowledge.state, access) for knowledge in everybody]
        detections = yield from _together(flows)
        steps = {one: Step(detection) for one, detection in zip(everybody, detections, strict=True)}
        for one, step in steps.items():
            one.advance(step)
        merged_into = self._merge(everybody)
        self.polls += 1
        return FolderPoll(self.polls, steps, merged_into)

    def _merge(self, everybody: Iterable[Knowledge]) -> dict[Knowledge, Knowledge]:
        """Merge knowledges that have become the same; returns which one replaces each of the others."""
        merged_into: dict[Knowledge, Knowledge] = {}
        kept: list[Knowledge] = []
        for one in everybody:
            for other in kept:
                if other.is_of(one.state.rules) and other.cursor_text == one.cursor_text:
                    merged_into[one] = other
                    self._all.discard(one)
                    break
            else:
                kept.append(one)
        return merged_into


def _together(flows: Sequence[Flow[T]]) -> Flow[list[T]]:
    """Run flows that make the same requests; send each of these once, and its reply to all of them."""
    answer: Reply | None = None
    results: list[T] = []
    try:
        while not results:
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
