"""The lineage of the blob sensor: the changed blobs, as its inputs.

The sensor reads the folder and writes nothing, so blobs are never its outputs; an asset among its outlets is one.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aml_provider.worker.lineage.facets import lineage
from aml_provider.worker.lineage.names import of_blob, of_data_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.providers.openlineage.extractors import OperatorLineage

    from aml_provider.blobs.change import Change
    from aml_provider.client.entities import Datastore
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.worker.lineage.names import NamedDataset

    Place = tuple[WorkspaceSettings, Datastore]

# More would make an event of megabytes, and a graph that nobody can read.
_MOST = 100


def at_end(sensor: Any, changes: Sequence[Change] | None, place: Place | None) -> OperatorLineage[Any, Any]:
    """The lineage of a sensor that has ended, with or without changes; nothing is requested.

    More than 100 blobs are reported as their folder, with their number and size.

    Args:
        sensor: The sensor.
        changes: What it has found.
        place: The workspace and the datastore in which it was found. None: the containers' addresses have to do.
    """
    if not changes:
        return lineage()
    describe = _folders if len(changes) > _MOST else _blobs
    return lineage(task=sensor, inputs=describe(changes, place))


def _blobs(changes: Sequence[Change], place: Place | None) -> Iterator[NamedDataset]:
    for change in changes:
        named = _named(place, change["container_url"], change["path"])
        yield named._replace(version=change["etag"], size=change["size"], files=1)


def _folders(changes: Sequence[Change], place: Place | None) -> Iterator[NamedDataset]:
    sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for change in changes:
        sizes[change["container_url"], change["path"].removesuffix(change["name"])].append(change["size"])
    for (container_url, folder), found in sizes.items():
        yield _named(place, container_url, folder)._replace(size=sum(found), files=len(found))


def _named(place: Place | None, container_url: str, path: str) -> NamedDataset:
    """Name what a datastore has in the same way as the data of a run, so that the two are one dataset."""
    if place is None:
        return of_blob(container_url, path)
    settings, store = place
    return of_data_path(settings, store.name, path, {store.name.lower(): store})
