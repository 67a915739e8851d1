"""A schedule that exists already: its owner, the changes that it keeps, and refusals."""

from __future__ import annotations

import copy

import pytest
from support.models.crashes import crash_everywhere, outcome
from support.models.schedule_model import Store
from support.models.schedule_world import (
    EVERY_HOUR,
    LATER,
    OTHER_PIPELINE,
    OWNER,
    WANTED,
    World,
    every_kind,
    is_as_wanted,
    prepared,
    survived,
    wanted,
)

from aml_provider.client.errors import (
    AmbiguousSchedule,
    AzureMLError,
    ProvisioningFailed,
    ScheduleExists,
    ScheduleStartedRun,
)
from aml_provider.client.models import Recurrence
from aml_provider.client.specs.recurrence import same_recurrence
from aml_provider.client.specs.target import Target
from aml_provider.durable.schedule_owner import KEY


def test_changes_by_others_survive():
    world = prepared(wanted(recurrence=EVERY_HOUR), {}, name_only=True)()
    wire = world.one()
    wire |= {"Label": "keep", "Recurrence": wire["Recurrence"] | {"EndTime": "2030-01-01T00:00:00"}}
    wire["Recurrence"]["Schedule"] = {"MonthDays": [1]}
    world.reconcile(wanted(recurrence=Recurrence("Week", 1, hours=[7])))
    assert survived(world.one())
    assert world.one()["Label"] == "keep"
    assert world.one()["Recurrence"] == {
        "Frequency": "Week",
        "Interval": 1,
        "EndTime": "2030-01-01T00:00:00",
        "Schedule": {"MonthDays": [1], "Hours": [7]},
    }
    properties = world.one()["PipelineSubmissionInfo"]["Properties"]
    assert properties["azureml.git.branch"] == "main"
    assert properties[KEY] == OWNER.key("nightly")


def test_a_schedule_that_was_renamed_is_found_by_its_key():
    world = prepared(wanted(), {})()
    world.one()["Name"] = "renamed in the studio"
    world.reconcile(wanted())
    is_as_wanted(world.one(), wanted())


def test_the_key_is_the_same_for_every_run_of_the_dag_and_for_nothing_else():
    key = OWNER.key("nightly")
    assert OWNER._replace(run_id="x", map_index=7).key("nightly") == key
    others = [OWNER._replace(**{field: "x"}).key("nightly") for field in ("deployment", "dag_id", "task_id")]
    assert len({key, OWNER.key("other"), *others}) == 5


def test_several_of_one_name_are_listed():
    world = World()
    for run in "ab":
        world.reconcile(wanted(), owner=OWNER._replace(task_id=run), target=Target("pipeline", f"p-{run}"))
        world.one()["Name"] = "hidden" if run == "a" else "nightly"
        if run == "a":
            world.later()
            break
    world.reconcile(wanted(), owner=OWNER._replace(task_id="b"))
    for wire in world.service.schedules.values():
        wire["Name"] = "nightly"
        wire["PipelineSubmissionInfo"]["Properties"] = {}
    with pytest.raises(AmbiguousSchedule, match=r"2 schedules are named 'nightly': s-1 \(Active, of pipeline p-a.*s-2"):
        world.reconcile(wanted())
    # A disabled one is as good as deleted: the service knows no deletion.
    world.service.schedules["s-1"]["EntityStatus"] = "Disabled"
    assert world.reconcile(wanted()).id == "s-2"


@pytest.mark.parametrize("if_exists", ["reuse", "fail"])
@pytest.mark.parametrize("name_only", [False, True], ids=["by key", "by name"])
def test_what_exists_is_reused_or_is_an_error(if_exists, name_only):
    world = prepared(wanted(recurrence=EVERY_HOUR), {}, name_only=name_only)()
    before = copy.deepcopy(world.one())
    result = outcome(lambda: world.reconcile(wanted(), owner=OWNER._replace(run_id="run-2"), if_exists=if_exists))
    assert world.one() == before
    assert world.service.writes() == []
    if if_exists == "reuse":
        assert result.id == "s-1"
    else:
        assert isinstance(result, ScheduleExists)
        assert "s-1" in str(result)


@pytest.mark.parametrize("if_exists", ["reuse", "fail"])
@every_kind
def test_a_retry_of_a_creation_is_neither_reuse_nor_failure(if_exists, request_):
    def action(world, fuse):
        world.reconcile(request_, fuse, if_exists=if_exists)

    def check(world):
        is_as_wanted(world.one(), request_)
        if request_.status == "Disabled":
            assert world.service.runs == []

    assert crash_everywhere(World, action, check) > 3


def test_another_airflows_schedule_is_left_alone():
    world = prepared(wanted(), {})()
    before = copy.deepcopy(world.one())
    other = OWNER._replace(deployment="there")
    with pytest.raises(ScheduleExists, match=r"another Airflow .*'here'.*deployment_id"):
        world.reconcile(wanted(recurrence=EVERY_HOUR), owner=other)
    assert world.one() == before
    assert world.reconcile(wanted(), owner=other, if_exists="reuse").id == "s-1"


def test_a_task_that_was_renamed_takes_its_schedule_over():
    world = prepared(wanted(), {})()
    renamed = OWNER._replace(task_id="renamed")
    world.reconcile(wanted(recurrence=EVERY_HOUR), owner=renamed)
    assert world.one()["PipelineSubmissionInfo"]["Properties"][KEY] == renamed.key("nightly")
    assert "was created by DAG 'dag', task 'task'" in world.warned[0]


def test_two_tasks_do_not_take_one_name_from_each_other_for_different_pipelines():
    world = prepared(wanted(), {})()
    with pytest.raises(ScheduleExists, match="for something other than pipeline p-2"):
        world.reconcile(wanted(), owner=OWNER._replace(task_id="other"), target=OTHER_PIPELINE)
    assert len(world.service.schedules) == 1


def test_mapped_tasks_need_names_of_their_own():
    world = World()
    world.reconcile(wanted(), owner=OWNER._replace(map_index=0))
    with pytest.raises(ScheduleExists, match="mapped task instance 0"):
        world.reconcile(wanted(), owner=OWNER._replace(map_index=1), target=OTHER_PIPELINE)


def test_a_failed_provisioning_is_an_error_and_a_retry_writes_again():
    world = World(provisioning="Failed")
    with pytest.raises(ProvisioningFailed, match=r"'nightly' .*Failed"):
        world.reconcile(wanted())
    assert not world.store
    world.service.provisioning = "Completed"
    world.reconcile(wanted())
    assert world.one()["ProvisioningStatus"] == "Completed"
    assert [call.method for call in world.service.writes()] == ["POST", "PUT"]


def test_the_error_of_a_failed_provisioning_has_the_services_message():
    world = World(provisioning="Failed")
    create = world.service._create

    def saying(body):
        wire = create(body)
        wire["ProvisioningErrorMessage"] = "the trigger could not be deployed"
        return wire

    world.service._create = saying
    with pytest.raises(ProvisioningFailed, match="the trigger could not be deployed"):
        world.reconcile(wanted())


def test_a_run_that_a_disabled_schedule_has_started_is_an_error_once():
    world = World()
    world.service._fire = lambda wire: world.service.runs.append(wire["Id"])
    with pytest.raises(ScheduleStartedRun, match="run-of-s-1") as caught:
        world.reconcile(wanted(status="Disabled"))
    assert caught.value.permanent
    is_as_wanted(world.one(), wanted(status="Disabled"))
    # Cleared.
    assert world.reconcile(wanted(status="Disabled")).id == "s-1"


def test_the_far_future_start_of_a_disabled_schedule_is_accepted_by_the_service():
    world = World()
    world.reconcile(wanted(recurrence=LATER, status="Disabled"))
    create, disable, write = world.service.writes()
    assert create.body["Recurrence"] == {**WANTED["later"].recurrence, "StartTime": "2036-11-19T12:00:00"}
    assert disable.body["EntityStatus"] == "Disabled"
    assert disable.body["Recurrence"]["StartTime"] == "2036-11-19T12:00:00"
    assert write.body["EntityStatus"] == "Disabled"
    assert same_recurrence(write.body["Recurrence"], WANTED["later"].recurrence)


class Frozen(Store):
    """The store of a process that stands still after its first write, while other things happen.

    Args:
        world: Its ordinary store has the same contents.
        meanwhile: What happens.
    """

    def __init__(self, world, meanwhile):
        super().__init__()
        self.world = world
        self.others = world.store
        self.meanwhile = meanwhile

    def get(self, key, default=None):
        return self.others.get(key, default)

    def set(self, key, value):
        self.others.set(key, value)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()

    def delete(self, key):
        self.others.delete(key)


def frozen(world, meanwhile):
    """Let the next process of a world stand still for ten minutes before its creation."""
    others = world.store

    def stand_still():
        world.service.wait(600)
        world.store = others
        meanwhile()

    world.store = Frozen(world, stand_still)


@pytest.mark.parametrize("request_", [wanted(), wanted(status="Disabled")], ids=["active", "disabled"])
def test_a_process_that_stood_still_before_its_creation_sends_nothing_after_another_try(request_):
    world = World()
    frozen(world, lambda: world.reconcile(request_))
    with pytest.raises(AzureMLError, match="another process of this task has continued"):
        world.reconcile(request_)
    is_as_wanted(world.one(), request_)
    world.reconcile(request_)
    is_as_wanted(world.one(), request_)


def test_a_process_that_stood_still_alone_creates_the_schedule():
    world = World()
    frozen(world, lambda: None)
    world.reconcile(wanted())
    is_as_wanted(world.one(), wanted())
    assert "storing it again" in world.warned[0]
