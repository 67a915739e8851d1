"""Drivers of calls and flows: over sockets with either client, or by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aml_provider.client.http.clients import AsyncClient, Client
from aml_provider.client.http.messages import Pause, Request
from aml_provider.client.http.protocol import Session
from aml_provider.client.http.reply import Reply
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.settings import WorkspaceSettings

#: The token of :func:`workspace`; no message may show it.
TOKEN = "very-secret-token"

SCOPE = (
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/rg-demo"
    "/providers/Microsoft.MachineLearningServices/workspaces/ws-demo"
)
PIPELINES, HISTORY, DATASTORES = (f"/{name}/v1.0{SCOPE}" for name in ("pipelines", "history", "datastore"))


def workspace(**changes: Any) -> WorkspaceSettings:
    """The workspace of the captures."""
    values: dict[str, Any] = {
        "subscription_id": "11111111-2222-3333-4444-555555555555",
        "resource_group": "rg-demo",
        "workspace_name": "ws-demo",
        "region": "koreacentral",
        "auth_method": "static_token",
        "secret": TOKEN,
    }
    return WorkspaceSettings(**{**values, **changes})


class DrivenClock:
    """Records pauses instead of waiting."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def asleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def one(call: Any) -> Any:
    """A flow of one call."""
    return (yield call)


def run_sync(settings: WorkspaceSettings, flow: Any, *, timeout: float = 10.0, **options: Any) -> Any:
    """Carry out a flow with the driver for workers."""
    with Client(settings, **{"clock": DrivenClock(), **options}) as client:
        client._http.timeout = timeout
        return client.run(flow)


def run_async(settings: WorkspaceSettings, flow: Any, *, timeout: float = 10.0, **options: Any) -> Any:
    """Carry out a flow with the driver for event loops."""

    async def run() -> Any:
        async with AsyncClient(settings, **{"clock": DrivenClock(), **options}) as client:
            client._http.timeout = timeout
            return await client.run(flow)

    return asyncio.run(run())


DRIVERS = {"sync": run_sync, "async": run_async}


def failure(drive: Any, settings: WorkspaceSettings, call: Any, **options: Any) -> Any:
    """The error of a call that is sent once. It shows no token, wherever one looks."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the caller looks at it
        drive(settings, one(call), **{"policy": RetryPolicy(budget=0.0), **options})
    link: BaseException | None = caught.value
    while link is not None:
        assert TOKEN not in str(link) + repr(link)
        link = link.__cause__ or link.__context__
    return caught.value


#: The body of the service's own 404.
MISSING = b'{"error": {"code": "UserError", "message": "It does not exist."}}'


def reply(status: int = 200, body: bytes = b"{}", request_id: str = "our-id", **headers: str) -> Reply:
    """A reply; underscores in header names stand for hyphens."""
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, request_id)


def play(machine: Any, *answers: Any) -> tuple[Any, list[Any]]:
    """Drive a machine by hand: each request takes the next answer, an exception is thrown, the last one repeats.

    Returns:
        The result, or the AzureMLError that came out; and the steps.
    """
    left = list(answers)
    steps: list[Any] = []
    try:
        step = next(machine)
        while True:
            steps.append(step)
            assert len(steps) < 2000, "it does not end"
            if isinstance(step, Pause):
                step = machine.send(None)
                continue
            answer = left.pop(0) if len(left) > 1 else left[0]
            step = machine.throw(answer) if isinstance(answer, BaseException) else machine.send(answer)
    except StopIteration as stop:
        return stop.value, steps
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error, steps


def requests(steps: list[Any]) -> list[Request]:
    """The requests among steps."""
    return [step for step in steps if isinstance(step, Request)]


def pauses(steps: list[Any]) -> list[float]:
    """The seconds of the pauses among steps."""
    return [step.seconds for step in steps if isinstance(step, Pause)]


def session(settings: WorkspaceSettings | None = None, *, budget: float = 120.0, jitter: float = 1.0) -> Session:
    """The session of a workspace with a known jitter."""
    return Session(settings or workspace(), RetryPolicy(budget=budget, jitter=lambda: jitter))
