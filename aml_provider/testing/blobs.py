"""A container of a test in Azurite."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from azure.core.exceptions import ResourceNotFoundError

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

    from aml_provider.testing.azurite import Azurite


class Blobs:
    """A container that belongs to one test, empty at first; a context manager, which deletes it at the end.

    Args:
        azurite: The blob service, which runs.

    Attributes:
        endpoint: The address of the blob service with its account, as a connection's ``blob_endpoint`` takes it.
        account_name: The account.
        account_key: The account's key. It is public: every Azurite has the same one.
        client: The container as azure-storage-blob's ``ContainerClient``, for everything that is not here.
    """

    def __init__(self, azurite: Azurite) -> None:
        self.endpoint = azurite.blob_endpoint
        self.account_name = azurite.account_name
        self.account_key = azurite.account_key
        self.client: ContainerClient = azurite.open_container()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.client, suppress(ResourceNotFoundError):
            self.client.delete_container()

    @property
    def container(self) -> str:
        """The container's name."""
        return str(self.client.container_name)

    def write(self, path: str, data: bytes | str = b"") -> None:
        """Write a blob; an existing one is overwritten."""
        self.client.upload_blob(path, data, overwrite=True)

    def read(self, path: str) -> bytes:
        """Read a blob.

        Raises:
            azure.core.exceptions.ResourceNotFoundError: There is no such blob.
        """
        return bytes(self.client.download_blob(path).readall())

    def delete(self, path: str) -> None:
        """Delete a blob.

        Raises:
            azure.core.exceptions.ResourceNotFoundError: There is no such blob.
        """
        self.client.delete_blob(path)

    def names(self, prefix: str = "") -> list[str]:
        """The names of the blobs that begin with this prefix, in alphabetical order."""
        return list(self.client.list_blob_names(name_starts_with=prefix or None))

    def datastore(self, name: str) -> dict[str, Any]:
        """The container as an entry of ``datastores`` in a seed.

        Args:
            name: The datastore's name.
        """
        return {
            "name": name,
            "account_name": self.account_name,
            "account_key": self.account_key,
            "container": self.container,
        }
