"""One job schedule as wanted, after a crash at each point and after each failure of a write; others' keys survive."""

from __future__ import annotations

import pytest
from support.models.crashes import crash_everywhere
from support.models.job_schedule_model import (
    OWNER,
    WANTED,
    World,
    add_foreign,
    component,
    is_as_wanted,
    prepared,
    survived,
    wanted,
)
from support.models.schedule_service import FAULTS

from aml_provider.client.arguments import ACTIVE, DISABLED
from aml_provider.client.errors import AzureMLError
from aml_provider.client.flows.job_schedules import delete_job_schedule, set_job_schedule_status
from aml_provider.client.models import Recurrence

QUIRKS = {
    "plain": {},
    "embellished replies": {"embellish": True},
    "no properties of schedules": {"drop_properties": ("schedule",)},
    "no properties of jobs": {"drop_properties": ("job",)},
    "no properties": {"drop_properties": ("schedule", "job")},
}
BEFORE = {
    "nothing": None,
    "another time": wanted(cron="0 8 * * *"),
    "another kind, disabled": wanted(recurrence=Recurrence("Hour", 1), status="Disabled"),
    "other parameters": wanted(parameters={"q": "x"}, compute="gpu"),
    "other status": wanted(status="Disabled"),
}
everywhere = pytest.mark.parametrize("quirks", QUIRKS.values(), ids=QUIRKS)
every_kind = pytest.mark.parametrize("request_", WANTED.values(), ids=WANTED)
AGAIN = OWNER._replace(run_id="run-2")


@everywhere
@every_kind
def test_a_schedule_is_made_with_one_read_and_one_write_and_then_left_alone(quirks, request_):
    world = World(**quirks)
    made = world.reconcile(request_)
    assert [call.method for call in world.service.requests] == ["GET", "PUT"]
    assert made.name == "nightly"
    is_as_wanted(world.one(), request_)
    assert world.service.started == (["nightly"] if request_.status == "Active" else [])
    for _ in range(2):
        world.later()
        assert world.reconcile(request_, owner=AGAIN).status == request_.status
        assert [call.method for call in world.service.requests] == ["GET"]


@everywhere
@every_kind
@pytest.mark.parametrize("before", BEFORE, ids=str)
def test_after_a_crash_anywhere_a_retry_ends_in_the_schedule_as_wanted(quirks, request_, before):
    first = BEFORE[before]

    def action(world, fuse):
        world.reconcile(request_, fuse, owner=AGAIN)

    def check(world):
        is_as_wanted(world.one(), request_)
        assert first is None or survived(world.one())
        # It was never enabled in between.
        assert request_.status == "Active" or not world.service.started
        assert len(world.service.writes()) <= 2  # the interrupted one, and perhaps its repetition

    # A second crash squares the number; one quirk is enough for that.
    assert crash_everywhere(prepared(first, quirks), action, check, twice=not quirks) >= 2


@everywhere
@every_kind
@pytest.mark.parametrize(
    ("before", "if_exists"), [("nothing", "update"), ("nothing", "fail"), ("another time", "update")]
)
@pytest.mark.parametrize("fault", FAULTS)
def test_after_a_lost_write_there_is_the_schedule_as_wanted(quirks, request_, before, fault, if_exists):
    first = BEFORE[before]
    world = prepared(first, quirks)()
    world.service.faults = [fault]
    made = world.reconcile(request_, owner=AGAIN, if_exists=if_exists)
    assert made.status == request_.status
    world.service.wait(200)
    is_as_wanted(world.one(), request_)
    assert first is None or survived(world.one())
    assert request_.status == "Active" or not world.service.started


def test_a_write_that_is_not_carried_out_for_long_is_an_error_that_a_retry_repairs():
    world = World()
    world.service.faults = ["500"] * 6
    with pytest.raises(AzureMLError) as caught:
        world.reconcile(wanted())
    assert not caught.value.permanent
    world.reconcile(wanted())
    is_as_wanted(world.one(), wanted())


@pytest.mark.parametrize("fault", ["lost", "500", "409", "done lost"])
def test_what_others_write_after_a_lost_write_is_kept(fault):
    """The repetition follows a read, so it does not put back what the first try had read."""
    world = prepared(wanted(), {})()
    world.service.faults = [fault]
    wait = world.service.wait

    def others_write(seconds):
        world.one()["displayName"] = "theirs, later"
        wait(seconds)

    world.service.wait = others_write
    world.reconcile(wanted(cron="0 9 * * *"), owner=AGAIN)
    assert world.one()["displayName"] == "theirs, later"
    assert world.one()["trigger"]["expression"] == "0 9 * * *"


@pytest.mark.parametrize("status", [ACTIVE, DISABLED])
@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_a_status_is_set_with_one_write_that_keeps_all_else(status, fault):
    world = prepared(wanted(status=DISABLED if status == ACTIVE else ACTIVE), {})()
    before = {**world.one(), "isEnabled": status == ACTIVE}
    world.service.faults = [fault]
    schedule, changed = world.service.drive(set_job_schedule_status("nightly", status))
    assert (schedule.status, changed) == (status, True)
    assert world.one() == before
    if fault is None:
        assert [call.method for call in world.service.requests] == ["GET", "PUT"]
    world.service.wait(200)
    world.service.requests.clear()
    _, changed = world.service.drive(set_job_schedule_status("nightly", status))
    assert not changed
    assert [call.method for call in world.service.requests] == ["GET"]


def delete(world, fuse=None, deadline=10**12):
    flow = delete_job_schedule("nightly", deadline=deadline, now=world.service.now)
    return world.service.drive(flow, fuse)


@pytest.mark.parametrize("status", [ACTIVE, DISABLED])
def test_a_deletion_disables_first_and_waits_for_the_end(status):
    world = prepared(wanted(status=status), {})()
    world.service.deletion_takes = 3
    assert delete(world)
    assert world.service.schedules == {}
    assert [call.method for call in world.service.writes()] == ["PUT"] * (status == ACTIVE) + ["DELETE"]
    assert not delete(world)


def test_after_a_crash_anywhere_a_retry_deletes_the_schedule():
    def check(world):
        assert world.service.schedules == {}

    assert crash_everywhere(prepared(wanted(), {}), delete, check) > 10


def test_a_deletion_that_does_not_end_says_so():
    world = prepared(wanted(), {})()
    world.service.deletion_takes = 10**6
    with pytest.raises(AzureMLError, match="still existed when the deadline passed") as caught:
        delete(world, deadline=world.service.now() + 60)
    assert not caught.value.permanent
    assert not world.one()["isEnabled"]


def test_another_version_of_the_component_is_an_update_of_the_same_schedule():
    world = prepared(wanted(), {})()
    for target in (component("2"), component("7", name="other")):
        world.reconcile(wanted(), target=target, owner=AGAIN)
        is_as_wanted(world.one(), wanted(), target)
        assert survived(world.one())
    assert world.said[-1].startswith("Job schedule 'nightly' was updated: component; it is Active")


def test_a_service_that_ignores_a_disabled_creation_is_found_out():
    world = World(ignores_disabled=True)
    with pytest.raises(AzureMLError, match="has started job job-0 of it"):
        world.reconcile(wanted(status=DISABLED))
    assert not world.one()["isEnabled"]
    assert "active, although it should be disabled" in world.warned[0]
    # A retry has nothing more to do.
    assert world.reconcile(wanted(status=DISABLED)).status == DISABLED


def test_a_dropped_key_of_others_would_be_noticed():
    world = prepared(wanted(), {})()
    assert survived(world.one())
    for part in (world.one(), world.job(), world.one()["trigger"]):
        for key in [key for key in part if key in {"newKey", "identity", "note"}]:
            value = part.pop(key)
            assert not survived(world.one())
            part[key] = value
    add_foreign(world.one())
    assert survived(world.one())
