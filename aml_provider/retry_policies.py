"""A ready-made retry policy for tasks of this provider (Airflow 3.3 and later).

It goes into the argument ``retry_policy`` of any operator or sensor, or of a ``@task`` that uses the hook.

Raises:
    ImportError: This Airflow has no retry policies.
"""

from __future__ import annotations

import math
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from aml_provider.client.errors import AzureMLError, Throttled
from aml_provider.compat import AIRFLOW_V_3_3_PLUS

if not AIRFLOW_V_3_3_PLUS:
    from airflow import __version__

    raise ImportError(
        "aml_provider.retry_policies needs Airflow 3.3 or later, which has retry policies; this is Airflow "
        f"{__version__}. Leave retry_policy out: permanent errors fail a task without retries on every version."
    )

from airflow.sdk import RetryDecision, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aml_provider.compat import Context

__all__ = ["AzureMLRetryPolicy"]

# Airflow stores as much of a reason.
_LONGEST_REASON = 500
# Seconds, where the service asks for less.
_SHORTEST_DELAY = 1.0


class AzureMLRetryPolicy(RetryPolicy):
    """Retry a failed task when the workspace accepts requests again, and not at all if a retry would fail the same way.

    It decides by the :class:`~aml_provider.client.errors.AzureMLError` that failed the task, or that is the cause
    (``raise … from``) of the exception that did:

    - A permanent error fails the task; the remaining retries are not used.
    - If the service was too busy and said when it accepts the next request (``Retry-After``, at most an hour), the next
      try begins then, or up to a fifth later, so that many tasks do not return at the same time.
    - If the service failed and named such a time, the next try begins after that time, but not before ``retry_delay``:
      the time is often a guess of a second, and the retries have to outlast the outage. With
      ``retry_exponential_backoff``, the time is ignored.
    - In all other cases, and for all other exceptions, the task's own ``retries``, ``retry_delay`` and
      ``retry_exponential_backoff`` apply.

    A policy never adds retries: Airflow counts them as without it.
    """

    def __init__(self) -> None:
        # Not an argument: Airflow may copy a policy, and store it with the DAG.
        self._jitter: Callable[[], float] = random.random

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's signature
        max_tries: int,  # noqa: ARG002
        context: Context | None = None,
    ) -> RetryDecision:
        """Decide what follows a failure; Airflow calls this in the task's process."""
        errors = list(_errors(exception))
        if not errors:
            return RetryDecision.default()
        name, text = type(errors[0]).__name__, errors[0].text
        if errors[0].permanent:
            return RetryDecision.fail(f"{name} is permanent: {text}"[:_LONGEST_REASON])
        # An error that says "not known" or "not read" is caused by the one that has the reply.
        asked = next((error.retry_after for error in errors if error.retry_after is not None), None)
        is_busy = any(isinstance(error, Throttled) for error in errors)
        if asked is None or not (is_busy or asked > _longest_delay(context)):
            return RetryDecision.default()
        delay = max(_SHORTEST_DELAY, asked) * (1.0 + self._jitter() / 5.0)
        return RetryDecision.retry(
            timedelta(seconds=delay), f"{name}: the service asked to wait for {asked:.0f} s"[:_LONGEST_REASON]
        )

    def serialize(self) -> dict[str, Any]:
        """The policy as JSON data; it has no settings."""
        return {"__type": f"{type(self).__module__}.{type(self).__qualname__}"}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Self:  # noqa: ARG003 - Airflow's signature
        """Make the policy from the result of :meth:`serialize`."""
        return cls()


def _longest_delay(context: Context | None) -> float:
    """The most seconds that Airflow itself would wait before the next try."""
    task: Any = context["ti"].task if context else None
    if task is None or task.retry_exponential_backoff:
        return math.inf
    seconds: float = task.retry_delay.total_seconds()
    return seconds


def _errors(exception: BaseException) -> Iterator[AzureMLError]:
    """The provider's errors among an exception and its causes, outermost first.

    Causes are explicit, or what an error of this package was made from (``raise … from None``, for a short log).
    """
    found: BaseException | None = exception
    while found is not None:
        cause = found.__cause__
        if isinstance(found, AzureMLError):
            yield found
            if cause is None and found.__suppress_context__:
                cause = found.__context__
        found = cause
