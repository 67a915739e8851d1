"""Retries: how often a request is sent again, and after which pause."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client.errors import AzureMLError, ReplyLost, ServiceError, Unreachable
from aml_provider.client.help import sentence, text_of
from aml_provider.client.http.messages import Machine, Pause, Request
from aml_provider.client.trouble import EVERY

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.http.reply import Reply
    from aml_provider.client.trouble import Troubles

logger = logging.getLogger(__name__)

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class RetryPolicy(NamedTuple):
    """For how long a repeatable request is repeated: until the sum of its pauses would exceed a budget.

    Args:
        budget: Seconds for failures of all kinds.
        throttled_budget: Seconds for replies of 429, if that is more than ``budget``: a busy service has not failed.
        jitter: A random number from 0 to 1.
        is_brief: Whether a request is repeated only after short failures, and without a log line, because the caller
            repeats it later and logs that. A failure that took longer than the budget is not short.
        now: A monotonic clock.
        log: Called with a level and a line, about repetitions and about their end.
    """

    budget: float = 120.0
    throttled_budget: float = 0.0
    jitter: Callable[[], float] = random.random
    is_brief: bool = False
    now: Callable[[], float] = time.monotonic
    log: Callable[[int, str], None] = logger.log

    def pause(self, attempt: int, reply: Reply | None) -> float:
        """Seconds before the next attempt: exponential with jitter, and at least as long as the service requests."""
        own = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempt, 10)) * (0.5 + self.jitter() / 2)
        asked = reply.retry_after() if reply is not None else None
        # With "0", or a date that has passed, requests would repeat endlessly and without a pause.
        return own if asked is None else max(asked, own)


def _may_pass(status: int) -> bool:
    """Whether the same request may succeed later; 501 means never."""
    return status in {408, 429} or (status >= 500 and status != 501)


def may_pass(error: AzureMLError) -> bool:
    """Whether a repeatable request is repeated after this error."""
    return isinstance(error, (Unreachable, ReplyLost)) or (isinstance(error, ServiceError) and _may_pass(error.status))


def attempt(
    request: Request, policy: RetryPolicy, troubles: Troubles, spent: dict[bool, float] | None = None
) -> Machine[Reply]:
    """Send a request; repeat it after 429, 5xx and connection errors if that is safe and the budget allows.

    Repetitions are logged as a warning: with the first failure, then once a minute.

    Args:
        request: The request.
        policy: The budget.
        troubles: The troubles of earlier requests.
        spent: The seconds of the budgets that earlier requests have used: under False for failures, under True for
            throttling.

    Returns:
        The last reply, whatever its status.

    Raises:
        Unreachable: No connection was established.
        ReplyLost: The request was sent, but no complete reply was received.
    """
    spent = {} if spent is None else spent
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
                policy.log(logging.INFO, f"{request.operation}: {text}")
            return reply
        pause = policy.pause(tries, reply)
        # Long throttling does not use up the budget for failures.
        throttled = reply is not None and reply.status == 429 and policy.throttled_budget > policy.budget
        used = spent.get(throttled, 0.0) + pause
        is_long = policy.is_brief and policy.now() - sent > policy.budget
        if not request.repeatable or is_long or used > (policy.throttled_budget if throttled else policy.budget):
            if failure is not None:
                raise failure
            assert reply is not None
            return reply
        if not policy.is_brief:
            why = failure if reply is None else f"The service answered {reply.status}."
            if pause > EVERY:
                why = f"{sentence(text_of(why))} The next request is in {pause:.0f} s, as the service wants."
            left = (policy.throttled_budget if throttled else policy.budget) - spent.get(throttled, 0.0)
            if (text := troubles.failed(request.operation, why, left, policy.now())) is not None:
                policy.log(logging.WARNING, f"{request.operation}: {text}")
        yield Pause(pause)
        spent[throttled] = used
        tries += 1
