"""An HTTP reply, and what can be read from it for any operation."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client.text import LONGEST, masked, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aml_provider.client.secret import Secret

#: The longest pause in seconds that a service can request; with a wrong date, a pause could last for ever.
LONGEST_PAUSE = 3600.0
# Longer texts are cut before they are searched for secrets, and shown.
_SEARCHED = 4 * LONGEST
# Seconds by which two clocks may differ before it is reported.
_CLOCKS_AGREE = 120.0
# An error may have one for each field of the request.
_MOST_DETAILS = 10
_ID_HEADERS = ("x-ms-request-id", "request-id", "x-ms-correlation-request-id", "x-request-id")


class Reply(NamedTuple):
    """One HTTP reply.

    Attributes:
        headers: Names are lower case.
        request_id: The id that our request carried.
        sent: The secrets that our request carried, which a reply may echo.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    request_id: str
    sent: tuple[Secret[str], ...] = ()

    def clean(self, text: str, longest: int = LONGEST) -> str:
        """Make a text of the reply fit to be shown: without secrets, on one line, not too long."""
        return one_line(masked(text[:_SEARCHED], [secret.reveal() for secret in self.sent]), longest)

    @property
    def is_success(self) -> bool:
        """Whether the service did what was requested."""
        return 200 <= self.status < 300

    @property
    def is_page(self) -> bool:
        """Whether it is an HTML page, as gateways send them."""
        return self.headers.get("content-type", "").startswith("text/html") and self.body.lstrip().startswith(b"<")

    def json(self, object_hook: Callable[[dict[str, Any]], Any] | None = None) -> Any:
        """Parse the body; None if it is not JSON. ``object_hook`` is the argument of :func:`json.loads`."""
        try:
            return json.loads(self.body, object_hook=object_hook)
        except (ValueError, RecursionError):
            return None

    def retry_after(self) -> float | None:
        """The seconds that a Retry-After header requests, an hour at most; None if it cannot be read.

        If the header is a date, the seconds count from the reply's own Date.
        """
        value = self.headers.get("retry-after", "").strip()
        try:
            seconds = float(value)
        except ValueError:
            then = _instant(value)
            if then is None:
                return None
            seconds = (then - (self.date() or datetime.now(UTC))).total_seconds()
        return None if math.isnan(seconds) else min(max(0.0, seconds), LONGEST_PAUSE)

    def date(self) -> datetime | None:
        """The time of the reply by the service's clock; None if the reply does not have it."""
        return _instant(self.headers.get("date", ""))

    def on_clocks(self, now: datetime) -> str:
        """A sentence about this host's clock, if it differs by minutes from the service's; else empty."""
        there = self.date()
        ahead = 0.0 if there is None else (now - there).total_seconds()
        # A reply may have been on its way for a minute.
        if abs(ahead) < _CLOCKS_AGREE:
            return ""
        hours, minutes = divmod(round(abs(ahead) / 60), 60)
        by = f"{hours} h {minutes} min" if hours else f"{minutes} min"
        return f" This host's clock is {by} {'ahead of' if ahead > 0 else 'behind'} the service's: set it."

    def excerpt(self) -> str:
        """The beginning of its body for a message, without secrets."""
        return self.clean(" ".join(self.body[:4000].decode("utf-8", "replace").split()), 200)

    def ids(self, wire: Any) -> list[str]:
        """The ids that Azure support asks for, ours and the service's; some of them may be in the body's JSON."""
        ids = [f"x-ms-client-request-id={self.request_id}"]
        ids += [f"{name}={self.headers[name]}" for name in _ID_HEADERS if self.headers.get(name)]
        correlation = _correlation(wire)
        ids += [f"{name}={correlation[name]}" for name in ("operation", "request") if correlation.get(name)]
        return [self.clean(item) for item in ids]


def error_facts(wire: Any) -> tuple[str, str]:
    """The code and message of an error envelope: PascalCase from the pipelines service, camelCase from the others.

    The message includes the messages of the error's details, because Azure Resource Manager names the wrong field only
    there.
    """
    if not isinstance(wire, dict):
        return "", ""
    error = wire.get("Error") or wire.get("error")
    if not isinstance(error, dict):
        return "", _text(wire.get("Message") or wire.get("message"))
    message, details = _message(error), error.get("Details") or error.get("details")
    if isinstance(details, list):
        said = dict.fromkeys(filter(None, map(_message, filter(_is_object, details[:_MOST_DETAILS]))))
        said.pop(message, None)
        more = "; ".join(said)
        message = f"{message} ({more})" if message and more else message or more
    return _text(error.get("Code") or error.get("code")), message


def _message(error: dict[str, Any]) -> str:
    return _text(error.get("Message") or error.get("message"))


def _correlation(wire: Any) -> dict[str, Any]:
    """The ids in the body of an error; Azure Resource Manager has them in a list (azureml-v2-rest 2.2)."""
    if not isinstance(wire, dict):
        return {}
    found: Any = wire.get("Correlation") or wire.get("correlation")
    error = wire.get("error")
    listed = error.get("additionalInfo") if isinstance(error, dict) else None
    for item in filter(_is_object, listed if isinstance(listed, list) else ()):
        if item.get("type") == "Correlation" and _is_object(item.get("info")):
            found = found or item["info"].get("value")
    return found if isinstance(found, dict) else {}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _text(value: Any) -> str:
    # A nested value may be too deep to be written.
    return str(value) if isinstance(value, (str, int, float)) else ""


def _instant(text: str) -> datetime | None:
    """A date of HTTP; None if it cannot be read."""
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    # "-0000" means UTC, for which Python sets no zone.
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
