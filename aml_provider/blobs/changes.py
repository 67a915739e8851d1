"""A changed blob, and the result of one poll of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

if TYPE_CHECKING:
    from aml_provider.blobs.cursor import Cursor, Difference
    from aml_provider.blobs.pages import Known
    from aml_provider.blobs.rules import Counts

__all__ = ["Change", "Detection"]


class Change(TypedDict):
    """One added or modified blob, as a task hands it on; it works as a data path as it is."""

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
        changes: What is reported, ordered by name.
        cursor: What is known once the changes are handed over.
        undo: Takes the cursor back to where none of the changes was reported yet.
        counts: The arithmetic, for the log.
        first: There was no cursor before.
        pages: For :meth:`FolderState.accept`.
    """

    changes: list[Change]
    cursor: Cursor
    undo: Difference
    counts: Counts
    first: bool
    pages: tuple[Known, ...]

    @property
    def must_save(self) -> bool:
        """Something was decided that a later process has to know, though there may be nothing to report.

        Versions that are gone do not count: they stay decided.
        """
        return self.first or bool(self.changes or self.counts.filtered)
