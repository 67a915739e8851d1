"""A task instance, its store and a service, all in memory; tries can be stopped anywhere."""

from __future__ import annotations

import logging

from support.models.crashes import Crash
from support.models.service_model import KnownEvidence, Service, Store, submission_store

from aml_provider.client import calls
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.settings import CLOUDS, WorkspaceSettings
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import PipelineReference, Target
from aml_provider.durable.identity import TaskIdentity
from aml_provider.durable.lookup import KEY
from aml_provider.durable.order import RunOrder
from aml_provider.durable.submission import Submission

SETTINGS = WorkspaceSettings(
    subscription_id="s",
    resource_group="g",
    workspace_name="w",
    region="eastus",
    endpoint=None,
    cloud=CLOUDS["public"],
    auth_method="static_token",
    secret="token",
)
LOG = logging.getLogger("test")
#: For thousands of tries, whose every line would be kept by pytest.
QUIET = logging.getLogger("test.quiet")
QUIET.disabled = True
GRACE = 60.0
POLICY = RetryPolicy(budget=120.0, throttled_budget=3600.0, jitter=lambda: 1.0)
DOUBT = ("done, reply lost", "not done", "done late")
#: What happens to a run between two tries, and what the second try is.
MEANWHILE = {
    "nothing": lambda world: None,
    "finished": lambda world: world.end("Finished"),
    "failed": lambda world: world.end("Failed"),
    "cancelled in the workspace": lambda world: world.end("Canceled"),
    "killed in Airflow": lambda world: world.kill(),
}
NEXT = {
    "retry": lambda world: None,
    "retry for something else": lambda world: setattr(world.service, "wants", "b"),
    "clear": lambda world: world.clear(),
}


def submit(service, key="k1"):
    """Submit a run of this key, past all that a try does."""
    body = RunRequest.of(experiment_name="exp").to_wire(own_tags={KEY: key}, notification=True)

    def flow():
        run = yield calls.submit_pipeline("pipe", body)
        return run.id

    run_id = service.drive(flow())
    service.runs[-1].generation = run_id  # another task's, as far as the model cares
    return run_id


class World:
    """One task instance, its store, and the service.

    Args:
        learnt: Whether the ways to look up a key have been learnt.
        jobs: Whether the task asks for jobs, not for runs of a published pipeline.
        quirks: Those of the service.
    """

    def __init__(self, *, learnt=True, jobs=False, **quirks):
        self.service = Service(**quirks)
        self.store = Store(self.service)
        self.shelf = []
        self.identity = TaskIdentity("here", "dag", "run", "task", -1, max_tries=2, retries=2)
        self.submission = self.known = None
        self.log = LOG
        self.jobs = jobs
        if learnt:
            self._learn(quirks)

    def _learn(self, quirks):
        other = World(learnt=False, **quirks)
        run_id = other.obtain()
        record = other.record
        assert record.run_id == run_id
        other.service.drive(other.evidence().gather(record.key, "exp", "pipe", timeout=GRACE))
        self.shelf = other.shelf

    def evidence(self):
        self.known = KnownEvidence(SETTINGS, self.service, self.shelf)
        return self.known

    def find_target(self):
        if self.jobs:
            return Target("component", "comp/versions/1", "1", "comp/versions/1", name="comp")
        return Target("pipeline", "pipe", pipeline_id="pipe")
        yield

    @property
    def record(self):
        """The submission record as it is stored."""
        return submission_store(self.store).load()

    def order(self, find_target=None):
        request = RunRequest.of(experiment_name="exp", parameters={"p": self.service.wants})
        reference = PipelineReference(component_name="comp") if self.jobs else PipelineReference(pipeline_id="pipe")
        return RunOrder(reference, request, find_target or self.find_target)

    def new_try(self, **changes):
        arguments = {
            "identity": self.identity,
            "store": submission_store(self.store),
            "evidence": self.evidence(),
            "settings": SETTINGS,
            "conn_id": "azureml_default",
            "cancel_older": True,
            "lookup_timeout": GRACE,
            "policy": POLICY,
            "log": self.log,
            "now": self.service.now,
            "monotonic": self.service.now,
        }
        self.submission = Submission(**arguments | changes)
        return self.submission

    def obtain(self, fuse=None, find_target=None, **changes):
        return self.service.drive(self.new_try(**changes).obtain(self.order(find_target)), fuse)

    def move(self):
        """The DAG names the other kind of pipeline from now on, so that it asks for something else."""
        self.jobs = not self.jobs
        self.service.wants = f"{self.service.wants} moved"

    def clear(self):
        self.identity = self.identity._replace(max_tries=self.identity.max_tries + 1)
        self.service.generation += 1

    def close(self):
        store = submission_store(self.store)
        store.close(store.load())

    def only_run(self):
        (run,) = self.service.runs
        return run

    def end(self, status):
        for run in self.service.active():
            run.status = status

    def kill(self):
        """A person ends the task: its run gets the cancel tag, then is cancelled."""
        for run in self.service.active():
            run.history_tags["airflow.cancel"] = "the task was killed in Airflow"
            run.marked_by_person = True
            run.status, run.stops = "Stopping", self.service.time + self.service.cancel_takes

    def check(self):
        """What has to be true after every history."""
        assert self.service.cancels_by_error == []
        self.service.wait(100.0)
        self.end("Finished")
        for generation in range(self.service.generation + 1):
            finished = [
                run.id for run in self.service.runs if run.generation == generation and run.status == "Finished"
            ]
            assert len(finished) <= 1, f"generation {generation} has {finished}"


def end_tries_after(seconds, world):
    """From now on, each try of this world ends when it has lasted so long, as at an ``execution_timeout``."""
    began = world.service.time

    def end():
        if world.service.time >= began + seconds:
            world.service.listener = lambda: None
            raise Crash

    world.service.listener = end
