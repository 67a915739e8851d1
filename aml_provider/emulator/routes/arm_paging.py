"""Lists of Azure Resource Manager: pages with a link to the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aml_provider.emulator.routes.http import base_url, count, reply
from aml_provider.emulator.routes.paging import cut
from aml_provider.emulator.workspace.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from aml_provider.emulator.workspace.body import JsonObject

_SKIP = "$skip"


def link_page(request: Request, things: Sequence[JsonObject], page_size: int) -> Response:
    """A page of a list; ``$top`` and ``count`` in the query make it smaller.

    The token in the link is opaque; it is not a number that a client can compute (azureml-v2-rest 2.5).
    """
    query = request.query_params
    wanted = count("$top", query.get("$top")) or count("count", query.get("count"))
    found = cut(things, query.get(_SKIP), wanted, page_size)
    page: JsonObject = {"value": found["value"]}
    if token := found["continuationToken"]:
        pairs = [pair for pair in query.multi_items() if pair[0] != _SKIP]
        path = request.scope["azureml_path"]
        page["nextLink"] = f"{base_url(request)}{path}?{urlencode([*pairs, (_SKIP, token)])}"
    return reply(page)


def viewed(request: Request, things: Iterable[tuple[bool, JsonObject]], active: str = "Active") -> list[JsonObject]:
    """Select the items that the query's ``listViewType`` asks for.

    Args:
        request: The request of the list.
        things: Pairs: whether the item is archived or disabled, and the item.
        active: The word for items that are neither archived nor disabled: ``Active``, or for schedules ``Enabled``.
    """
    inactive = {"Active": "Archived", "Enabled": "Disabled"}[active]
    known = {f"{active}Only": (False,), f"{inactive}Only": (True,), "All": (False, True)}
    view_type = request.query_params.get("listViewType", f"{active}Only")
    if view_type not in known:
        raise bad_request(f"{view_type!r} is not a listViewType; use {', '.join(known)}.")
    return [thing for state, thing in things if state in known[view_type]]
