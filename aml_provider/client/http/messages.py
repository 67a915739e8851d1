"""What a protocol asks for: a request, a pause, a flow of them."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from aml_provider.client.http.exchange import MOST_OF_A_RECORD

if TYPE_CHECKING:
    from aml_provider.client.calls.call import Call

T = TypeVar("T")


#: Seconds for which a request may be on its way: whoever sent it gives it up then, and may have died at any moment.
ON_ITS_WAY = 60.0


class Request(NamedTuple):
    """One HTTP request.

    Args:
        operation: What it is for, in messages.
        method: The HTTP method.
        url: The absolute URL without its query.
        query: Query parameters, not yet encoded.
        headers: Headers beside those that the driver adds.
        content: The body.
        scope: The audience of the token to send along; None sends none.
        repeatable: Whether a repetition after a failure is safe.
        tail: Keep only the last so many bytes of the body.
        most: The most bytes that the body of a success may have; of a tail, that are read.
        is_link: The address comes from a reply: it is asked only where such links may lead.
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


class Pause(NamedTuple):
    """Wait for N seconds; for 0: let others in the event loop run first, which means nothing in a worker."""

    seconds: float

    @classmethod
    def before(cls, deadline: float | None, seconds: float, now: float) -> Pause | None:
        """A pause of ``seconds`` that ends no later than the deadline; None: the deadline has passed."""
        if deadline is None:
            return cls(seconds)
        left = deadline - now
        return cls(min(seconds, left)) if left > 0 else None


#: What a driver can do.
Machine: TypeAlias = Generator["Request | Pause", Any, T]


#: What calls are composed into: a call yields its result, a request its reply, a pause None.
Flow: TypeAlias = Generator["Call[Any] | Request | Pause", Any, T]


def flow_of(call: Call[T]) -> Flow[T]:
    """A flow of one call."""
    result: T = yield call
    return result
