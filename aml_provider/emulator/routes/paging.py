"""Lists in pages: they are filtered and ordered, and a page starts where the previous one ended."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import TYPE_CHECKING

from aml_provider.emulator.routes.http import count, reply
from aml_provider.emulator.wire import odata_filters
from aml_provider.emulator.workspace.body import Body, JsonObject
from aml_provider.emulator.workspace.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

_PREFIX = "offset:"
# Who selects records beforehand reads the same filter again.
_parse = lru_cache(maxsize=8)(odata_filters.parse)


def query_of(request: Request) -> Body:
    """The query of a list's address, in the form of a body; ``$top`` means the same as ``top``."""
    return Body({name.removeprefix("$"): value for name, value in request.query_params.items()})


def page(records: Sequence[JsonObject], given: Body, fields: tuple[str, ...], page_size: int) -> Response:
    """A page of the records that a query selects, with the token for the next page.

    Args:
        records: All items, as in the REST API.
        given: ``filter``, ``orderby``, ``top`` and ``continuationToken``, each optional.
        fields: The fields that a filter and an order can use.
        page_size: The maximum number of items on a page.
    """
    found = _ordered(_selected(records, given.text("filter"), fields), _order(given), fields)
    return reply(cut(found, given.text("continuationToken"), count("top", given.get("top")), page_size))


def condition_of(text: str | None, fields: tuple[str, ...]) -> odata_filters.Filter | None:
    """The condition of a filter; None without a filter.

    Raises:
        ServiceError: The text is not a filter.
    """
    if not text:
        return None
    try:
        return _parse(text, fields)
    except odata_filters.FilterError as error:
        raise bad_request(f"Invalid filter: {error}", "InvalidFilter") from error


def cut(records: Sequence[JsonObject], token: str | None, wanted: int | None, page_size: int) -> JsonObject:
    """Cut out the page that begins after a token, with at most ``wanted`` items; also the token for the next page."""
    start = _offset(token)
    end = start + min(wanted or page_size, page_size)
    return {"value": list(records[start:end]), "continuationToken": _token(end) if end < len(records) else None}


def _selected(records: Iterable[JsonObject], text: str | None, fields: tuple[str, ...]) -> list[JsonObject]:
    condition = condition_of(text, fields)
    return list(records) if condition is None else [record for record in records if condition.matches(record)]


def _order(given: Body) -> str | None:
    # Criteria are joined by commas or are an array.
    order = given.get("orderby")
    return ",".join(given.names("orderby")) if isinstance(order, list) else given.text("orderby")


def _ordered(records: list[JsonObject], order: str | None, fields: tuple[str, ...]) -> list[JsonObject]:
    known = {field.lower(): field for field in fields}
    # Sorting is stable, so the first criterion is applied last.
    for part in reversed((order or "").split(",")):
        name, _, direction = part.strip().partition(" ")
        if not name:
            continue
        if name.lower() not in known or direction.strip().lower() not in ("", "asc", "desc"):
            raise bad_request(f"Invalid orderby: {order}", "InvalidOrderBy")
        field = known[name.lower()]
        # In ascending order, null (not happened yet) comes first.
        descending = direction.strip().lower() == "desc"
        records.sort(key=lambda record: (record[field] is not None, record[field] or ""), reverse=descending)
    return records


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"{_PREFIX}{offset}".encode()).decode()


def _offset(token: str | None) -> int:
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError as error:
        raise bad_request("Invalid continuationToken.") from error
    offset = text.removeprefix(_PREFIX)
    if offset == text or not offset.isdecimal() or len(offset) > len("999999999"):
        raise bad_request("Invalid continuationToken.")
    return int(offset)
