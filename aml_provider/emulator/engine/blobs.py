"""The blob service behind the workspace's datastores."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.storage.blob import ContainerClient

    from aml_provider.emulator.workspace.models import Datastore

# Every version of Azurite supports it.
_API_VERSION = "2021-12-02"
# Seconds. A page that waits longer for the blob service is of no use.
_PAGE_TIMEOUT = 5.0


class NoBlobEndpointError(RuntimeError):
    """The emulator was started without ``--blob-endpoint``, so it cannot reach blobs."""


class BlobsUnreachableError(RuntimeError):
    """A datastore's blobs cannot be listed."""


@dataclass(frozen=True, slots=True)
class ListedBlob:
    """A blob in a listing; ``modified`` is an instant of the blob service's clock."""

    name: str
    size: int
    modified: float


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
    def container(self, store: Datastore, retries: int = 2, timeout: float | None = None) -> Iterator[ContainerClient]:
        """A client for a datastore's container; without a timeout in seconds, the timeouts are those of the SDK.

        Raises:
            NoBlobEndpointError: There is no blob endpoint; the emulator itself never calls Azure.
        """
        if not self.endpoint:
            raise NoBlobEndpointError("the emulator was started without --blob-endpoint")
        from azure.storage.blob import ContainerClient  # noqa: PLC0415 (slow to import, seldom needed)

        # The client cannot derive the account's name from an address like Azurite's.
        key = {"account_name": store.account_name, "account_key": store.account_key} if store.account_key else None
        timeouts: dict[str, Any] = {} if timeout is None else {"connection_timeout": timeout, "read_timeout": timeout}
        with ContainerClient(
            self.endpoint,
            store.container,
            credential=key or store.sas_token,
            api_version=_API_VERSION,
            retry_total=retries,
            **timeouts,
        ) as client:
            yield client

    def read(self, store: Datastore, path: str) -> bytes:
        """The content of a blob.

        Raises:
            FileNotFoundError: There is no such blob or container.
            BlobsUnreachableError: It cannot be read.
        """
        from azure.core.exceptions import AzureError, ResourceNotFoundError  # noqa: PLC0415 (as above)

        place = f"{self.container_url(store)}, the container of the datastore {store.name!r}"
        try:
            with self.container(store) as container:
                return container.download_blob(path).readall()
        except ResourceNotFoundError:
            # The SDK's own text contains the service's XML.
            raise FileNotFoundError(f"there is no blob {path!r} in {place} (BlobNotFound)") from None
        except AzureError as error:
            raise BlobsUnreachableError(f"{path!r} in {place}: {str(error).partition(chr(10))[0]}") from None

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

    def first(self, store: Datastore, count: int) -> tuple[list[ListedBlob], bool]:
        """The first blobs of a datastore in the order of their names, and whether there are more.

        Raises:
            BlobsUnreachableError: They cannot be listed, or the container does not exist.
        """
        from azure.core.exceptions import AzureError  # noqa: PLC0415 (as above)

        if store.type != "AzureBlob":
            raise BlobsUnreachableError(f"a datastore of the type {store.type} cannot be listed, only AzureBlob")
        try:
            with self.container(store, retries=0, timeout=_PAGE_TIMEOUT) as container:
                found = list(itertools.islice(container.list_blobs(results_per_page=count + 1), count + 1))
        except (AzureError, NoBlobEndpointError, ValueError) as error:
            raise BlobsUnreachableError(str(error).partition("\n")[0]) from error
        items = [ListedBlob(item.name, item.size, item.last_modified.timestamp()) for item in found[:count]]
        return items, len(found) > count


def folder_prefix(path: str) -> str:
    """The prefix of the names of the blobs in a folder; empty for the container itself."""
    folder = path.strip("/")
    return f"{folder}/" if folder else ""
