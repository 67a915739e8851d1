"""A changed blob, and the result of one poll of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

if TYPE_CHECKING:
    from aml_provider.blobs.cursor import Cursor, Difference
    from aml_provider.blobs.pages import KnownPage
    from aml_provider.blobs.rules import Counts


class Change(TypedDict):
    """One added or modified blob, as a task returns it; it can be used directly as a data path."""

    datastore: str | None
    container_url: str
    path: str
    name: str
    etag: str
    last_modified: str
    size: int
    change: Literal["added", "modified"]


class Detection(NamedTuple):
    """The result of one poll.

    Attributes:
        changes: The reported changes, ordered by name.
        cursor: The cursor after the changes are delivered.
        undo: The difference that takes these changes out of the cursor again.
        counts: The counts, for the log.
        first: Whether there was no cursor before.
        pages: For :meth:`FolderState.accept`.
    """

    changes: list[Change]
    cursor: Cursor
    undo: Difference
    counts: Counts
    first: bool
    pages: tuple[KnownPage, ...]

    @property
    def is_partial(self) -> bool:
        """Whether there are more changes than one poll may report."""
        return bool(self.counts.held)

    @property
    def waits(self) -> bool:
        """Whether there are versions that a later poll reports although no new write announces them."""
        return bool(self.counts.held or self.counts.unsettled)

    @property
    def must_save(self) -> bool:
        """Whether the poll has decided something that a later process must know, even if it reports nothing.

        If versions have only disappeared, it is False: the stored cursor still contains them, so they are not reported
        again if they come back.
        """
        return self.first or bool(self.changes or self.counts.filtered)
