"""The run history of a workspace in memory: a late copy, in pages between which it changes. Its clock is a number."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aml_provider.client.errors import (
    BadRequest,
    MalformedReply,
    NotFound,
    PermissionDenied,
    ServerFault,
    ServiceError,
    Throttled,
)
from aml_provider.client.http.messages import OwnSettings, Work
from aml_provider.client.settings import WorkspaceSettings
from aml_provider.emulator.wire.history import RUN_FIELDS
from aml_provider.emulator.wire.odata_filters import parse

if TYPE_CHECKING:
    from aml_provider.client.calls import Call

#: Seconds since the epoch; runs of a test begin then.
START = 1_780_000_000.0
SETTINGS = WorkspaceSettings(
    subscription_id="s", resource_group="g", workspace_name="W", region="westeurope", auth_method="default"
)

_ERRORS: dict[int, type[ServiceError]] = {
    200: MalformedReply,
    400: BadRequest,
    403: PermissionDenied,
    404: NotFound,
    429: Throttled,
    500: ServerFault,
}


@dataclass
class ModelRun:
    """A run, and when the history shows it.

    Attributes:
        shown: When the history begins to list it.
        ended: When it ends; None: not yet.
        end_shown: When the history writes that.
        is_listed: Whether the list of jobs has it.
    """

    id: str
    created: float
    shown: float
    ended: float | None = None
    end_shown: float = 0.0
    status: str = "Completed"
    pipeline: str = "p"
    parent: str | None = None
    type: str = "azureml.PipelineRun"
    tags: dict[str, str] = field(default_factory=dict)
    is_listed: bool = True


class RunHistory:
    """Answers the calls of a source of runs.

    Attributes:
        now: The time of the service, which the test moves.
        runs: All runs, by id.
        page_size: Of a page.
        between: Called before each page but the first; may change the history.
        failures: How many of the next requests fail.
        asked: The path and filter of each request.
        pipelines: The names of published pipelines, by id.
        refused: The status with which requests fail, by a pattern of their path.
    """

    def __init__(self) -> None:
        self.now = START
        self.runs: dict[str, ModelRun] = {}
        self.page_size = 500
        self.between: Any = lambda: None
        self.failures = 0
        self.asked: list[tuple[str, str]] = []
        self.pipelines = {"p": "score", "q": "train"}
        self.refused: dict[str, int] = {}
        self.exists = True

    def submit(self, lag: float = 0.0, run_id: str | None = None, **facts: Any) -> ModelRun:
        """Create a run, which the history lists after ``lag`` seconds."""
        run_id = run_id or f"run-{len(self.runs)}"
        facts = {"created": self.now, "shown": self.now + lag} | facts
        self.runs[run_id] = ModelRun(run_id, **facts)
        return self.runs[run_id]

    def end(self, run: ModelRun, status: str = "Completed", lag: float = 0.0) -> None:
        """End a run, which the history writes after ``lag`` seconds."""
        run.ended, run.end_shown, run.status = self.now, self.now + lag, status

    def shows_end(self, run: ModelRun) -> bool:
        """Whether the history shows the run, and that it has ended."""
        return run.shown <= self.now and run.ended is not None and run.end_shown <= self.now

    def drive(self, flow: Any, fuse: Any = None) -> Any:
        """Carry out a flow; the fuse burns before each request."""
        answer: Any = None
        error: Exception | None = None
        while True:
            try:
                step = flow.send(answer) if error is None else flow.throw(error)
            except StopIteration as stop:
                return stop.value
            answer, error = None, None
            if isinstance(step, OwnSettings):
                answer = SETTINGS
                continue
            if isinstance(step, Work):
                answer = step.function()
                continue
            if fuse is not None:
                fuse.burn()
            try:
                answer = self.answer(step)
            except ServiceError as failure:
                error = failure

    def answer(self, call: Call[Any]) -> Any:
        """Answer one call, all pages of it."""
        text = call.body.get("filter", "") if isinstance(call.body, dict) else ""
        self.asked.append((call.path, text))
        if self.failures:
            self.failures -= 1
            raise ServerFault(call.operation, status=503)
        for pattern, status in self.refused.items():
            if fnmatchcase(call.path, pattern):
                raise _ERRORS[status](call.operation, status=status)
        if call.path.endswith("/runs:query"):
            if not self.exists:
                raise NotFound(call.operation, status=404)
            return call.parse({"value": self._pages(text)})
        if call.path == "/experiments:query":
            return call.parse({"value": [{"experimentId": "1", "name": "expo"}]})
        kind, _, name = unquote(call.path).rpartition("/")
        if kind.endswith("/runs") and name in self.runs and self.runs[name].shown <= self.now:
            return call.parse(self._row(self.runs[name]))
        if kind == "/runs" and name in self.runs and self.runs[name].shown <= self.now:
            return call.parse(self._row(self.runs[name]))
        if kind == "/PipelineRuns/Pipeline":
            return call.parse([self._list_row(run) for run in self.runs.values() if run.pipeline == name])
        if kind == "/jobs" and name in self.runs:
            return call.parse(self._job(self.runs[name]))
        if call.path == "/jobs":
            return call.parse({"value": [self._job(run) for run in self.runs.values() if run.is_listed]})
        if call.path == "/Pipelines":
            return call.parse([{"Id": key, "Name": value} for key, value in self.pipelines.items()])
        if kind == "/Pipelines" and name in self.pipelines:
            return call.parse({"Id": name, "Name": self.pipelines[name]})
        raise NotFound(call.operation, status=404)

    def _pages(self, text: str) -> list[dict[str, Any]]:
        condition = parse(text, RUN_FIELDS)
        found: list[dict[str, Any]] = []
        offset = 0
        while True:
            rows = [self._row(run) for run in self.runs.values() if run.shown <= self.now]
            rows = sorted((row for row in rows if condition.matches(row)), key=itemgetter("createdUtc"), reverse=True)
            found += rows[offset : offset + self.page_size]
            offset += self.page_size
            if offset >= len(rows):
                return found
            self.between()

    def _row(self, run: ModelRun) -> dict[str, Any]:
        has_ended = self.shows_end(run)
        bag = {"azureml.runsource": run.type} | ({"azureml.pipelineid": run.pipeline} if run.pipeline else {})
        return {
            **dict.fromkeys(RUN_FIELDS),
            "runId": run.id,
            "parentRunId": run.parent,
            "status": run.status if has_ended else "Running",
            "createdUtc": _text(run.created),
            "endTimeUtc": _text(run.ended) if has_ended and run.ended is not None else None,
            "runType": run.type,
            "tags": run.tags,
            "properties": bag,
        }

    def _list_row(self, run: ModelRun) -> dict[str, Any]:
        """A row of the pipelines service, which is no copy and so never late."""
        times = {"CreationTime": _text(run.created), "EndTime": None if run.ended is None else _text(run.ended)}
        status = "Running" if run.ended is None else {"Completed": "Finished"}.get(run.status, run.status)
        return {"Id": run.id, "PipelineId": run.pipeline, "Status": {"StatusCode": status, **times}}

    def _job(self, run: ModelRun) -> dict[str, Any]:
        """The run as a job, which is no copy either."""
        facts = {"status": "Running" if run.ended is None else run.status, "componentId": "azureml:train:1"}
        return {"name": run.id, "properties": facts, "systemData": {"createdAt": _text(run.created)}}


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
