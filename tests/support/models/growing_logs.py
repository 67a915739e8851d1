"""A run with steps whose log files grow, are replaced and are renamed, served in parts as blob storage serves them."""

from __future__ import annotations

import re

from support.models.service import Service, a_run, a_step

from aml_provider.client.entities import Artifact, RunDetails
from aml_provider.client.flows.follow_logs import LogFollower
from aml_provider.client.http.messages import Pause
from aml_provider.client.http.reply import Reply
from aml_provider.client.http.retry import RetryPolicy

_STORE = "http://127.0.0.1/logs"


class GrowingLogs(Service):
    """The run ``r-1`` of the experiment ``x``.

    Args:
        steps: The names of its steps.
        has_ranges: Whether the storage answers a range with a part; otherwise with the whole file.

    Attributes:
        files: The content of the files, by step and file.
        status: The status of the run.
        statuses: The status of each step that is not running.
        changes: Functions that change all this; each pause calls the next one. After the last one, the run finishes.
        delivered: What the follower has delivered, in order: the name and the bytes.
        warnings: The follower's lines.
        failing: Files, ``children`` and ``artifacts``, whose reading fails with this error.
        is_listed: Whether the details of a step name its files; otherwise only the list of its artifacts does.
        stdout: The texts of steps without files.
    """

    def __init__(self, *steps, has_ranges=True):
        answers = {
            "GET /PipelineRuns/r-1": lambda _: a_run(self.status),
            "GET /experiments/x/runs/r-1/children": lambda _: self._children(),
        }
        for name in steps:
            answers |= {
                f"GET /experiments/x/runs/s-{name}/details": lambda _, name=name: self._details(name),
                f"GET /artifacts/prefix/contentinfo/ExperimentRun/dcid.{name}/user_logs": (
                    lambda _, name=name: self._artifacts(name)
                ),
                f"GET /artifacts/prefix/contentinfo/ExperimentRun/dcid.{name}/system_logs": (),
                "POST /PipelineRuns/r-1/Graph/Shareable/STDOUT": lambda call: self.stdout[call.body[0]],
            }
        super().__init__(answers)
        self.files = {name: {} for name in steps}
        self.status = "Running"
        self.statuses = {}
        self.changes = []
        self.delivered = []
        self.warnings = []
        self.failing = {}
        self.is_listed = True
        self.stdout = {}
        self._has_ranges = has_ranges

    def follow(self, step=None, **options):
        """Follow the logs until the run has ended."""
        follower = LogFollower(
            "r-1",
            "x",
            step,
            deliver=lambda name, data: self.delivered.append((name, data)),
            warn=self.warnings.append,
            now=lambda: 0.0,
        )
        return self.carry_out(
            follower.follow(**{"poll_interval": 5.0, "policy": RetryPolicy(budget=0.0), **options}), most=5000
        )

    def texts(self):
        """All that was delivered, by name."""
        found = {}
        for name, data in self.delivered:
            found[name] = found.get(name, b"") + data
        return found

    def _children(self):
        return self.failing.get("children") or tuple(
            a_step(
                name,
                self.statuses.get(name, "Completed" if self.status == "Finished" else "Running"),
                tags={"azureml.nodeid": name},
                **({} if self.is_listed else {"dataContainerId": f"dcid.{name}"}),
            )
            for name in self.files
        )

    def _details(self, step):
        return RunDetails("", {name: f"{_STORE}/{step}/{name}" for name in self.files[step]} if self.is_listed else {})

    def _artifacts(self, step):
        return self.failing.get("artifacts") or tuple(
            Artifact.from_wire(
                {
                    "origin": "ExperimentRun",
                    "container": f"dcid.{step}",
                    "path": name,
                    "contentUri": f"{_STORE}/{step}/{name}",
                }
            )
            for name in self.files[step]
        )

    def _answer(self, item):
        if not getattr(item, "url", "").startswith(_STORE):
            return super()._answer(item)
        step, _, name = item.url.removeprefix(f"{_STORE}/").partition("/")
        if (error := self.failing.get(f"{step}/{name}")) is not None:
            return error
        content = self.files[step].get(name)
        if content is None:
            return Reply(404, {}, b"", "our-id")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", dict(item.headers).get("Range", ""))
        if wanted is None or not self._has_ranges:
            return Reply(200, {}, content, "our-id")
        first = int(wanted[1])
        if first >= len(content):
            return Reply(416, {}, b"", "our-id")
        part = content[first : int(wanted[2]) + 1]
        place = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        return Reply(206, {"content-range": place}, part, "our-id")

    def on_pause(self):
        """Carry out the next change."""
        if self.changes:
            self.changes.pop(0)()
        else:
            self.status = "Finished"

    def carry_out(self, flow, *, most=200):
        return super().carry_out(_pausing(flow, self.on_pause), most=most)


def _pausing(flow, on_pause):
    """The same flow, with a call at each pause."""
    answer = None
    try:
        item = next(flow)
        while True:
            try:
                answer = yield item
            except Exception as error:  # noqa: BLE001 - passed on to the flow
                item = flow.throw(error)
            else:
                if isinstance(item, Pause):
                    on_pause()
                item = flow.send(answer)
    except StopIteration as stop:
        return stop.value
