"""The smallest service that can run pipelines: it answers calls from memory, and notices broken promises.

Time is a number here; a run is submitted, listed after a lag, and ends when a test says so.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

from support.models.crashes import Fuse

from aml_provider.client.calls import Call
from aml_provider.client.errors import AzureMLError, BadRequest, NotFound, ReplyLost, ServerFault, Throttled
from aml_provider.client.http.messages import OwnSettings, Pause
from aml_provider.client.settings import WorkspaceSettings
from aml_provider.durable.evidence import Evidence
from aml_provider.state.task_records import TaskStateSubmissionStore

ACTIVE = frozenset({"NotStarted", "Running"})
SETTINGS = WorkspaceSettings(subscription_id="s", resource_group="g", workspace_name="model")


@dataclass
class Run:
    id: str
    generation: int
    wanted: str
    tags: dict
    properties: dict
    born: float
    status: str = "Running"
    history_tags: dict = field(default_factory=dict)
    marked_by_person: bool = False
    stops: float = 0.0
    #: Of a job: what a second request under its id must not change.
    body: dict | None = None

    @property
    def marked(self):
        return "airflow.cancel" in self.history_tags


class Service:
    """Answers the calls of a submission, of published pipelines and of jobs: both dialects on one state.

    Args:
        drop_tags: Tags of a submission are lost.
        drop_properties: Properties of a submission are lost.
        lag: Seconds until a run is found by anything but its id.
        put_again: The status of a second request for a job that is the same as the first one. One that differs is
            refused with 400; which status the real service uses is not established.
    """

    def __init__(self, *, drop_tags=False, drop_properties=False, lag=0.0, put_again=200):
        self.drop_tags = drop_tags
        self.drop_properties = drop_properties
        self.lag = lag
        self.put_again = put_again
        self.time = 1.8e9
        self.runs = []
        self.late = []
        #: What becomes of the next submissions: see ``_submit``.
        self.fates = []
        #: Seconds until a submission that is "done late" is done.
        self.late_by = 30.0
        self.refusals = {}
        self.cancel_takes = 0.0
        self.cancels_by_error = []
        self.log = []
        #: Of the task: which clear-generation it is in, and what it asks for.
        self.generation = 0
        self.wants = "a"
        self.fuse = Fuse()
        self.every_point = False
        #: Called whenever time passes.
        self.listener = lambda: None
        self._ids = itertools.count(1)

    def now(self):
        return self.time

    def wait(self, seconds):
        self.time += seconds
        self.listener()
        for run in [run for run in self.late if run.born <= self.time]:
            self.late.remove(run)
            # A job's id names one job for ever, also for a request that arrives late.
            if run.body is None or all(other.id != run.id for other in self.runs):
                self._begin(run)
        for run in self.runs:
            if run.status == "Stopping" and self.time >= run.stops:
                run.status = "Canceled"

    def drive(self, flow, fuse=None):
        """Run a flow to its end, or to a crash."""
        self.fuse = fuse or Fuse()
        try:
            step = next(flow)
            while True:
                try:
                    result = self._act(step)
                except AzureMLError as error:
                    step = flow.throw(error)
                else:
                    step = flow.send(result)
        except StopIteration as stop:
            return stop.value
        finally:
            flow.close()
            self.fuse = Fuse()

    def active(self, generation=None):
        return [
            run
            for run in self.runs
            if run.status in {*ACTIVE, "Stopping"} and (generation is None or run.generation == generation)
        ]

    def calls(self, pattern):
        return [entry for entry in self.log if re.search(pattern, entry)]

    def _act(self, step):
        if isinstance(step, Pause):
            self._point(changes=False)
            self.wait(step.seconds)
            return None
        if isinstance(step, OwnSettings):
            return SETTINGS
        assert isinstance(step, Call)
        entry = f"{step.method} {step.path}"
        self.log.append(entry)
        changes = "runs:query" not in entry and step.method != "GET"
        self._point(changes=changes)
        for pattern, error in self.refusals.items():
            if re.search(pattern, entry):
                raise error
        try:
            wire = self._answer(step)
        finally:
            self._point(changes=changes)
        return step.parse(wire)

    def _point(self, *, changes):
        # A crash around something that changes nothing is the crash after the last change.
        if changes or self.every_point:
            self.fuse.burn()

    def _answer(self, call):
        parts = call.path.strip("/").split("/")
        if parts[0] == "PipelineRuns":
            if parts[1] == "PipelineSubmit":
                return self._submit(call)
            if parts[1] == "Pipeline":
                return [self._pipeline_wire(run) for run in self._listed()]
            run = self._run(parts[1])
            if run.body is not None:
                raise NotFound("get pipeline run", status=404)
            if call.method == "DELETE":
                return self._cancel(run)
            return self._pipeline_wire(run)
        if parts[0] == "jobs":
            if call.method == "PUT":
                return self._submit_job(parts[1], call)
            run = self._run(parts[1])
            if run.body is None:
                raise NotFound("get job", status=404)
            if parts[2:] == ["cancel"]:
                return self._cancel(run)
            return self._job_wire(run)
        assert parts[0] == "experiments"
        if parts[-1] == "runs:query":
            bag, key = re.fullmatch(r'\((Tags|Properties)/airflow\.key eq "(\w+)"\)', call.body["filter"]).groups()
            found = [run for run in self._listed() if self._bag(run, bag).get("airflow.key") == key]
            return {"value": [self._history_wire(run) for run in found]}
        run = self._run(parts[3])
        if call.method == "PATCH":
            run.history_tags |= call.body["tags"]
        return self._history_wire(run)

    def _submit(self, call):
        return self._decide(
            Run(
                id="",
                generation=self.generation,
                wanted=self.wants,
                tags={} if self.drop_tags else dict(call.body["tags"]),
                properties={} if self.drop_properties else dict(call.body["Properties"]),
                born=self.time,
            ),
            self._pipeline_wire,
        )

    def _submit_job(self, job_id, call):
        body = dict(call.body["properties"])
        tags, properties = body.pop("tags"), body.pop("properties")
        if self.fates[:1] in ([], ["done"], ["done, reply lost"]):
            for run in self.runs:
                if run.id == job_id and (run.body, run.properties) == (body, properties) and self.put_again == 200:
                    run.tags = dict(tags)
                    return self._job_wire(run)
                if run.id == job_id:
                    raise BadRequest("submit job", status=400, code="UserError", message="JobPropertyImmutable")
        return self._decide(
            Run(
                id=job_id,
                generation=self.generation,
                wanted=self.wants,
                tags=dict(tags),
                properties=dict(properties),
                born=self.time,
                body=body,
            ),
            self._job_wire,
        )

    def _decide(self, run, wire):
        fate = self.fates.pop(0) if self.fates else "done"
        if fate == "refused":
            raise NotFound("submit", status=404)
        if fate == "throttled":
            raise Throttled("submit", status=429)
        if fate == "not done":
            raise ReplyLost("the reply was lost")
        run.id = run.id or f"run-{next(self._ids)}"
        run.history_tags = dict(run.tags)
        if fate == "done late":
            run.born += self.late_by
            self.late.append(run)
            raise ServerFault("submit", status=504)
        self._begin(run)
        if fate == "done, reply lost":
            raise ReplyLost("the reply was lost")
        return wire(run)

    def _begin(self, run):
        # After a clear too, an earlier job has ended before the next one begins, however late its request arrives.
        of_any_generation = run.body is not None
        others = [
            other.id
            for other in self.active()
            if other.generation == run.generation or (of_any_generation and isinstance(other.generation, int))
        ]
        assert not others, f"{run.id} began while {others} of its generation were active"
        self.runs.append(run)

    def _cancel(self, run):
        wanted = run.generation == self.generation and run.wanted == self.wants
        if wanted and not run.marked_by_person:
            self.cancels_by_error.append(run.id)
        assert run.marked, f"{run.id} was cancelled without a mark"
        run.status, run.stops = "Stopping", self.time + self.cancel_takes
        self.wait(0.0)

    def _listed(self):
        return [run for run in reversed(self.runs) if run.born + self.lag <= self.time]

    def _run(self, run_id):
        for run in self.runs:
            if run.id == run_id:
                return run
        raise NotFound("get run", status=404)

    def _bag(self, run, bag):
        return run.history_tags if bag == "Tags" else run.properties

    def _pipeline_wire(self, run):
        status = "Running" if run.status == "Stopping" else run.status
        return {
            "Id": run.id,
            "Status": {"StatusCode": status},
            "RunHistoryExperimentName": "exp",
            "PipelineId": "pipe",
            "tags": run.tags,
            "Properties": run.properties,
        }

    def _job_wire(self, run):
        status = {"Stopping": "CancelRequested", "Finished": "Completed"}.get(run.status, run.status)
        return {
            "name": run.id,
            "properties": {
                **run.body,
                "status": status,
                "tags": {} if self.drop_tags else run.tags,
                "properties": {} if self.drop_properties else run.properties,
            },
        }

    def _history_wire(self, run):
        return {"runId": run.id, "status": run.status, "tags": run.history_tags, "properties": run.properties}


class Store(dict):
    """A task state store whose writes are points for a crash too.

    Writes that only count how long a look-up has lasted are points only where every point counts: they are so many.
    """

    def __init__(self, service):
        super().__init__()
        self.service = service

    def set(self, key, value):
        changes = _without_progress(self.get(key)) != _without_progress(value)
        self.service._point(changes=changes)
        self[key] = value
        self.service._point(changes=changes)


def _without_progress(value):
    return (value or {}) | {"looked_up": None}


def submission_store(store):
    return TaskStateSubmissionStore(store)


class KnownEvidence(Evidence):
    """Evidence that is kept in a list; ``reads`` counts how often it was read."""

    reads = 0

    def __init__(self, settings, service, shelf):
        def load(name):
            self.reads += 1
            return shelf[-1] if shelf else None

        def save(name, text, about):
            shelf.append(text)

        super().__init__(settings, load, save, now=service.now, monotonic=service.now)
