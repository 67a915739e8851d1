"""Whose job schedule it is, what is compared and what is logged."""

from __future__ import annotations

import pytest
from support.models.job_schedule_model import OWNER, World, component, is_as_wanted, wanted

from aml_provider.client.errors import InvalidArgument, ScheduleExists
from aml_provider.client.models import Recurrence
from aml_provider.client.specs.target import PipelineReference
from aml_provider.durable.schedule_owner import NO_OWNER


def test_a_schedule_of_another_airflow_is_not_changed():
    world = World()
    world.reconcile(wanted(), owner=OWNER._replace(deployment="there"))
    with pytest.raises(ScheduleExists, match=r"belongs to another Airflow \(deployment_id 'there', DAG 'dag', task"):
        world.reconcile(wanted(cron="0 8 * * *"))
    # What a person wants with the hook does not count for more.
    with pytest.raises(ScheduleExists, match="belongs to another Airflow"):
        world.reconcile(wanted(cron="0 8 * * *"), owner=NO_OWNER)
    assert world.one()["trigger"]["expression"] == "0 7 * * 1-5"
    assert world.reconcile(wanted(cron="0 8 * * *"), if_exists="reuse").name == "nightly"
    assert len(world.service.writes()) == 1


def test_another_task_takes_over_the_same_component_in_any_version():
    world = World()
    world.reconcile(wanted(), owner=OWNER._replace(task_id="before"))
    world.reconcile(wanted(), target=component("2"))
    is_as_wanted(world.one(), wanted(), component("2"))
    assert "was created by DAG 'dag', task 'before'; this task manages it now" in world.warned[0]
    with pytest.raises(ScheduleExists, match="belongs to DAG 'dag', task 'task', for something other than component"):
        world.reconcile(wanted(), target=component(name="other"), owner=OWNER._replace(task_id="after"))


def test_a_schedule_that_somebody_has_made_is_taken_over_and_gets_our_properties():
    world = World()
    world.reconcile(wanted(), owner=NO_OWNER)
    assert world.job()["properties"] == {"airflow.job_schedule": "nightly"}
    world.reconcile(wanted())
    is_as_wanted(world.one(), wanted())
    assert world.said[-1] == "Job schedule 'nightly' was updated: owner; it is Active."


def test_two_instances_of_a_mapped_task_need_two_names():
    world = World()
    world.reconcile(wanted(), owner=OWNER._replace(map_index=0))
    with pytest.raises(ScheduleExists, match="mapped task instance 0 of this DAG run has created a schedule"):
        world.reconcile(wanted(cron="0 8 * * *"), owner=OWNER._replace(map_index=1))


@pytest.mark.parametrize("fault", ["done lost", "done 500", "lost"])
@pytest.mark.parametrize("if_exists", ["fail", "reuse", "update"])
def test_a_lost_creation_without_an_owner_is_recognised(fault, if_exists):
    world = World()
    world.service.faults = [fault]
    world.reconcile(wanted(), owner=NO_OWNER, if_exists=if_exists)
    assert world.one()["trigger"]["expression"] == "0 7 * * 1-5"
    assert world.said == ["Job schedule 'nightly' was created, for component score version 1; it is Active."]


def test_a_schedule_that_somebody_makes_at_the_same_moment_is_not_taken_for_ours():
    world = World()
    world.service.faults = ["lost"]
    wait = world.service.wait

    def others_create(seconds):
        world.service.wait = wait
        other = World()
        other.reconcile(wanted(cron="0 9 * * *"), owner=NO_OWNER)
        world.service.schedules |= other.service.schedules
        wait(seconds)

    world.service.wait = others_create
    with pytest.raises(ScheduleExists, match="exists already"):
        world.reconcile(wanted(), owner=NO_OWNER, if_exists="fail")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cron": "0 8 * * *"}, "trigger"),
        ({"recurrence": Recurrence("Hour", 1)}, "trigger"),
        ({"status": "Disabled"}, "status"),
        ({"experiment_name": "other"}, "experiment_name"),
        ({"parameters": {"p": 2}}, "parameters, data_paths or datasets"),
        ({"parameters": {}}, "parameters, data_paths or datasets"),
        ({"data_paths": {"folder": "s/x"}}, "parameters, data_paths or datasets"),
        ({"datasets": {"folder": "a:1"}}, "parameters, data_paths or datasets"),
        ({"compute": "gpu"}, "settings"),
        ({"continue_on_step_failure": True}, "settings"),
        ({"tags": {"a": "c"}}, "tags"),
        ({"description": "d"}, "description"),
    ],
    ids=str,
)
def test_each_difference_is_written_and_named(change, said):
    world = World()
    world.reconcile(wanted())
    request = wanted(**change)
    if "experiment_name" not in change:
        world.reconcile(request)
        is_as_wanted(world.one(), request)
    else:
        world.reconcile(request)
        assert world.job()["experimentName"] == "other"
    assert f"was updated: {said}; it is" in world.said[-1]
    assert len(world.service.writes()) == 2


def test_what_is_no_longer_given_stays_except_inputs():
    world = World()
    full = wanted(compute="cpu", tags={"a": "b"}, description="d", continue_on_step_failure=True)
    world.reconcile(full)
    world.reconcile(wanted(parameters={}))
    assert world.job()["inputs"] == {}
    assert world.job()["settings"]["default_compute"].endswith("/computes/cpu")
    assert world.job()["settings"]["continue_on_step_failure"] is True
    assert (world.one()["description"], world.one()["tags"]) == ("d", {"a": "b"})


@pytest.mark.parametrize("typed", [5, "5"])
def test_a_literal_may_come_back_with_its_type(typed):
    world = World()
    world.reconcile(wanted(parameters={"count": 5}))
    world.job()["inputs"]["count"]["value"] = typed
    world.job()["inputs"]["none"] = None
    world.reconcile(wanted(parameters={"count": 5}))
    assert len(world.service.writes()) == 1


def test_others_keys_of_an_input_stay_while_its_type_does():
    world = World()
    world.reconcile(wanted(parameters={}, data_paths={"folder": "s/x"}))
    world.job()["inputs"]["folder"]["mode"] = "Download"
    world.reconcile(wanted(parameters={"p": 1}, data_paths={"folder": "s/y"}))
    assert world.job()["inputs"]["folder"] == {
        "jobInputType": "uri_folder",
        "uri": "azureml://datastores/s/paths/y",
        "mode": "Download",
    }


def test_a_schedule_of_a_copied_job_becomes_one_of_the_component():
    world = World()
    world.reconcile(wanted())
    del world.job()["componentId"]
    world.job()["sourceJobId"] = "/jobs/x"
    world.reconcile(wanted())
    assert "sourceJobId" not in world.job()
    is_as_wanted(world.one(), wanted())


@pytest.mark.parametrize(
    "action",
    [
        {"actionType": "CreateMonitor"},
        {"actionType": "InvokeBatchEndpoint"},
        {"actionType": "CreateJob", "jobDefinition": {"jobType": "Command"}},
    ],
    ids=str,
)
def test_a_schedule_that_does_something_else_is_refused(action):
    world = World()
    world.reconcile(wanted(), owner=NO_OWNER)
    world.one()["action"] = action
    with pytest.raises(ScheduleExists, match="does not start pipeline jobs"):
        world.reconcile(wanted())
    assert len(world.service.writes()) == 1


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_description_may_come_back_as_none(empty):
    world = World()
    world.reconcile(wanted(description=""))
    world.one()["description"] = world.job()["description"] = empty
    world.reconcile(wanted(description=""))
    assert len(world.service.writes()) == 1


def test_a_retry_makes_its_own_schedule_start_jobs_again():
    world = World()
    world.reconcile(wanted())
    world.one()["action"]["actionType"] = "InvokeBatchEndpoint"
    world.reconcile(wanted())
    assert world.one()["action"]["actionType"] == "CreateJob"
    is_as_wanted(world.one(), wanted())


def test_a_failed_schedule_is_written_again():
    world = World()
    world.reconcile(wanted())
    world.service.state = "Failed"
    with pytest.raises(Exception, match="could not set up schedule 'nightly': ProvisioningStatus Failed"):
        world.reconcile(wanted())
    assert len(world.service.writes()) == 2


def test_what_no_job_can_have_is_refused():
    with pytest.raises(InvalidArgument, match=r"parameters\['p'\]: is an empty text"):
        wanted(parameters={"p": ""})
    with pytest.raises(InvalidArgument, match="name: is 'a b'; use 1 to 255 letters"):
        wanted(name="a b")
    assert PipelineReference(component_name="score").is_v2
