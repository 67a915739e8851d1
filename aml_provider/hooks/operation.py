"""Makes hook methods for workers and for event loops from one definition."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from aml_provider.client.calls import Call
    from aml_provider.client.http.messages import Flow
    from aml_provider.hooks.workspace import WorkspaceHook

    H = TypeVar("H", bound=WorkspaceHook)

T = TypeVar("T")
P = ParamSpec("P")


def operation(flow: Callable[Concatenate[H, P], Flow[T] | Call[T]]) -> Callable[Concatenate[H, P], T]:
    """Turn a flow, or a single call, into a method that opens a client, carries the flow out and returns its result.

    Permanent errors are raised as ``AirflowFailException``, all others unchanged.
    """
    # The method's documentation shows its result, not the flow.
    returned = str(flow.__annotations__["return"])
    flow.__annotations__["return"] = returned.partition("[")[2].removesuffix("]")

    def method(self: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.client() as client:
            return client.run(_as_flow(flow(self, *args, **kwargs)))

    _copy_metadata(method, flow, flow.__name__, flow.__doc__)
    return method


def in_event_loop(method: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], Coroutine[Any, Any, T]]:
    """The twin of a method that :func:`operation` made: a coroutine function that carries out the same flow."""
    flow: Callable[Concatenate[H, P], Flow[T] | Call[T]] = method.__wrapped__  # type: ignore[attr-defined]

    async def twin(self: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async with self.async_client() as client:
            return await client.run(_as_flow(flow(self, *args, **kwargs)))

    name = method.__name__
    doc = f"The twin of :meth:`{name}` for an event loop.\n\n        {flow.__doc__}"
    _copy_metadata(twin, flow, f"async_{name}", doc)
    return twin


def _as_flow(work: Flow[T] | Call[T]) -> Flow[T]:
    from aml_provider.client.http.messages import flow_of

    return work if isinstance(work, Generator) else flow_of(work)


def _copy_metadata(function: Any, flow: Callable[..., Any], name: str, doc: str | None) -> None:
    """Give a function a flow's signature and description.

    This code does not use :mod:`inspect`, which is slow: a DAG file that uses the hook imports a hundred such
    functions. On demand, :mod:`inspect` reads the signature from ``__wrapped__``.
    """
    function.__name__ = name
    function.__qualname__ = f"{flow.__qualname__.rpartition('.')[0]}.{name}"
    function.__module__ = flow.__module__
    function.__doc__ = doc
    function.__annotations__ = flow.__annotations__
    function.__wrapped__ = flow
