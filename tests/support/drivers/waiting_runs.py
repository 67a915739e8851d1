"""Waits for many runs, with a service and a clock in memory: what is asked, and which waiters are notified when."""

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
from aml_provider.client.polling.queries import StatusRow
from aml_provider.client.polling.round import PollRound
from aml_provider.client.polling.waits import Wait, WaitQueue

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
        self.runs = {}
        self.history = {}
        self.steps = {}
        self.widest = 10**6
        self.query_error = self.read_error = self.steps_error = None
        self.unreadable = {}
        self.spell = str

    def submit(self, run_id, status="Running", steps=()):
        self.runs[run_id] = self.history[run_id] = status
        self.steps[run_id] = tuple(steps)

    def end(self, run_id, status="Finished"):
        self.runs[run_id] = status
        self.history[run_id] = {"Finished": "Completed"}.get(status, status)

    def query(self, run_ids):
        if self.query_error is not None:
            raise self.query_error
        if len(run_ids) > self.widest:
            raise BadRequest("query", status=400, message="The node count limit has been exceeded.")
        return [StatusRow(run_id, self.history[run_id]) for run_id in run_ids if run_id in self.history]

    def get(self, run_id):
        error = self.unreadable.get(run_id, self.read_error)
        if error is not None:
            raise error
        if run_id not in self.runs:
            raise NotFound("get", status=404)
        return a_run(self.runs[run_id], Id=self.spell(run_id))


class World:
    """A queue, a service, and a clock; carries rounds out as the poller does."""

    def __init__(self, *, stagger=0.0, jitter=lambda: 1.0):
        self.queue = WaitQueue(RetryPolicy(budget=120.0, jitter=jitter), stagger=lambda: stagger)
        self.service = Service()
        self.now = 1000.0
        self.takes = 0.0
        self.asked = []
        self.rounds = []
        self.polls = {}
        self.notified = {}

    def wait(self, run_id=None, poll_interval=30.0, **how):
        run_id = run_id or name(len(self.service.runs))
        if run_id not in self.service.runs:
            self.service.submit(run_id, **how)
        wait = Wait(run_id, poll_interval)
        self.notified[wait] = []
        self.queue.join(wait, self.now)
        return wait

    def run(self, seconds):
        """Let time pass."""
        end = self.now + seconds
        while (wake := self.queue.wake_at()) is not None and wake <= end:
            self.now = max(self.now, wake)
            self.poll()
        self.now = end

    def poll(self):
        due = self.queue.due(self.now)
        assert due, "it woke up for nothing"
        assert len(self.rounds) < 5000, "it does not end"
        self.rounds.append(self.now)
        for wait in due:
            self.polls.setdefault(wait, []).append(self.now)
        poll = PollRound(self.queue, due, self.now)
        self.now += self.takes
        while poll.batches:
            ids = poll.batches.pop(0)
            self.asked.append(("query", ids))
            try:
                poll.add_statuses(self.service.query(ids))
            except Exception as error:  # noqa: BLE001 - as AzureMLError
                poll.query_failed(ids, error, self.now)
        for run_id in poll.to_read():
            if poll.is_down:
                break
            self.asked.append(("get", (run_id,)))
            try:
                poll.add_run(run_id, self.service.get(run_id))
            except Exception as error:  # noqa: BLE001 - as AzureMLError
                poll.read_failed(run_id, error, self.now)
        parents = poll.to_list()
        if parents:
            self.asked.append(("steps", tuple(parents)))
            if self.service.steps_error is not None:
                poll.steps_failed(self.service.steps_error, self.now)
            else:
                poll.add_steps({run_id: self.service.steps.get(run_id, ()) for run_id in parents})
        for wait in poll.finish(self.now):
            self.notified[wait].append(self.now)
        assert str(poll)

    def counted(self):
        """How many requests of each kind there were since the last call."""
        counted = Counter(kind for kind, _ in self.asked)
        self.asked.clear()
        return dict(counted)


def status_of(wait):
    return wait.progress and wait.progress.status
