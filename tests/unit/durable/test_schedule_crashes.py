"""One schedule as wanted, after a crash at each point and after each failure of a write."""

from __future__ import annotations

import pytest
from support.models.crashes import Crash, crash_everywhere, outcome
from support.models.schedule_service import FAULTS
from support.models.schedule_world import (
    ENDPOINT,
    EVERY_HOUR,
    OTHER_PIPELINE,
    OWNER,
    World,
    every_kind,
    everywhere,
    is_as_wanted,
    prepared,
    state,
    survived,
    wanted,
)

from aml_provider.client.errors import AzureMLError


@everywhere
@every_kind
def test_a_schedule_is_made_as_wanted_and_then_left_alone(quirks, request_):
    world = World(**quirks)
    made = world.reconcile(request_)
    is_as_wanted(world.one(), request_)
    assert made.id == world.one()["Id"]
    assert not world.store
    for _ in range(2):
        owner = world.later()
        assert world.reconcile(request_, owner=owner).id == made.id
        assert [call.operation for call in world.service.requests] == ["list schedules"]
    if request_.status == "Disabled":
        assert world.service.runs == []
    elif request_.recurrence and "StartTime" not in request_.recurrence:
        assert len(world.service.runs) == 1


# Each point at which a try can die

BEFORE = {
    "nothing": None,
    "another recurrence, active": wanted(recurrence=EVERY_HOUR),
    "another recurrence, disabled": wanted(recurrence=EVERY_HOUR, status="Disabled"),
    "other parameters": wanted(parameters={"q": "x"}),
    "other status": wanted(status="Disabled"),
    "a datastore": wanted(datastore="other"),
}


@everywhere
@every_kind
@pytest.mark.parametrize("before", BEFORE, ids=str)
def test_after_a_crash_anywhere_a_retry_ends_in_one_schedule_as_wanted(quirks, request_, before):
    owner = OWNER._replace(run_id="run-2")
    first = BEFORE[before]
    replaced = first is not None and first.kind != request_.kind

    def action(world, fuse):
        world.reconcile(request_, fuse, owner=owner)

    def check(world):
        if quirks.get("drop_properties") and replaced:
            assert len(world.service.schedules) == 2
            (wire,) = [item for item in world.service.schedules.values() if "Zone" in item or not survived(item)]
        else:
            (wire,) = world.live()
            assert len(world.service.schedules) == 1 + replaced
        is_as_wanted(wire, request_)
        others = [item for item in world.service.schedules.values() if item is not wire]
        assert all(item["EntityStatus"] == "Disabled" for item in others)
        if first is not None and not replaced:
            assert survived(wire)
        if request_.status == "Disabled":
            assert world.service.runs == []
        assert not world.store

    # A second crash squares the number; one quirk is enough for that.
    count = crash_everywhere(prepared(first, quirks), action, check, twice=not quirks)
    assert count >= 2


@pytest.mark.parametrize("name_only", [False, True], ids=["by key", "by name"])
@pytest.mark.parametrize("target", [OTHER_PIPELINE, ENDPOINT], ids=str)
@pytest.mark.parametrize("status", ["Active", "Disabled"])
def test_another_pipeline_is_another_schedule_and_the_old_one_is_disabled(target, status, name_only):
    request = wanted(status=status)
    owner = OWNER._replace(run_id="run-2")

    def action(world, fuse):
        world.reconcile(request, fuse, target=target, owner=owner)

    def check(world):
        old, new = world.service.schedules.values()
        assert (old["EntityStatus"], old["PipelineId"]) == ("Disabled", "p-1")
        assert survived(old)
        is_as_wanted(new, request, target)
        if status == "Disabled":
            assert world.service.runs == []
        assert any(old["Id"] in line and new["Id"] in line for line in world.said) or "created" in str(world.said)

    assert crash_everywhere(prepared(wanted(), {}, name_only=name_only), action, check) > 10
    world = prepared(wanted(), {}, name_only=name_only)()
    action(world, None)
    assert "s-1 is disabled, s-2 is new" in world.said[-1]
    # It stays so.
    world.later()
    world.reconcile(request, target=target, owner=owner._replace(run_id="run-3"))
    assert len(world.service.schedules) == 2
    assert world.service.writes() == []


# Each way in which a write can fail


@everywhere
@every_kind
@pytest.mark.parametrize("before", ["nothing", "another recurrence, active", "a datastore"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_after_a_lost_write_there_is_one_schedule_as_wanted(quirks, request_, before, fault, place):
    world = prepared(BEFORE[before], quirks)()
    owner = OWNER._replace(run_id="run-2")
    world.service.faults = [None] * place + [fault]
    tries = [outcome(lambda: world.reconcile(request_, owner=owner)) for _ in range(2)]
    assert not isinstance(tries[1], AzureMLError), tries
    world.service.wait(200)
    made = [item for item in world.service.schedules.values() if state(item) != "retired"]
    if quirks.get("drop_properties"):
        made = [item for item in made if item["Id"] == tries[1].id]
    (wire,) = made
    replaced = BEFORE[before] is not None and BEFORE[before].kind != request_.kind
    assert len(world.service.schedules) == 1 + replaced
    is_as_wanted(wire, request_)
    if request_.status == "Disabled":
        assert world.service.runs == []


@pytest.mark.parametrize("fault", ["lost", "500"])
def test_a_creation_that_was_not_carried_out_is_an_error_and_a_retry_makes_it(fault):
    world = World()
    world.service.faults = [fault]
    with pytest.raises(AzureMLError) as caught:
        world.reconcile(wanted())
    assert caught.value.in_doubt
    assert not caught.value.permanent
    assert world.store
    world.reconcile(wanted())
    is_as_wanted(world.one(), wanted())
    assert not world.store


def test_a_retry_waits_for_a_creation_that_may_still_be_on_its_way():
    world = World(late=100.0)
    world.service.faults = ["done late lost"]
    outcome(lambda: world.reconcile(wanted()))
    assert world.service.schedules == {}
    world.reconcile(wanted())
    is_as_wanted(world.one(), wanted())


def test_when_the_list_cannot_be_read_nothing_is_made():
    world = World()
    world.service.faults = ["lost"]
    outcome(lambda: world.reconcile(wanted()))
    listing = world.service._listed

    def broken():
        raise AzureMLError("the list cannot be read")

    world.service._listed = broken
    with pytest.raises(AzureMLError, match="cannot be read"):
        world.reconcile(wanted())
    assert len(world.service.writes()) == 1
    world.service._listed = listing


class ShortTries(World):
    """Each try ends when it has lasted 15 seconds, as at an ``execution_timeout``."""

    def reconcile(self, request, fuse=None, **more):
        end, wait = self.service.time + 15.0, self.service.wait

        def until(seconds):
            wait(seconds)
            if self.service.time >= end:
                raise Crash

        self.service.wait = until
        try:
            return super().reconcile(request, fuse, **more)
        finally:
            self.service.wait = wait


@pytest.mark.parametrize("fault", ["lost", "done late 500", "done lost"])
def test_tries_that_are_shorter_than_a_search_complete_it_together(fault):
    world = ShortTries(late=50.0)
    world.service.faults = [fault]
    ends = [outcome(lambda: world.reconcile(wanted()))]
    while isinstance(ends[-1], Crash):
        assert len(ends) < 20
        ends.append(outcome(lambda: world.reconcile(wanted())))
    world.service.wait(3600.0)
    is_as_wanted(world.one(), wanted())
    assert len(world.service.writes()) == (2 if fault == "lost" else 1)
