"""What is there in place of a folder that holds nothing at all: its name may be misspelt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.blobs.access import ask
from aml_provider.blobs.listing import list_request, parse_page
from aml_provider.client.errors import AzureMLError
from aml_provider.client.finding import same_letters, similar
from aml_provider.client.protocol import Request

if TYPE_CHECKING:
    from aml_provider.blobs.access import ContainerAccess
    from aml_provider.blobs.changes import Detection
    from aml_provider.blobs.folder import Folder
    from aml_provider.blobs.listing import Page
    from aml_provider.client.protocol import Flow

__all__ = ["nothing_there"]

_MOST_NAMES = 5


def nothing_there(folder: Folder, access: ContainerAccess, detection: Detection) -> Flow[str]:
    """Say what is there instead, at the very first poll only: later an empty folder is nothing special.

    It asks for the first page of the folder above, and of the one above that only while nothing is there either.

    Returns:
        A warning; empty where there is no reason for one, or the folder above cannot be listed.
    """
    counts = detection.counts
    if not detection.first or counts.listed or counts.folders or not folder.prefix:
        return ""
    segments = folder.prefix.removesuffix("/").split("/")
    while segments:
        missing = segments.pop()
        above = folder._replace(prefix="".join(f"{segment}/" for segment in segments))
        try:
            page = yield from _first_page(above, access)
        except AzureMLError:
            # The poll itself has just worked; a hint is not worth a failure.
            return ""
        if page.rows or page.prefixes:
            return _told(folder, above.prefix, missing, page)
    return f"There is nothing in the folder {folder.prefix!r}, nor anywhere else in the container"


def _first_page(folder: Folder, access: ContainerAccess) -> Flow[Page]:
    wanted = list_request(folder)
    query = (*wanted.params.items(), *access.signature(folder.container_url))
    reply = yield from ask(access, Request("list blobs", "GET", wanted.url, query, tuple(wanted.headers.items())))
    if reply.status != 200:
        raise AzureMLError(f"answered {reply.status}")
    return parse_page(reply.body)


def _told(folder: Folder, above: str, missing: str, page: Page) -> str:
    told = f"There is nothing in the folder {folder.prefix!r} (yet); waiting all the same. "
    where = f"the folder {above!r}" if above else "the container"
    names = [name.decode("utf-8", "replace")[len(above) :].removesuffix("/") for name in page.prefixes]
    if f"{above}{missing}".encode() in {row[0] for row in page.rows}:
        return f"{told}In {where} there is a blob {missing!r}: path is a folder, pattern is for names"
    alike = [name for name in names if same_letters(name) == same_letters(missing)]
    if alike:
        shown = ", ".join(map(ascii, alike))
        return f"{told}Blob storage tells {missing!a} from {shown}, which is in {where}: case and Unicode form count"
    near = similar(missing, names)
    shown = ", ".join(map(repr, near or names[:_MOST_NAMES]))
    if not shown:
        return f"{told}In {where} there is no folder at all, but blobs are"
    return f"{told}In {where} there is no folder {missing!r}; {'similar ones' if near else 'folders there'}: {shown}"
