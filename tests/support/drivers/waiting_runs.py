"""Many waiting runs, a service and a clock: what is asked of them, and what they are told."""

from __future__ import annotations

from collections import Counter

from support.models.service import a_run

from aml_provider.client.errors import (
    AuthenticationRefused,
    BadRequest,
    CredentialError,
    InvalidArgument,
    MalformedReply,
    NotFound,
    PermissionDenied,
    ReplyLost,
    ServerFault,
    Throttled,
    Unreachable,
)
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.polling.queries import Sighting
from aml_provider.client.polling.round import Look
from aml_provider.client.polling.waits import Watch, Watchlist

TRANSIENT = [
    Unreachable("away"),
    ReplyLost("lost"),
    ServerFault("x", status=500),
    MalformedReply("x", status=200),
    AuthenticationRefused("x", status=401),
    CredentialError("no token"),
]
FOR_GOOD = [NotFound("x", status=404), PermissionDenied("x", status=403), InvalidArgument("run_id", "bad")]
THROTTLING = [
    Throttled("x", status=429),
    Throttled("x", status=429, retry_after=500.0),
]


def name(number):
    return f"run-{number:05d}"


class Service:
    """A run history and a pipelines service."""

    def __init__(self):
        self.records = {}
        self.copies = {}
        self.steps = {}
        self.widest = 10**6
        self.query_error = self.record_error = self.steps_error = None
        self.unreadable = {}
        self.spell = str

    def submit(self, run_id, status="Running", steps=()):
        self.records[run_id] = self.copies[run_id] = status
        self.steps[run_id] = tuple(steps)

    def end(self, run_id, status="Finished"):
        self.records[run_id] = status
        self.copies[run_id] = {"Finished": "Completed"}.get(status, status)

    def query(self, run_ids):
        if self.query_error is not None:
            raise self.query_error
        if len(run_ids) > self.widest:
            raise BadRequest("query", status=400, message="The node count limit has been exceeded.")
        return [Sighting(run_id, self.copies[run_id]) for run_id in run_ids if run_id in self.copies]

    def get(self, run_id):
        error = self.unreadable.get(run_id, self.record_error)
        if error is not None:
            raise error
        if run_id not in self.records:
            raise NotFound("get", status=404)
        return a_run(self.records[run_id], Id=self.spell(run_id))


class World:
    """A list, a service, and a clock; carries looks out as the poller does."""

    def __init__(self, *, stagger=0.0, jitter=lambda: 1.0):
        self.list = Watchlist(RetryPolicy(budget=120.0, jitter=jitter), stagger=lambda: stagger)
        self.service = Service()
        self.now = 1000.0
        self.takes = 0.0
        self.asked = []
        self.looks = []
        self.looked = {}
        self.told = {}

    def watch(self, run_id=None, poll_interval=30.0, **how):
        run_id = run_id or name(len(self.service.records))
        if run_id not in self.service.records:
            self.service.submit(run_id, **how)
        watch = Watch(run_id, poll_interval)
        self.told[watch] = []
        self.list.join(watch, self.now)
        return watch

    def run(self, seconds):
        """Let time pass."""
        end = self.now + seconds
        while (wake := self.list.wake_at()) is not None and wake <= end:
            self.now = max(self.now, wake)
            self.look()
        self.now = end

    def look(self):
        due = self.list.due(self.now)
        assert due, "it woke up for nothing"
        assert len(self.looks) < 5000, "it does not end"
        self.looks.append(self.now)
        for watch in due:
            self.looked.setdefault(watch, []).append(self.now)
        look = Look(self.list, due, self.now)
        self.now += self.takes
        while look.batches:
            ids = look.batches.pop(0)
            self.asked.append(("query", ids))
            try:
                look.found(self.service.query(ids))
            except Exception as error:  # noqa: BLE001 - as AzureMLError
                look.lost(ids, error, self.now)
        for run_id in look.records():
            if look.is_down:
                break
            self.asked.append(("get", (run_id,)))
            try:
                look.read(run_id, self.service.get(run_id))
            except Exception as error:  # noqa: BLE001 - as AzureMLError
                look.missed(run_id, error, self.now)
        parents = look.parents()
        if parents:
            self.asked.append(("steps", tuple(parents)))
            if self.service.steps_error is not None:
                look.steps_refused(self.service.steps_error, self.now)
            else:
                look.stepped({run_id: self.service.steps.get(run_id, ()) for run_id in parents})
        for watch in look.close(self.now):
            self.told[watch].append(self.now)
        assert str(look)

    def counted(self):
        """How much was asked since the last time."""
        counted = Counter(kind for kind, _ in self.asked)
        self.asked.clear()
        return dict(counted)


def statuses(watch):
    return watch.progress and watch.progress.status
