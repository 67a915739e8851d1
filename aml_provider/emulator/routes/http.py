"""Helpers for the routes of all services: bodies, replies, query values."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from starlette.responses import Response

from aml_provider.emulator.workspace.body import Body, is_deeper
from aml_provider.emulator.workspace.errors import bad_request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from starlette.requests import Request

    from aml_provider.emulator.workspace.models import Endpoint, Pipeline
    from aml_provider.emulator.workspace.schedule_models import Schedule

T = TypeVar("T", "Endpoint", "Pipeline", "Schedule")

# More digits than any count needs, and few enough for int().
_MOST_DIGITS = 18
_MOST_LEVELS = 100


@dataclass(frozen=True, slots=True)
class Scope:
    """The workspace that a request's path names. The emulator has one and answers for every name."""

    subscription_id: str
    resource_group: str
    workspace: str

    @property
    def path(self) -> str:
        """The workspace's ARM id."""
        return (
            f"/subscriptions/{self.subscription_id}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )


def scope_of(request: Request) -> Scope:
    """The workspace that the request's path names."""
    return cast("Scope", request.scope["azureml"])


def base_url(request: Request) -> str:
    """The emulator's address as the caller wrote it, so that links work from inside a container too."""
    return str(request.base_url).rstrip("/")


async def read_json(request: Request) -> Any:
    """The parsed JSON of a body; None if it is empty.

    Values that a reply could not contain are refused: NaN, numbers beyond a float, lone surrogates, and values that
    nest too deep for recursive functions.
    """
    raw = await request.body()
    if not raw:
        return None
    try:
        value = json.loads(raw, parse_float=_number, parse_constant=_no_number)
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise bad_request(f"The body is not JSON: {error}", "InvalidJson") from error
    if is_deeper(value, _MOST_LEVELS):
        raise bad_request(f"The body is not JSON of at most {_MOST_LEVELS} levels.", "InvalidJson")
    return value


async def read_body(request: Request) -> Body:
    """The body, which must be a JSON object."""
    return Body(await read_json(request))


def reply(content: Any = None, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A reply with a JSON body; without content the body is ``null``."""
    return Response(json.dumps(content), status, headers, "application/json; charset=utf-8")


def active_if_asked(request: Request, things: Iterable[T]) -> Iterator[T]:
    """The items of a list; without the inactive ones if the query's ``activeOnly`` says so."""
    active_only = flag(request.query_params.get("activeOnly"))
    return (item for item in things if item.status == "Active" or not active_only)


def flag(value: str | None) -> bool:
    """A query's ``true`` or ``false``."""
    return value is not None and value.lower() == "true"


def count(name: str, value: object) -> int | None:
    """Read the maximum number of items that a caller wants, from a number or its text; None: no limit.

    Raises:
        ServiceError: The value is not a whole number above 0; the message contains ``name``.
    """
    if value is None:
        return None
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or len(text) > _MOST_DIGITS or int(text) == 0:
        raise bad_request(f"{name} must be a whole number above 0, not {text[:80]!r}.")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _no_number(text)
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is not a number")
