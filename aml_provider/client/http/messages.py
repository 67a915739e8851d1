"""The requests and pauses that a session asks its driver for, and the flows that the session turns into them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from aml_provider.client.http.exchange import MOST_OF_A_RECORD

if TYPE_CHECKING:
    from aml_provider.client.calls.call import Call

T = TypeVar("T")

#: Seconds for which a request may be on its way: then its sender gives up, if it has not died before.
ON_ITS_WAY = 60.0


class Request(NamedTuple):
    """One HTTP request.

    Args:
        operation: Its purpose, for messages.
        method: The HTTP method.
        url: The absolute URL without its query.
        query: Query parameters, not yet encoded.
        headers: Headers besides those that the driver adds.
        content: The body.
        scope: The audience of the token that it carries; None: it carries none.
        ml_scope: The audience of a second token, which goes into ``x-azureml-token`` if the credential can get one.
        repeatable: Whether it is safe to send it again after a failure.
        tail: Keep only the last N bytes of the body; None: keep all.
        most: The most bytes that are read of the body of a success; a longer one is an error.
        is_link: The address comes from a reply: it is requested only if the host is trusted.
    """

    operation: str
    method: str
    url: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    scope: str | None = None
    repeatable: bool = True
    tail: int | None = None
    most: int = MOST_OF_A_RECORD
    is_link: bool = False
    ml_scope: str | None = None


class Pause(NamedTuple):
    """Wait for N seconds. A pause of 0 lets other tasks of the event loop run first; on a worker it has no effect."""

    seconds: float

    @classmethod
    def before(cls, deadline: float | None, seconds: float, now: float) -> Pause | None:
        """A pause of ``seconds`` that ends no later than the deadline; None if the deadline has passed."""
        if deadline is None:
            return cls(seconds)
        left = deadline - now
        return cls(min(seconds, left)) if left > 0 else None


class Work(NamedTuple):
    """Compute something that takes long: in an event loop, a thread does it. It must share nothing that changes."""

    function: Callable[[], Any]


class OwnSettings(NamedTuple):
    """Get the settings of the workspace: a driver sends them into the flow that yields this. Nothing is requested."""


#: Called after each exchange with the request and the status of the reply; None if there was no complete reply.
Observe: TypeAlias = Callable[[Request, int | None], None]
#: A generator of requests, pauses and work, which a driver carries out.
Machine: TypeAlias = Generator["Request | Pause | Work", Any, T]
#: A generator of calls, requests, pauses and work. It gets back the result of a call or of work, the reply to a
#: request, and None for a pause.
Flow: TypeAlias = Generator["Call[Any] | Request | Pause | Work | OwnSettings", Any, T]


def flow_of(call: Call[T]) -> Flow[T]:
    """A flow of one call."""
    result: T = yield call
    return result
