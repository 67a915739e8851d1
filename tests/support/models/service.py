"""A service that answers the steps of a flow directly, without a protocol in between."""

from __future__ import annotations

import itertools
from copy import copy
from typing import Any

from aml_provider.client.calls import Call
from aml_provider.client.entities import HistoryRun, PipelineRun
from aml_provider.client.errors import (
    InvalidArgument,
    MalformedReply,
    NotFound,
    PermissionDenied,
    ReplyLost,
    ServerFault,
    Throttled,
    Unreachable,
)
from aml_provider.client.http.messages import OwnSettings, Pause
from aml_provider.client.settings import WorkspaceSettings

#: One of each way in which a request fails.
FAILURES = [
    Unreachable("away"),
    ReplyLost("lost"),
    InvalidArgument("address", "bad"),
    ServerFault("x", status=500),
    Throttled("x", status=429),
    PermissionDenied("x", status=403),
    NotFound("x", status=404),
    MalformedReply("x", status=200),
]

_NUMBERS = itertools.count()


def a_run(status: Any = "Running", detail="", **wire):
    return PipelineRun.from_wire(
        {
            "Id": "r-1",
            "RunHistoryExperimentName": "x",
            "Status": {"StatusCode": status, "StatusDetail": detail},
            **wire,
        }
    )


def a_step(name="one", status="Completed", **wire):
    return HistoryRun.from_wire({"runId": f"s-{name}", "name": name, "status": status, **wire})


class Service:
    """Answers the steps of a flow.

    Args:
        answers: By the path of a call or the URL of a request: an answer, a list of them with the last repeating, or a
            function of the step. An exception is thrown.
        settings: More of the workspace's settings.
    """

    def __init__(self, answers, **settings):
        self._answers = answers
        # Of its own, as the process remembers what it has found in a workspace.
        given = {"subscription_id": "s", "resource_group": "g", "workspace_name": f"w{next(_NUMBERS)}", **settings}
        self._settings = WorkspaceSettings(**given)
        self.steps = []

    def carry_out(self, flow, *, most=200):
        try:
            item = next(flow)
            while True:
                if isinstance(item, OwnSettings):
                    item = flow.send(self._settings)
                    continue
                self.steps.append(item)
                assert len(self.steps) <= most, "it does not end"
                answer = None if isinstance(item, Pause) else self._answer(item)
                # A copy, as tests share errors, and raising one sets its cause.
                item = flow.throw(copy(answer)) if isinstance(answer, BaseException) else flow.send(answer)
        except StopIteration as stop:
            return stop.value

    def _answer(self, item):
        asked = f"{item.method} {item.path if isinstance(item, Call) else item.url}"
        if asked not in self._answers and "/jobs/" in asked:
            # Any run may be a job, unless the test says more.
            return NotFound("x", status=404)
        answer = self._answers[asked]
        if callable(answer):
            return answer(item)
        if isinstance(answer, list):
            return answer.pop(0) if len(answer) > 1 else answer[0]
        return answer

    @property
    def asked(self):
        return [
            f"{item.method} {item.path if isinstance(item, Call) else item.url}"
            for item in self.steps
            if not isinstance(item, Pause)
        ]

    @property
    def pauses(self):
        return [item.seconds for item in self.steps if isinstance(item, Pause)]


def carry_out(flow, answers, **settings):
    return Service(answers, **settings).carry_out(flow)
