"""One listing of a folder for all who watch it, each of whom may know something else of it."""

from __future__ import annotations

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
    from aml_provider.blobs.changes import Detection
    from aml_provider.blobs.rules import Rules
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.reply import Reply

__all__ = ["Knowledge", "Look", "SharedFolder", "Step"]

T = TypeVar("T")

_NOWHERE = Folder("", "")


class Knowledge:
    """What some watchers have in common: what they decided so far, and by which rules.

    It lasts for as long as one of them holds it.
    """

    def __init__(self, state: FolderState, cursor_text: str | None) -> None:
        self.state = state
        self._text = cursor_text
        self._step: Step | None = None

    @property
    def cursor_text(self) -> str | None:
        """What was decided so far; None before the first look."""
        return self._text if self._step is None else self._step.cursor_text

    def is_of(self, rules: Rules) -> bool:
        """Whether it came about by these rules; which rule holds for a first look matters only before it."""
        own = self.state.rules
        return own == rules if self.cursor_text is None else own._replace(report_first=rules.report_first) == rules

    def advance(self, step: Step) -> None:
        """Go on from a look."""
        self.state.accept(step.detection)
        self._step = step


class Step:
    """What one look adds to a knowledge."""

    def __init__(self, detection: Detection) -> None:
        self.detection = detection

    @cached_property
    def cursor_text(self) -> str:
        """The cursor after it; written once for all who store it."""
        return self.detection.cursor.encode()


class Look:
    """One look at the folder.

    Attributes:
        number: Counts the looks.
        steps: What it adds to each knowledge that there was when it began.
        heirs: By which knowledge another one is replaced after this look, because they have become the same.
        has_fired: A watcher made an event of it.
        is_stored: Those events are stored safely.
    """

    def __init__(
        self,
        number: int,
        steps: Mapping[Knowledge, Step] | None = None,
        heirs: Mapping[Knowledge, Knowledge] | None = None,
    ) -> None:
        self.number = number
        self.steps = steps or {}
        self.heirs = heirs or {}
        self.has_fired = False
        self.is_stored = False

    @property
    def is_partial(self) -> bool:
        """There are more changes than one look may give."""
        return any(step.detection.counts.held for step in self.steps.values())


class SharedFolder:
    """Compares one listing with all that its watchers know.

    Watchers that looked together know the same, whatever their pattern: a name that is refused is decided too. So there
    is one comparison for all of them, and 12 bytes for each blob.
    """

    def __init__(self) -> None:
        self._all: WeakSet[Knowledge] = WeakSet()
        self.looks = 0

    def __bool__(self) -> bool:
        return bool(self._all)

    def join(self, rules: Rules, cursor_text: str | None) -> Knowledge:
        """Take part from the next look on.

        Args:
            rules: Without a pattern, which is each watcher's own.
            cursor_text: What is known from before; None for nothing.

        Returns:
            What to find this watcher's step by.

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

    def look(self, folder: Folder, access: ContainerAccess) -> Flow[Look]:
        """List the folder once and compare.

        Args:
            folder: Where it is by now; a datastore can be moved.
            access: The right to list.

        Raises:
            ServiceError: A page could not be read: the look is void and nothing moves.
            Unreachable: No connection came about.
            ReplyLost: The connection broke.
            CredentialError: No token.
        """
        everybody = list(self._all)
        for knowledge in everybody:
            knowledge.state.folder = folder
        flows = [poll_folder(knowledge.state, access) for knowledge in everybody]
        detections = yield from _together(flows)
        steps = {one: Step(detection) for one, detection in zip(everybody, detections, strict=True)}
        for one, step in steps.items():
            one.advance(step)
        heirs = self._unite(everybody)
        self.looks += 1
        return Look(self.looks, steps, heirs)

    def _unite(self, everybody: Iterable[Knowledge]) -> dict[Knowledge, Knowledge]:
        """Let those that have come to know the same go on as one."""
        heirs: dict[Knowledge, Knowledge] = {}
        kept: list[Knowledge] = []
        for one in everybody:
            for other in kept:
                if other.is_of(one.state.rules) and other.cursor_text == one.cursor_text:
                    heirs[one] = other
                    self._all.discard(one)
                    break
            else:
                kept.append(one)
        return heirs


def _together(flows: Sequence[Flow[T]]) -> Flow[list[T]]:
    """Run flows that ask the same questions, and give each answer to all of them."""
    answer: Reply | None = None
    results: list[T] = []
    try:
        while not results:
            for flow in flows:
                try:
                    step = flow.send(answer)
                    while isinstance(step, Pause):
                        # Each has its own: what one has to compare, another one knows already.
                        step = flow.send((yield step))
                except StopIteration as stop:
                    results.append(stop.value)
            if not results:
                try:
                    answer = yield step
                except AzureMLError as error:
                    # Each would say the same about whose right it was.
                    flows[0].throw(error)
                    raise
    finally:
        for flow in flows:
            flow.close()
    # They were sent the same pages, so they end at the same one.
    assert len(results) == len(flows)
    return results
