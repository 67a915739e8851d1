"""The names of datasets: the only place that makes them, from descriptions that have no secrets.

Data in a datastore is named by its storage, as other producers name it, and has its name in the workspace as a symlink.
Where the storage is not known, or OpenLineage has no convention for it, the workspace's name is the only one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from aml_provider.assets import DatastoreUri
from aml_provider.blobs.wasb import account_of, without_side
from aml_provider.client.text import masked, unsigned

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.client.entities import Datastore, Output
    from aml_provider.client.settings import WorkspaceSettings

# The kinds of datastores for which OpenLineage has a convention: the scheme, and the account's subdomain. Hadoop and
# Spark read the same data with these URIs, so their events have the same names.
_STORAGE = {"AzureBlob": ("wasbs", "blob"), "AzureDataLakeGen2": ("abfss", "dfs")}
# A path in a datastore of the job's own workspace (azureml-v2-rest 4.2).
_SHORT = re.compile(r"azureml://datastores/(?P<store>[^/?#]+)/paths/(?P<path>[^?]*)")
# Macros in the paths of outputs (azureml-v2-rest 6.1). An output with another macro has no name.
_MACROS = {"${{name}}": "job", "${{output_name}}": "output"}


class DatasetName(NamedTuple):
    """The name of a dataset in OpenLineage."""

    namespace: str
    name: str


class NamedDataset(NamedTuple):
    """A dataset under its name.

    Args:
        name: The name.
        symlink: Its name in the workspace, if that is another one.
        version: Its version, for a data asset; the ETag, for a blob.
        size: Its size in bytes, if it is known.
        files: The number of files that ``size`` is about.
    """

    name: DatasetName
    symlink: DatasetName | None = None
    version: str | None = None
    size: int | None = None
    files: int | None = None


def workspace_of(settings: WorkspaceSettings) -> str:
    """The workspace, as the namespace of its datasets.

    Raises:
        ValueError: The connection has a name that no workspace can have.
    """
    return _place(settings, "none", "").namespace


def of_data_path(
    settings: WorkspaceSettings, datastore: str, path: str, known: Mapping[str, Datastore]
) -> NamedDataset:
    """Name a path in a datastore.

    Args:
        settings: The workspace.
        datastore: The datastore's name.
        path: The blob or folder in it.
        known: The descriptions of the workspace's datastores, by names in small letters.

    Raises:
        ValueError: There cannot be such a place.
    """
    store = known.get(datastore.lower())
    storage = None if store is None else _of_storage(store.kind, store.account, store.container, store.endpoint, path)
    return _with_symlink(_of_place(_place(settings, datastore, path)), storage)


def of_output(settings: WorkspaceSettings, output: Output) -> NamedDataset | None:
    """Name an output of a step of a published pipeline; None if its place is not known."""
    storage = _of_storage(
        output.type, output.account, output.container, settings.cloud.storage_suffix, output.path.strip("/")
    )
    files = None if output.size is None else 1
    if not output.datastore:
        return None if storage is None else NamedDataset(storage, size=output.size, files=files)
    own = _of_place(_place(settings, output.datastore, output.path))
    return _with_symlink(own, storage)._replace(size=output.size, files=files)


def of_address(
    settings: WorkspaceSettings, address: str, known: Mapping[str, Datastore], *, job: str, output: str
) -> NamedDataset | None:
    """Name the address of a job's output; None if it is not that of a place in a datastore or blob storage.

    Args:
        settings: The workspace.
        address: The address, in any form of azureml-v2-rest 4.2.
        known: See :func:`of_data_path`.
        job: The job's id.
        output: The output's name.
    """
    for macro, meaning in _MACROS.items():
        address = address.replace(macro, job if meaning == "job" else output)
    if "${{" in address:
        return None
    short = _SHORT.match(address)
    if short is not None:
        return of_data_path(settings, short["store"], short["path"], known)
    if address.startswith("azureml://"):
        place = DatastoreUri.of(address)
        # A datastore of another workspace is not described among this workspace's.
        if place.namespace == workspace_of(settings):
            return of_data_path(settings, place.datastore, place.path, known)
        return NamedDataset(_of_place(place))
    parts = urlsplit(address)
    if parts.scheme in {"http", "https"}:
        container, _, path = parts.path.lstrip("/").partition("/")
        if account_of(address) and container:
            return of_blob(f"{parts.scheme}://{parts.hostname}/{container}", unquote(path))
    return None


def of_data_asset(settings: WorkspaceSettings, asset: str) -> NamedDataset:
    """Name a data asset of the workspace, given as ``name:version``; the version is not part of the name."""
    name, _, version = asset.partition(":")
    return NamedDataset(DatasetName(workspace_of(settings), f"data/{name}"), version=version or None)


def of_saved_dataset(settings: WorkspaceSettings, dataset_id: str) -> NamedDataset:
    """Name a saved dataset of Azure ML v1 by its id."""
    return NamedDataset(DatasetName(workspace_of(settings), f"datasets/{masked(dataset_id)}"))


def of_blob(container_url: str, path: str) -> NamedDataset:
    """Name a blob, or the folder or root of a container.

    The name is that of the account, whichever of its addresses leads there: a private link, Azurite.

    Args:
        container_url: The container's address.
        path: The blob or folder in it; empty for the root.
    """
    parts = urlsplit(container_url)
    host = (parts.hostname or "").lower()
    *before, container = unquote(parts.path).strip("/").split("/")
    if account := account_of(container_url):
        before_blob, _, suffix = host.partition(".blob.")
        # Some accounts are in a DNS zone, which is part of the name.
        zone = [label for label in before_blob.split(".")[1:] if label != "privatelink"]
        host = f"{'.'.join([account, *zone])}.blob.{suffix}"
    elif before:
        # Azurite, and gateways, have the account in the path.
        host = f"{without_side(before[0].lower())}.blob.core.windows.net"
    return NamedDataset(DatasetName(f"wasbs://{container}@{host}", unsigned(path.strip("/")) or "/"))


def _of_storage(kind: str, account: str, container: str, suffix: str, path: str) -> DatasetName | None:
    if kind not in _STORAGE or not account or not container:
        return None
    scheme, subdomain = _STORAGE[kind]
    return DatasetName(f"{scheme}://{container}@{account}.{subdomain}.{suffix}", unsigned(path.strip("/")) or "/")


def _place(settings: WorkspaceSettings, datastore: str, path: str) -> DatastoreUri:
    root = DatastoreUri.at(settings.subscription_id, settings.resource_group, settings.workspace_name, datastore)
    # Not checked: the data has a name, also if no asset can have that path, for example with the segment "..".
    return root._replace(path=unsigned(path.strip("/")))


def _of_place(place: DatastoreUri) -> DatasetName:
    return DatasetName(place.namespace, place.name)


def _with_symlink(own: DatasetName, storage: DatasetName | None) -> NamedDataset:
    return NamedDataset(own) if storage is None else NamedDataset(storage, symlink=own)
