"""A process's knowledge of a folder between two polls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.blobs.changes import Scan
from aml_provider.blobs.cursor import Cursor
from aml_provider.blobs.pages import KnownPage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.blobs.change import Detection
    from aml_provider.blobs.folder import Folder
    from aml_provider.blobs.rules import Rules


class FolderState:
    """A process's knowledge of one folder between polls: 12 bytes per blob and a digest per page.

    Args:
        folder: The folder.
        rules: Which versions are reported, and when.
        cursor: The versions that were decided so far; None before the first poll.
        keeps_gone: Whether versions that have disappeared stay decided.
        before: The patterns with which the cursor was written, if they are others than those of the rules: the first
            poll then counts what they have passed over.
    """

    __slots__ = ("_before", "_first", "_keeps_gone", "_pages", "folder", "rules")

    def __init__(
        self,
        folder: Folder,
        rules: Rules,
        cursor: Cursor | None,
        *,
        keeps_gone: bool = True,
        before: Sequence[str] | None = None,
    ) -> None:
        self.folder = folder
        self.rules = rules
        self._keeps_gone = keeps_gone
        self._before = before
        self._first = cursor is None
        self._pages: tuple[KnownPage, ...] = tuple(KnownPage(None, chunk) for chunk in cursor.chunks) if cursor else ()

    @property
    def cursor(self) -> Cursor | None:
        """The reported, refused and remembered versions; None before the first accepted poll."""
        return None if self._first else Cursor(page.chunk for page in self._pages)

    def scan(self) -> Scan:
        """Begin a poll; the state does not change before :meth:`accept`."""
        return Scan(
            self.folder,
            self.rules,
            self._pages,
            first=self._first,
            keeps_gone=self._keeps_gone,
            before=self._before,
        )

    def accept(self, detection: Detection) -> None:
        """Continue from a poll's result, once its changes are delivered and it is stored (if ``must_save``)."""
        self._pages = detection.pages
        self._first = False
        self._before = None
