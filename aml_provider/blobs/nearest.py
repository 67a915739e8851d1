"""What is there in place of a folder that holds nothing at all: its name may be misspelt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.blobs.access import ask
from aml_provider.blobs.listing import list_request
from aml_provider.blobs.page_parser import next_marker, parse_page
from aml_provider.client.errors import AzureMLError
from aml_provider.client.flows.finding import same_letters, similar
from aml_provider.client.http.messages import Pause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.blobs.access import ContainerAccess
    from aml_provider.blobs.changes import Detection
    from aml_provider.blobs.folder import Folder
    from aml_provider.blobs.page_parser import Page
    from aml_provider.client.http.messages import Flow

__all__ = ["nothing_there"]

_MOST_NAMES = 5
# Of a hundred names of this length, a comparison takes some 20 ms.
_AT_ONCE, _LONGEST = 100, 200
_GLOB = frozenset("*?[")


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
            page, is_all = yield from _first_page(above, access)
        except AzureMLError:
            # The poll itself has just worked; a hint is not worth a failure.
            return ""
        if page.rows or page.prefixes or not is_all:
            return (yield from _told(folder, above.prefix, missing, page))
    return f"There is nothing in the folder {folder.prefix!r}, nor anywhere else in the container"


def _first_page(folder: Folder, access: ContainerAccess) -> Flow[tuple[Page, bool]]:
    """The first page, and whether it is the only one."""
    # Not repeated after a failure: the poll has no time for it.
    reply = yield from ask(access, list_request(folder, access)._replace(repeatable=False))
    if reply.status != 200:
        raise AzureMLError(f"answered {reply.status}")
    return parse_page(reply.body), not next_marker(reply.body)


def _told(folder: Folder, above: str, missing: str, page: Page) -> Flow[str]:
    told = f"There is nothing in the folder {folder.prefix!r} (yet); waiting all the same. "
    where = f"the folder {above!r}" if above else "the container"
    names = [name.decode("utf-8", "replace")[len(above) :].removesuffix("/") for name in page.prefixes]
    if f"{above}{missing}".encode() in {row[0] for row in page.rows}:
        return f"{told}In {where} there is a blob {missing!r}: path is a folder, pattern is for names"
    if not _GLOB.isdisjoint(missing):
        return f"{told}In {where} there is no folder {missing!r}: path is a folder, pattern is for names"
    alike, near = yield from _resembling(missing, names)
    if alike:
        shown = ", ".join(map(ascii, alike))
        return f"{told}Blob storage tells {missing!a} from {shown}, which is in {where}: case and Unicode form count"
    shown = ", ".join(map(repr, near or names[:_MOST_NAMES]))
    if not shown:
        return f"{told}In {where} there are blobs, but no folder {missing!r}"
    return f"{told}In {where} there is no folder {missing!r}; {'similar ones' if near else 'folders there'}: {shown}"


def _resembling(missing: str, names: Sequence[str]) -> Flow[tuple[list[str], list[str]]]:
    """The names that differ in case or Unicode form alone, and up to three that are similar.

    To compare thousands takes seconds, for which an event loop should not stand still.
    """
    alike: list[str] = []
    near: list[str] = []
    for at in range(0, len(names), _AT_ONCE):
        some = names[at : at + _AT_ONCE]
        alike += [name for name in some if same_letters(name) == same_letters(missing)]
        if len(missing) <= _LONGEST:
            near += similar(missing, [name for name in some if len(name) <= _LONGEST])
        yield Pause(0)
    return alike, similar(missing, near)
