"""Stores for a sensor's cursor: an Airflow Variable, or a blob, which is replaced only if it has not changed."""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from aml_provider.durable.handover import CursorMoved, CursorStore
from aml_provider.state.slots import VariableSlot
from aml_provider.stored import overridden

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from aml_provider.blobs.access import Location
    from aml_provider.blobs.etag_record import StoredText
    from aml_provider.blobs.folder import Folder
    from aml_provider.client.http.clients import Client


class BlobFolder(Protocol):
    """A folder that can be opened: a :class:`~aml_provider.hooks.blob_location.BlobLocation`."""

    @property
    def name(self) -> str:
        """The datastore, for messages."""

    @property
    def path(self) -> str:
        """The folder in the datastore."""

    def open(self) -> AbstractContextManager[tuple[Client, Location]]:
        """Open a client that may use the folder."""


class BlobCursorStore:
    """Stores the cursor in a blob; of two writers, the blob service itself lets only one win (``If-Match``).

    Args:
        key: The cursor's key, as for a Variable; it names the blob.
        folder: The folder of the blob.
    """

    def __init__(self, key: str, folder: BlobFolder) -> None:
        self.key = key
        self._folder = folder
        self._blob = f"{key}.json"
        self._seen: StoredText | None = None
        self._place: Folder | None = None

    def __str__(self) -> str:
        path = "/".join(filter(None, (self._folder.name, self._folder.path.strip("/"), self._blob)))
        return f"blob {path}"

    def load(self) -> str | None:
        """Read the blob.

        Raises:
            AzureMLError: It cannot be read at the moment, or the right to read it is missing.
        """
        from aml_provider.blobs.etag_record import read_record

        with self._folder.open() as (client, location):
            self._seen = client.run(read_record(location, self._blob))
            self._place = location.folder
        return self._seen.text

    def save(self, text: str) -> None:
        """Write the blob.

        Raises:
            CursorMoved: It was changed since it was loaded.
            AzureMLError: It may have been written; :meth:`load` shows whether it was.
        """
        from aml_provider.blobs.etag_record import replace_record

        if self._seen is None:
            raise RuntimeError("The cursor has to be loaded before it is saved")
        with self._folder.open() as (client, location):
            stored = client.run(replace_record(location, self._blob, self._seen, text))
        if stored is None:
            raise CursorMoved(f"The {self} has been changed since it was read")
        self._seen = stored

    def is_in(self, folder: Folder) -> bool:
        """Whether the blob is in this folder, perhaps under another address: its place is compared."""
        return self._place is not None and self._place.is_same_as(folder)


def cursor_store(key: str, folder: BlobFolder | None) -> CursorStore:
    """The store of a cursor: a Variable, or a blob of this folder."""
    return VariableCursorStore(key) if folder is None else BlobCursorStore(key, folder)


_LONGEST_KEY = 250  # characters of a Variable's key

# If a Variable's key contains such a word, Airflow treats the value as a secret, and would search every log line for a
# megabyte of cursor to mask it. Broader than the lists of 2.11 and 3.3.
_SENSITIVE = re.compile("auth|bearer|connection_?string|dsn|key|pass|prox|secret|service_account|token|webhook")


def variable_key(connection: str, location: str, prefix: str, cursor_key: str) -> str:
    """The key of the Variable that holds the cursor of one folder.

    The location is the datastore or container URL as the user gave it: if the datastore's account moves, the key stays.
    """
    identity = json.dumps([connection, location, prefix, cursor_key])
    digest = blake2b(identity.encode(), digest_size=8).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", cursor_key).strip("_")
    if _SENSITIVE.search(readable.lower()):
        readable = ""
    room = _LONGEST_KEY - len("azureml_cursor__") - len(digest)
    return "_".join(part for part in ("azureml_cursor", readable[:room], digest) if part)


def wake_slot(key: str) -> VariableSlot:
    """Where the reader of a wake queue stores between two processes what it knows.

    Args:
        key: The key of the sensor's cursor, from :func:`variable_key`.
    """
    name = key.replace("azureml_cursor", "azureml_wake", 1)
    return VariableSlot(name, "Azure ML: which messages of its wake queue AzureBlobChangeSensor knows")


_NOT_LOADED = b"not loaded"


class VariableCursorStore(VariableSlot):
    """Stores the cursor in an Airflow Variable.

    Airflow has no conditional write. So the stored text is compared just before it is replaced, and read back just
    after. If two writers do this within the same few milliseconds, both can still believe that they were first.

    Args:
        key: The Variable's key.
        writer: The class that writes it, for the Variable's description.
    """

    def __init__(self, key: str, writer: str = "AzureBlobChangeSensor") -> None:
        super().__init__(key, f"What an {writer} has seen; delete it to start again")
        self._seen: bytes | None = _NOT_LOADED

    def load(self) -> str | None:
        """Read the Variable.

        Raises:
            StorageError: It exists and cannot be read at the moment.
        """
        text = self._read()
        self._seen = _stamp(text)
        return text

    def save(self, text: str) -> None:
        """Write the Variable.

        Raises:
            CursorMoved: It was changed since it was loaded, or while it was written.
            StorageError: It cannot be read back: a secrets backend or the environment overrides it.
        """
        if self._seen == _NOT_LOADED:
            raise RuntimeError("The cursor has to be loaded before it is saved")
        before, wanted = _stamp(self._read()), _stamp(text)
        if before != self._seen:
            raise CursorMoved(f"The {self} has been changed since it was read")
        self._write(text)
        after = _stamp(self._read())
        if after == before != wanted:
            raise overridden(self.key)
        if after != wanted:
            raise CursorMoved(f"The {self} was changed by another process while it was written")
        self._seen = after

    def is_in(self, folder: Folder) -> bool:
        """A Variable is never in a folder."""
        del folder
        return False


def _stamp(text: str | None) -> bytes | None:
    # The value may come from an environment variable, which need not be UTF-8.
    return None if text is None else blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
