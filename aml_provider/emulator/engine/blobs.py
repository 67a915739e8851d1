"""The blob service behind the workspace's datastores."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.storage.blob import ContainerClient

    from aml_provider.emulator.workspace.models import Datastore

# Every version of Azurite supports it.
_API_VERSION = "2021-12-02"


class NoBlobEndpointError(RuntimeError):
    """The emulator was started without ``--blob-endpoint``, so it cannot reach blobs."""


class BlobsUnreachableError(RuntimeError):
    """A datastore's blobs cannot be listed."""


@dataclass(frozen=True, slots=True)
class Blobs:
    """Containers by their datastores."""

    endpoint: str | None

    def container_url(self, store: Datastore) -> str:
        """The address of a datastore's container."""
        if self.endpoint:
            return f"{self.endpoint.rstrip('/')}/{store.container}"
        return f"{store.protocol}://{store.account_name}.blob.{store.endpoint}/{store.container}"

    @contextlib.contextmanager
    def container(self, store: Datastore, retries: int = 2) -> Iterator[ContainerClient]:
        """A client for a datastore's container.

        Raises:
            NoBlobEndpointError: There is no blob endpoint; the emulator itself never calls Azure.
        """
        if not self.endpoint:
            raise NoBlobEndpointError("the emulator was started without --blob-endpoint")
        from azure.storage.blob import ContainerClient  # noqa: PLC0415 (slow to import, seldom needed)

        # The client cannot derive the account's name from an address like Azurite's.
        key = {"account_name": store.account_name, "account_key": store.account_key} if store.account_key else None
        with ContainerClient(
            self.endpoint,
            store.container,
            credential=key or store.sas_token,
            api_version=_API_VERSION,
            retry_total=retries,
        ) as client:
            yield client

    def versions(self, store: Datastore, folder: str) -> dict[str, str]:
        """The blobs directly in a folder, not in its sub-folders: their full names with their ETags.

        Raises:
            BlobsUnreachableError: They cannot be listed; a container that does not exist counts as empty.
        """
        from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 (as above)
        from azure.storage.blob import BlobProperties  # noqa: PLC0415

        try:
            # Retries would take half a minute, and the next poll is a retry.
            with self.container(store, retries=0) as container:
                items = container.walk_blobs(name_starts_with=folder_prefix(folder) or None, delimiter="/")
                return {item.name: item.etag for item in items if isinstance(item, BlobProperties)}
        except ResourceNotFoundError:
            return {}
        except (AzureError, NoBlobEndpointError, ValueError) as error:
            raise BlobsUnreachableError(f"{type(error).__name__}: {error}") from error


def folder_prefix(path: str) -> str:
    """The prefix of the names of the blobs in a folder; empty for the container itself."""
    folder = path.strip("/")
    return f"{folder}/" if folder else ""
