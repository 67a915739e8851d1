"""The lineage of the blob sensor: the changed blobs, as its inputs.

The sensor reads the folder and writes nothing, so blobs are never its outputs; an asset among its outlets is one.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from aml_provider.worker.lineage.facets import lineage
from aml_provider.worker.lineage.names import of_blob

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.providers.openlineage.extractors import OperatorLineage

    from aml_provider.blobs.change import Change
    from aml_provider.worker.lineage.names import NamedDataset

# More would make an event of megabytes, and a graph that nobody can read.
_MOST = 100


def at_end(sensor: Any, changes: Sequence[Change] | None) -> OperatorLineage[Any, Any]:
    """The lineage of a sensor that has ended, with or without changes; nothing is requested.

    More than 100 blobs are reported as their folder, with their number and size.
    """
    if not changes:
        return lineage()
    return lineage(task=sensor, inputs=_folders(changes) if len(changes) > _MOST else _blobs(changes))


def _blobs(changes: Sequence[Change]) -> Iterator[NamedDataset]:
    for change in changes:
        yield of_blob(change["container_url"], change["path"], etag=change["etag"], size=change["size"])


def _folders(changes: Sequence[Change]) -> Iterator[NamedDataset]:
    sizes: dict[tuple[str, str], list[int]] = defaultdict(list)
    for change in changes:
        sizes[change["container_url"], change["path"].removesuffix(change["name"])].append(change["size"])
    for (container_url, folder), found in sizes.items():
        yield of_blob(container_url, folder)._replace(size=sum(found), files=len(found))
