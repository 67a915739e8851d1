"""How often a request is sent again, and after which pause."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client.errors import (
    AzureMLError,
    ReplyLost,
    ServiceError,
    Unreachable,
)
from aml_provider.client.http.messages import Machine, Pause, Request
from aml_provider.client.trouble import EVERY, Troubles

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.http.reply import Reply

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.5


_LONGEST_PAUSE = 30.0


class RetryPolicy(NamedTuple):
    """How long a repeatable request is repeated: until its pauses would add up to more than a budget.

    Args:
        budget: Seconds for failures of all kinds.
        throttled_budget: Seconds for answers of 429, if that is more: a busy service is no failed one.
        jitter: A random number from 0 to 1.
        is_brief: Whether only blips are passed over, without a word in the log: whoever sends the request repeats it
            later, and tells of it. What took longer than the budget is no blip.
        now: A clock that only goes on.
        tell: Called with a level and a line: of repetitions, and when they are over.
    """

    budget: float = 120.0
    throttled_budget: float = 0.0
    jitter: Callable[[], float] = random.random
    is_brief: bool = False
    now: Callable[[], float] = time.monotonic
    tell: Callable[[int, str], None] = log.log

    def pause(self, attempt: int, reply: Reply | None) -> float:
        """Seconds before the next attempt: exponential with jitter, and at least what the service asks for."""
        own = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempt, 10)) * (0.5 + self.jitter() / 2)
        asked = reply.retry_after() if reply is not None else None
        # "At once", and a date that has passed, would repeat without end and without a pause.
        return own if asked is None else max(asked, own)


def _may_pass(status: int) -> bool:
    """Whether the same request may fare better later; 501 means never."""
    return status in {408, 429} or (status >= 500 and status != 501)


def may_pass(error: AzureMLError) -> bool:
    """Whether it is what each request is repeated for, if it may be."""
    return isinstance(error, (Unreachable, ReplyLost)) or (isinstance(error, ServiceError) and _may_pass(error.status))


def attempt(
    request: Request, policy: RetryPolicy, spent: dict[bool, float] | None = None, troubles: Troubles | None = None
) -> Machine[Reply]:
    """Send a request, again after 429, 5xx and connection errors if that is safe and the budget allows.

    That it is sent again is logged as a warning: with the first failure, then once a minute.

    Args:
        request: What is sent.
        policy: The budget.
        spent: What requests before it have used of the budgets, False for failures, True for throttling; None: nothing.
        troubles: The troubles of requests before it; None: there were none.

    Returns:
        The last reply, whatever its status.

    Raises:
        Unreachable: No connection came about.
        ReplyLost: The request left, but no answer came back.
    """
    spent = {} if spent is None else spent
    troubles = Troubles() if troubles is None else troubles
    tries = 0
    while True:
        failure: AzureMLError | None = None
        reply: Reply | None = None
        sent = policy.now()
        try:
            reply = yield request
        except (Unreachable, ReplyLost) as error:
            failure = error
        if reply is not None and not _may_pass(reply.status):
            if not reply.is_success:
                # The outage is over, but the operation does not work.
                troubles.forget(request.operation)
            elif (text := troubles.over(request.operation, policy.now())) is not None:
                policy.tell(logging.INFO, f"{request.operation}: {text}")
            return reply
        pause = policy.pause(tries, reply)
        # A long time of being told to wait leaves the budget for failures as it was.
        patient = reply is not None and reply.status == 429 and policy.throttled_budget > policy.budget
        used = spent.get(patient, 0.0) + pause
        is_no_blip = policy.is_brief and policy.now() - sent > policy.budget
        if not request.repeatable or is_no_blip or used > (policy.throttled_budget if patient else policy.budget):
            if failure is not None:
                raise failure
            assert reply is not None
            return reply
        if not policy.is_brief:
            why = failure if reply is None else f"The service answered {reply.status}."
            if pause > EVERY:
                why = f"{why} It is asked again in {pause:.0f} s, as it wants."
            left = (policy.throttled_budget if patient else policy.budget) - spent.get(patient, 0.0)
            if (text := troubles.failed(request.operation, why, left, policy.now())) is not None:
                policy.tell(logging.WARNING, f"{request.operation}: {text}")
        yield Pause(pause)
        spent[patient] = used
        tries += 1
