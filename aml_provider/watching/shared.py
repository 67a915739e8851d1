"""One poll of a source for all its watchers, each of which may know something different about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Cursor(Protocol):
    """The decisions so far."""

    def encode(self) -> str:
        """Encode as text; equal cursors have the same text."""


class Detection(Protocol):
    """The result of comparing one poll with one knowledge."""

    @property
    def changes(self) -> Sequence[Any]:
        """The new items, in the order in which they are reported."""

    @property
    def cursor(self) -> Cursor:
        """The cursor after the changes are delivered."""

    @property
    def first(self) -> bool:
        """Whether there was no cursor before."""

    @property
    def is_partial(self) -> bool:
        """Whether there is more than one poll may report."""


class State(Protocol):
    """A process's knowledge of the source between two polls."""

    @property
    def rules(self) -> Any:
        """The rules by which it decides."""

    def accept(self, detection: Any) -> None:
        """Apply the result of a poll."""


class Knowledge:
    """The decisions that some watchers have in common, and the rules by which they were made.

    It exists as long as one of these watchers holds a reference to it.
    """

    def __init__(self, state: Any, cursor_text: str | None) -> None:
        self.state = state
        self._text = cursor_text
        self._step: Step | None = None

    @property
    def cursor_text(self) -> str | None:
        """The cursor after what was decided so far; None before the first poll."""
        return self._text if self._step is None else self._step.cursor_text

    def is_of(self, rules: Any) -> bool:
        """Whether it was made by these rules; ``report_first`` matters only before the first poll."""
        own = self.state.rules
        if self.cursor_text is not None:
            own = own._replace(report_first=rules.report_first)
        return bool(own == rules)

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
class SharedPoll:
    """One poll of the source.

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
        return any(step.detection.is_partial for step in self.steps.values())


class SharedSource(ABC):
    """Compares each poll of a source with what each of its watchers has already decided.

    Watchers that polled together have decided the same, even if they want different things: what a watcher does not
    want counts as decided too. So one comparison serves all of them.
    """

    def __init__(self) -> None:
        self._all: WeakSet[Knowledge] = WeakSet()
        self.polls = 0

    def __bool__(self) -> bool:
        return bool(self._all)

    def join(self, rules: Any, cursor_text: str | None) -> Knowledge:
        """Add a watcher, which takes part from the next poll.

        Args:
            rules: What is found, and when: a named tuple with a field ``report_first``, without what each watcher
                applies for itself.
            cursor_text: The cursor that the watcher has stored; None if it has none.

        Returns:
            The key of this watcher's step in :attr:`SharedPoll.steps`.

        Raises:
            CursorUnreadable: The cursor is damaged, or of a newer format.
        """
        for other in self._all:
            if other.cursor_text == cursor_text and other.is_of(rules):
                return other
        new = Knowledge(self._state_of(rules, cursor_text), cursor_text)
        self._all.add(new)
        return new

    def empty_poll(self) -> SharedPoll:
        """A poll that found nothing: with it, watchers notice that earlier events are stored."""
        return SharedPoll(self.polls)

    @abstractmethod
    def _state_of(self, rules: Any, cursor_text: str | None) -> State:
        """Make the state of a new knowledge."""

    def _advanced(self, everybody: Sequence[Knowledge], detections: Sequence[Detection]) -> SharedPoll:
        """Apply the detection of each of these knowledges, in the same order."""
        steps = {one: Step(detection) for one, detection in zip(everybody, detections, strict=True)}
        for one, step in steps.items():
            one.advance(step)
        merged_into = self._merge(everybody)
        self.polls += 1
        return SharedPoll(self.polls, steps, merged_into)

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
