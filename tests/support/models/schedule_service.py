"""The common part of the services with schedules: it drives a flow, and lets requests fail or arrive late.

Time is a number here.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from support.models.crashes import Fuse

from aml_provider.client.calls import Call
from aml_provider.client.errors import AzureMLError, Conflict, ReplyLost, ServerFault, Throttled, Unreachable
from aml_provider.client.http.messages import Pause

EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC)
#: What can become of a write; "done": it was carried out anyway.
FAULTS = ["lost", "done lost", "500", "done 500", "409", "429", "away", "done late lost"]


class ScheduleService:
    """Answers the calls of a flow.

    Args:
        late: Seconds until a request is carried out that has the fault "done late".
    """

    def __init__(self, late=30.0):
        self.late = late
        self.time = EPOCH.timestamp()
        self.schedules = {}
        self.requests = []
        #: What becomes of the next writes; None: nothing.
        self.faults = []
        self._on_their_way = []

    def now(self):
        return self.time

    def moment(self):
        """The time in the form of the wire."""
        return datetime.fromtimestamp(self.time, UTC).isoformat()

    def wait(self, seconds):
        self.time += seconds
        arrived = [item for item in self._on_their_way if item[0] <= self.time]
        self._on_their_way = [item for item in self._on_their_way if item[0] > self.time]
        for _, call in arrived:
            with contextlib.suppress(AzureMLError):
                self._answer(call)

    def drive(self, flow, fuse=None):
        fuse = fuse or Fuse()
        try:
            step = next(flow)
            for _ in range(1000):
                if isinstance(step, Pause):
                    self.wait(step.seconds)
                    step = flow.send(None)
                    continue
                assert isinstance(step, Call)
                fuse.burn()
                try:
                    answer = self._receive(step)
                except AzureMLError as error:
                    fuse.burn()
                    step = flow.throw(error)
                    continue
                # The request was carried out, but the client crashes before it gets the reply.
                fuse.burn()
                step = flow.send(answer)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("it does not end")

    def writes(self):
        """The requests that change something."""
        return [call for call in self.requests if call.method != "GET"]

    def _receive(self, call):
        self.requests.append(call)
        fault = self.faults.pop(0) if call.method != "GET" and self.faults else None
        if fault is None:
            return self._answer(call)
        if fault.startswith("done"):
            if "late" in fault:
                self._on_their_way.append((self.time + self.late, call))
            else:
                self._answer(call)
        raise {
            "lost": ReplyLost("lost"),
            "500": ServerFault(call.operation, status=500),
            "409": Conflict(call.operation, status=409),
            "429": Throttled(call.operation, status=429),
            "away": Unreachable("away"),
        }[fault.split()[-1]]

    def _answer(self, call):
        """Carry out a request, and return what the client makes of the reply."""
        raise NotImplementedError
