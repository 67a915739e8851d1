"""Exactly one run, whatever crashes, whichever reply is lost, and whatever happens to a run between two tries."""

from __future__ import annotations

import itertools

import pytest
from support.models.crashes import Crash, Fuse, crashes, outcome
from support.models.service_model import ACTIVE, submission_store
from support.models.submissions import DOUBT, GRACE, MEANWHILE, NEXT, QUIET, World, end_tries_after

from aml_provider.client.errors import AzureMLError, RunCanceled, SubmissionUnknown
from aml_provider.client.http.messages import ON_ITS_WAY

WORLDS = {
    "all is found at once": {},
    "found after a while": {"lag": 20.0},
    "found too late": {"lag": 300.0},
    "tags are dropped": {"drop_tags": True, "lag": 20.0},
    "properties are dropped": {"drop_properties": True},
    "nothing is ever found": {"drop_tags": True, "drop_properties": True},
}


@pytest.mark.parametrize("learnt", [True, False], ids=["evidence", "no evidence"])
@pytest.mark.parametrize("quirks", WORLDS.values(), ids=WORLDS)
def test_whatever_crashes_and_happens_there_is_at_most_one_run(quirks, learnt):
    base = World(learnt=learnt, **quirks)
    findable = learnt and quirks.get("lag", 0.0) < GRACE and len(quirks.keys() - {"lag"}) < 2
    delays = (0.0, 400.0) if "lag" in quirks else (0.0,)
    histories = 0
    for fate, meanwhile, then, delay in itertools.product(("done", *DOUBT), MEANWHILE, NEXT, delays):

        def first_try(fuse, fate=fate, delay=delay):
            world = World(learnt=False, **quirks)
            world.shelf = list(base.shelf)
            world.log = QUIET
            world.service.fates = [fate]
            outcome(lambda: world.obtain(fuse))
            world.service.wait(delay)
            return world

        for first, _, probe in crashes(first_try):
            if meanwhile != "nothing" and not probe.service.active():
                continue

            def two_tries(fuse, first=first, meanwhile=meanwhile, then=then):
                world = first_try(Fuse(first))
                MEANWHILE[meanwhile](world)
                NEXT[then](world)
                outcome(lambda: world.obtain(fuse))
                return world

            for second, _, world in crashes(two_tries):
                ends = [outcome(world.obtain) for _ in range(2)]
                histories += 1
                history = (fate, first, meanwhile, then, delay, second, ends)
                self_consistent(world, ends, findable=findable, history=history)
    assert histories > 100


def self_consistent(world, ends, *, findable, history):
    last = ends[-1]
    if isinstance(last, str):
        run = next(run for run in world.service.runs if run.id == last)
        assert run.generation == world.service.generation, history
        assert run.status in {*ACTIVE, "Finished"}, history
        assert ends[0] == last or not isinstance(ends[0], str), history
    else:
        assert isinstance(last, SubmissionUnknown | RunCanceled), history
        if isinstance(last, RunCanceled):
            assert "cancelled in the workspace" in history, history
        assert not (findable and isinstance(last, SubmissionUnknown)), history
    try:
        world.check()
    except AssertionError as error:
        raise AssertionError(f"{error} in {history}") from error


@pytest.mark.parametrize("fate", ["done", *DOUBT])
def test_a_crash_around_a_look_up_or_a_pause_is_like_one_after_the_last_write(fate):
    def history(fuse):
        world = World(lag=20.0)
        world.service.every_point = True
        world.service.fates = [fate]
        outcome(lambda: world.obtain(fuse))
        return world

    for at, _, world in crashes(history):
        for again, _, ends in crashes(lambda fuse, world=world: outcome(lambda: world.obtain(fuse))):
            assert not isinstance(ends, AzureMLError), (at, again, ends)
        assert world.obtain() == world.only_run().id
        world.check()


@pytest.mark.parametrize("lasts", [4.0, 15.0, 50.0, 100.0])
@pytest.mark.parametrize("then", ["retry", "clear"])
@pytest.mark.parametrize("fate", DOUBT)
@pytest.mark.parametrize("late_by", [30.0, 40.0])
def test_tries_that_are_shorter_than_a_look_up_complete_it_together(lasts, then, fate, late_by):
    world = World(lag=20.0)
    world.service.fates, world.service.late_by = [fate], late_by
    end_tries_after(lasts, world)
    ends = [outcome(world.obtain)]
    NEXT[then](world)
    while len(ends) < 2 or not isinstance(ends[-1], str):
        assert len(ends) < 2 + 2 * (GRACE + ON_ITS_WAY) / lasts, ends
        end_tries_after(lasts, world)
        ends.append(outcome(world.obtain))
    world.service.listener = lambda: None
    world.check()
    assert len(world.service.runs) == (2 if then == "clear" and fate != "not done" else 1)


def test_a_look_up_starts_anew_for_each_submission():
    world = World()
    world.service.fates = ["not done", "not done"]
    end_tries_after(15.0, world)
    first = outcome(world.obtain)
    assert isinstance(first, Crash)
    assert 0.0 < world.record.looked_up < 15.0
    end_tries_after(125.0, world)
    outcome(world.obtain)
    assert world.record.looked_up < 30.0
    assert len(world.service.calls("PipelineSubmit")) == 2


def test_a_look_up_does_not_overwrite_what_a_try_that_was_believed_dead_has_stored():
    world = World(learnt=False, lag=300.0)
    world.service.fates = ["not done"]
    end_tries_after(5.0, world)
    outcome(world.obtain)
    world.service.listener = lambda: [value.update(run_id="run-9") for value in world.store.values()]
    assert isinstance(outcome(world.obtain), SubmissionUnknown)
    assert world.record.run_id == "run-9"


class BrokenStore(dict):
    """A task state store that takes no writes any more."""

    def set(self, key, value):
        raise RuntimeError("the API server is away")


def test_a_look_up_goes_on_where_its_duration_cannot_be_stored(caplog):
    caplog.set_level("INFO")
    world = World(lag=30.0)
    world.service.fates = ["done, reply lost"]
    end_tries_after(5.0, world)
    outcome(world.obtain)
    world.service.listener = lambda: None
    with pytest.raises(RuntimeError, match="the API server is away"):
        world.obtain(store=submission_store(BrokenStore(world.store)))
    assert "Found run run-1 by its key" in caplog.text
    assert caplog.text.count("How long the look-up has lasted could not be stored") == 1
