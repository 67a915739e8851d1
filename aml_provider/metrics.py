"""The provider's metrics, which Airflow's own stats send to StatsD, Datadog or OpenTelemetry.

:data:`METRICS` is the one place that names them; ``docs/reference/metrics.md`` has the same table. Nothing here is
loaded with a DAG file.

The id of a DAG run, a task's try or a pipeline run is never a tag: each value of a tag is a time series of its own.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from aml_provider.blobs.page_parser import LIST_BLOBS
from aml_provider.blobs.wake_state import READ_QUEUE, TRIM_QUEUE
from aml_provider.client.errors import AzureMLError
from aml_provider.durable.observer import RunObserver
from aml_provider.metric_sender import send

if TYPE_CHECKING:
    from aml_provider.client.entities import RunState
    from aml_provider.client.flows.cancel_run import CancelReason
    from aml_provider.client.http.messages import Observe, Request

PREFIX = "azureml."

_TASK = ("conn_id", "dag_id", "task_id")
_TRIGGERER = ("hostname", "conn_id")


class Metric(NamedTuple):
    """One metric, or a group of metrics whose last part is a variable.

    Args:
        name: Its name after :data:`PREFIX`; a variable part is in angle brackets.
        kind: How it behaves.
        unit: What its values count.
        tags: The tags that it may have; one whose value is not known is left out.
        sent_by: The components of Airflow whose processes send it.
        meaning: The sentence of the documentation.
    """

    name: str
    kind: Literal["counter", "gauge", "timer"]
    unit: str
    tags: tuple[str, ...]
    sent_by: str
    meaning: str

    def full_name(self, part: str = "") -> str:
        """Its name for Airflow, with the variable part."""
        return PREFIX + re.sub("<.*>", part, self.name)


SUBMISSIONS = Metric("submissions", "counter", "runs", _TASK, "worker", "A task submitted a run")
TAKEN_OVER = Metric(
    "taken_over",
    "counter",
    "runs",
    _TASK,
    "worker",
    "A try continued with the run of an earlier try; nothing was submitted",
)
LOOKED_UP = Metric(
    "looked_up",
    "counter",
    "look-ups",
    _TASK,
    "worker",
    "It was in doubt whether a submission arrived, so its run was looked up",
)
RUN_ENDED = Metric(
    "run_ended.<state>",
    "counter",
    "runs",
    _TASK,
    "worker",
    "A try saw the end of the task's run, `finished`, `failed` or `canceled`, that no earlier try had seen",
)
CANCELLED = Metric(
    "cancelled.<why>",
    "counter",
    "runs",
    _TASK,
    "worker, triggerer, API server",
    "The workspace accepted to cancel a task's run: `killed`, `timed_out`, `cleared`, `replaced` or `state_changed`",
)
THROTTLED = Metric(
    "throttled",
    "counter",
    "replies",
    ("conn_id",),
    "all",
    "The workspace answered 429, or blob storage answered 503; also if the repeated request succeeded",
)
ERRORS = Metric(
    "errors.<class>",
    "counter",
    "failures",
    ("conn_id",),
    "all",
    "A task, a poll or a call of the hook failed with this class of error, after all repetitions",
)
WAITING = Metric(
    "waiting", "gauge", "runs", _TRIGGERER, "triggerer", "Runs for which deferred tasks wait in this triggerer"
)
POLL_AGE = Metric(
    "poll.age",
    "gauge",
    "seconds",
    _TRIGGERER,
    "triggerer",
    "The longest time since the status of one of these runs was read",
)
POLL_REQUESTS = Metric(
    "poll.requests",
    "counter",
    "requests",
    ("conn_id",),
    "worker, triggerer",
    "A request that polls runs that tasks wait for, or that watchers of runs search for",
)
LISTING_REQUESTS = Metric(
    "listing.requests", "counter", "requests", ("conn_id",), "worker, triggerer", "A request for one page of a folder"
)
LISTING_BLOBS = Metric(
    "listing.blobs",
    "counter",
    "blobs",
    ("conn_id",),
    "worker, triggerer",
    "Blobs in the listings that were read to the end",
)
LISTING_DURATION = Metric(
    "listing.duration",
    "timer",
    "milliseconds",
    ("conn_id",),
    "worker, triggerer",
    "The time for one listing of a folder, with repeated requests and the comparison",
)
LISTING_SAVED = Metric(
    "listing.saved",
    "counter",
    "listings",
    ("conn_id",),
    "worker, triggerer",
    "A poll did not list its folder, because the wake queue had no event for it",
)
WAKE_QUEUE_REQUESTS = Metric(
    "wake_queue.requests",
    "counter",
    "requests",
    ("conn_id",),
    "worker, triggerer",
    "A request to a wake queue: one for each poll, and those that delete old messages",
)
CHANGES = Metric(
    "changes",
    "counter",
    "blobs",
    (*_TASK, "asset"),
    "worker, triggerer",
    "Added or modified blobs that a sensor returned or a watcher put into an event",
)
DELIVERIES_REPEATED = Metric(
    "deliveries_repeated",
    "counter",
    "batches, events",
    (*_TASK, "asset"),
    "worker, triggerer",
    "A sensor returned a batch again, or took it over from a task that failed; or a watcher fired an event again",
)
WATCHER_EVENTS = Metric(
    "watcher.events",
    "counter",
    "events",
    ("conn_id", "asset"),
    "triggerer",
    "A watcher fired an event, also if it is repeated",
)

METRICS = (
    SUBMISSIONS,
    TAKEN_OVER,
    LOOKED_UP,
    RUN_ENDED,
    CANCELLED,
    THROTTLED,
    ERRORS,
    WAITING,
    POLL_AGE,
    POLL_REQUESTS,
    LISTING_REQUESTS,
    LISTING_BLOBS,
    LISTING_DURATION,
    LISTING_SAVED,
    WAKE_QUEUE_REQUESTS,
    CHANGES,
    DELIVERIES_REPEATED,
    WATCHER_EVENTS,
)


def count(metric: Metric, number: int = 1, part: str = "", /, **tags: str | None) -> None:
    """Add to a counter."""
    if number:
        send("incr", metric.full_name(part), number, tags)


def gauge(metric: Metric, value: float, /, **tags: str | None) -> None:
    """Set a gauge of this triggerer; the tag ``hostname`` is added."""
    send("gauge", metric.full_name(), value, tags, is_of_host=True)


def timing(metric: Metric, seconds: float, /, **tags: str | None) -> None:
    """Add a duration to a timer."""
    # As a timedelta: whether a number counts milliseconds depends on Airflow's version and configuration.
    send("timing", metric.full_name(), timedelta(seconds=seconds), tags)


def failed(error: BaseException, conn_id: str | None = None) -> None:
    """Count a failure by the class of our error: this one, or the one that caused it. Each error counts once."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, AzureMLError):
        found = found.__cause__
    if found is None or getattr(found, "is_counted", False):
        return
    found.is_counted = True
    count(ERRORS, 1, type(found).__name__, conn_id=conn_id)


def listed(blobs: int, seconds: float, conn_id: str) -> None:
    """Count one listing of a folder that was read to the end."""
    count(LISTING_BLOBS, blobs, conn_id=conn_id)
    timing(LISTING_DURATION, seconds, conn_id=conn_id)


def saved(conn_id: str) -> None:
    """Count a listing that a wake queue has saved."""
    count(LISTING_SAVED, conn_id=conn_id)


def exchanges(conn_id: str, *, polls: bool = False) -> Observe:
    """Make an observer that counts a client's requests and the replies that throttle it.

    Args:
        conn_id: The connection.
        polls: Whether the client polls runs that tasks wait for, or that watchers search for.
    """

    def observe(request: Request, status: int | None) -> None:
        is_listing = request.operation == LIST_BLOBS
        is_of_queue = request.operation in {READ_QUEUE, TRIM_QUEUE}
        if is_listing:
            count(LISTING_REQUESTS, conn_id=conn_id)
        elif is_of_queue:
            count(WAKE_QUEUE_REQUESTS, conn_id=conn_id)
        elif polls:
            count(POLL_REQUESTS, conn_id=conn_id)
        # Storage has no 429: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
        if status == 429 or ((is_listing or is_of_queue) and status == 503):
            count(THROTTLED, conn_id=conn_id)

    return observe


class TaskMetrics(RunObserver):
    """Counts what happens to the runs of one task."""

    def __init__(self, conn_id: str, dag_id: str, task_id: str) -> None:
        self._tags = {"conn_id": conn_id, "dag_id": dag_id, "task_id": task_id}

    def obtained(self, *, submitted: bool) -> None:
        """Count a run that a try has submitted or taken over."""
        count(SUBMISSIONS if submitted else TAKEN_OVER, **self._tags)

    def looked_up(self) -> None:
        """Count a look-up."""
        count(LOOKED_UP, **self._tags)

    def ended(self, state: RunState) -> None:
        """Count the end of a run."""
        count(RUN_ENDED, 1, state.value.lower(), **self._tags)

    def cancelled(self, reason: CancelReason) -> None:
        """Count a cancel."""
        count(CANCELLED, 1, reason.name.lower(), **self._tags)

    def delivered(self, changes: int) -> None:
        """Count the changes that a sensor returns."""
        count(CHANGES, changes, **self._tags)

    def delivered_again(self) -> None:
        """Count a batch that a sensor returns again, or takes over."""
        count(DELIVERIES_REPEATED, **self._tags)
