"""The warning about a folder that holds nothing at all, because its name may be misspelt."""

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
    from aml_provider.blobs.change import Detection
    from aml_provider.blobs.folder import Folder
    from aml_provider.blobs.page_parser import Page
    from aml_provider.client.http.messages import Flow

_MOST_NAMES = 5
# Comparing a hundred names of this length takes some 20 ms.
_AT_ONCE, _LONGEST = 100, 200
_GLOB = frozenset("*?[")


def nothing_there(folder: Folder, access: ContainerAccess, detection: Detection) -> Flow[str]:
    """Describe what exists instead; only after the very first poll, because later an empty folder is nothing special.

    It lists the first page of the parent folder; if that folder holds nothing either, of the next parent, and so on.

    Returns:
        A warning; empty if there is no reason for one, or the parent folder cannot be listed.
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
            # The poll itself has succeeded; it must not fail for a hint.
            return ""
        if page.columns[0] or page.prefixes or not is_all:
            return (yield from _hint(folder, above.prefix, missing, page))
    return f"There is nothing in the folder {folder.prefix!r}, nor anywhere else in the container"


def _first_page(folder: Folder, access: ContainerAccess) -> Flow[tuple[Page, bool]]:
    """The first page of the folder, and whether it is the only one."""
    # Not repeated after a failure: the poll has no time for it.
    reply = yield from ask(access, list_request(folder, access)._replace(repeatable=False))
    if reply.status != 200:
        raise AzureMLError(f"answered {reply.status}")
    return parse_page(reply.body), not next_marker(reply.body)


def _hint(folder: Folder, above: str, missing: str, page: Page) -> Flow[str]:
    nothing = f"There is nothing in the folder {folder.prefix!r} (yet); waiting anyway. "
    where = f"the folder {above!r}" if above else "the container"
    names = [name.decode("utf-8", "replace")[len(above) :].removesuffix("/") for name in page.prefixes]
    if f"{above}{missing}".encode() in page.columns[0]:
        return f"{nothing}In {where} there is a blob {missing!r}: path is a folder, pattern is for names"
    if not _GLOB.isdisjoint(missing):
        return f"{nothing}In {where} there is no folder {missing!r}: path is a folder, pattern is for names"
    alike, near = yield from _resembling(missing, names)
    if alike:
        shown = ", ".join(map(ascii, alike))
        return f"{nothing}In {where} there is {shown}, which is not {missing!a}: case and Unicode form count"
    shown = ", ".join(map(repr, near or names[:_MOST_NAMES]))
    if not shown:
        return f"{nothing}In {where} there are blobs, but no folder {missing!r}"
    return f"{nothing}In {where} there is no folder {missing!r}; {'similar ones' if near else 'folders there'}: {shown}"


def _resembling(missing: str, names: Sequence[str]) -> Flow[tuple[list[str], list[str]]]:
    """The names that differ only in case or Unicode form, and up to three that are similar.

    Comparing thousands of names takes seconds, so the flow pauses in between: an event loop can run other tasks.
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
