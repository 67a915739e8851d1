"""The record of a watched folder in a blob, which can be compared and swapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aml_provider.durable.handover import CursorMoved, CursorStore, VariableCursorStore

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from aml_provider.blobs.access import Location
    from aml_provider.blobs.etag_record import Kept
    from aml_provider.blobs.folder import Folder
    from aml_provider.client.http.clients import Client

__all__ = ["BlobCursorStore", "cursor_store"]


class BlobFolder(Protocol):
    """A folder that can be opened: a :class:`~aml_provider.hooks.blob_location.BlobLocation`."""

    @property
    def name(self) -> str:
        """The datastore, for messages."""

    @property
    def path(self) -> str:
        """The folder in it."""

    def open(self) -> AbstractContextManager[tuple[Client, Location]]:
        """Open a client that may use the folder."""


class BlobCursorStore:
    """Keeps the record in a blob; of two writers, the blob service itself lets only one win (``If-Match``).

    Args:
        key: The record's name, as a Variable would have it.
        folder: Where the blob is.
    """

    def __init__(self, key: str, folder: BlobFolder) -> None:
        self.key = key
        self._folder = folder
        self._blob = f"{key}.json"
        self._seen: Kept | None = None
        self._place: Folder | None = None

    def __str__(self) -> str:
        path = "/".join(filter(None, (self._folder.name, self._folder.path.strip("/"), self._blob)))
        return f"blob {path}"

    def load(self) -> str | None:
        """Read the blob.

        Raises:
            AzureMLError: Whether it exists cannot be told at the moment, or it may not be read.
        """
        from aml_provider.blobs.etag_record import read_record

        with self._folder.open() as (client, location):
            self._seen = client.run(read_record(location, self._blob))
            self._place = location.folder
        return self._seen.text

    def save(self, text: str) -> None:
        """Write the blob.

        Raises:
            CursorMoved: It is not what was loaded.
            AzureMLError: It was perhaps written; :meth:`load` tells.
        """
        from aml_provider.blobs.etag_record import replace_record

        if self._seen is None:
            raise RuntimeError("The record has to be loaded before it is saved")
        with self._folder.open() as (client, location):
            kept = client.run(replace_record(location, self._blob, self._seen, text))
        if kept is None:
            raise CursorMoved(f"The {self} was changed by somebody else since it was read")
        self._seen = kept

    def is_in(self, folder: Folder) -> bool:
        """Compare where the record was found, since one place has many names."""
        return self._place is not None and self._place.is_same_as(folder)


def cursor_store(key: str, folder: BlobFolder | None) -> CursorStore:
    """Where a record is kept: in a Variable, or in a blob of this folder."""
    return VariableCursorStore(key) if folder is None else BlobCursorStore(key, folder)
