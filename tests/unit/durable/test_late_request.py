"""A process that stands still between a record and its request sends nothing that another process has sent."""

from __future__ import annotations

import pytest
from support.models.service_model import submission_store
from support.models.submissions import World

from aml_provider.client.errors import AzureMLError, SubmissionUnsettled


class Frozen(dict):
    """The store of a process that stands still after a write, while other things happen; later writes are quick.

    Args:
        world: Its ordinary store has the same contents.
        meanwhile: What happens.
        seconds: How long it stands still.
        times: How often.
    """

    def __init__(self, world, meanwhile, seconds, *, times=1):
        self.world = world
        self.meanwhile = meanwhile
        self.seconds = seconds
        self.times = times
        self.submitted_at = []

    def get(self, key, default=None):
        return self.world.store.get(key, default)

    def set(self, key, value):
        self.world.store[key] = value
        self.submitted_at.append(submission_store(self.world.store).load().submitted_at)
        if self.times:
            self.times -= 1
            self.world.service.wait(self.seconds)
            self.meanwhile()


@pytest.mark.parametrize("jobs", [False, True], ids=["pipelines", "jobs"])
def test_a_process_that_stood_still_before_its_submission_sends_nothing_after_another_try(jobs):
    world = World(jobs=jobs)
    frozen = Frozen(world, meanwhile=lambda: World.obtain(world), seconds=600)
    stored = submission_store(frozen)
    with pytest.raises(SubmissionUnsettled, match="another process of this task has continued"):
        world.obtain(store=stored)
    (run,) = world.service.runs
    assert world.record.run_id == run.id
    assert world.obtain() == run.id
    world.check()


def test_a_process_that_stood_still_alone_stores_its_record_again_and_submits():
    world = World()
    began = world.service.time
    frozen = Frozen(world, meanwhile=lambda: None, seconds=600)
    assert world.obtain(store=submission_store(frozen)) == "run-1"
    # The look-up of another try would count from the second one.
    assert frozen.submitted_at[:2] == [began, began + 600]
    world.check()


def test_an_airflow_that_is_always_slow_leaves_no_doubt():
    world = World()
    slow = Frozen(world, meanwhile=lambda: None, seconds=6, times=100)
    with pytest.raises(AzureMLError, match="Nothing was sent"):
        world.obtain(store=submission_store(slow))
    assert world.service.runs == []
    assert not world.record.sent
    assert world.obtain() == "run-1"
    assert len(world.service.log) == 1
