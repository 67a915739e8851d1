"""Which addresses are those of pages and of their buttons."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request

SECTIONS = ("runs", "pipelines", "endpoints", "components", "schedules", "datastores", "experiments")

_PAGE = re.compile(
    rf"(?s)/(?:(?:{'|'.join(SECTIONS)})(?:/[^/]+)?|runs/[^/]+/log|endpoints/pipeline/[^/]+|experiments/id/[^/]+"
    # The name of a datastore in a seed can contain slashes.
    "|datastores/.+)?"
)
_ACTION = re.compile(
    r"/(?:runs/[^/]+/cancel|(?:pipelines|endpoints)/[^/]+/(?:disable|enable)"
    r"|schedules/[^/]+/(?:disable|enable|run|poll)|schedules/job/[^/]+/(?:disable|enable|run))"
)


def is_page(path: str) -> bool:
    """Whether a path is that of a page for people."""
    return _PAGE.fullmatch(path) is not None


def is_action(path: str) -> bool:
    """Whether a path is that of a button on a page."""
    return _ACTION.fullmatch(path) is not None


def wants_page(request: Request) -> bool:
    """Whether a person reads the reply in a browser. Programs may accept HTML too, but they send a token."""
    return "text/html" in request.headers.get("Accept", "").lower() and "Authorization" not in request.headers
