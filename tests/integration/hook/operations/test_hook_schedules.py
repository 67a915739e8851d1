"""The hook's methods for native schedules."""

from __future__ import annotations

import pytest
from support.drivers.hook_faces import ENDPOINT, SCORE, connect

from aml_provider.client.models import Recurrence
from aml_provider.compat import AirflowFailException
from aml_provider.emulator.server import EmulatorServer


def create(hook, name="nightly", **options):
    options = {"pipeline_id": SCORE, "recurrence": Recurrence("Day", 1, "2099-01-01T00:00:00")} | options
    return hook.create_schedule(name, experiment_name="x", **options)


def test_a_schedule_with_a_recurrence_is_created_read_and_found(emulator, hook):
    made = create(hook, description="by night", parameters={"input_string": "a"})
    assert (made.name, made.kind, made.status, made.pipeline_id) == ("nightly", "Recurrence", "Active", SCORE)
    assert (made.description, made.experiment_name) == ("by night", "x")
    assert hook.get_schedule(made.id) == hook.find_schedule("nightly") == made
    (sent,) = emulator.requests("POST", "Create")
    assert sent["body"]["PipelineSubmissionInfo"]["Properties"] == {}, "nobody's marks"
    assert hook.list_schedules(pipeline_id=SCORE) == hook.list_schedules() == (made,)
    assert hook.get_last_run_of_schedule(made.id) is None


def test_a_folder_and_an_endpoint(emulator, hook):
    made = create(
        hook,
        pipeline_id=None,
        endpoint_id=ENDPOINT,
        recurrence=None,
        datastore="workspaceblobstore",
        path_on_datastore="incoming",
        polling_interval=10,
        data_path_parameter_name="input_datapath",
    )
    assert (made.kind, made.endpoint_id) == ("DataStore", ENDPOINT)
    assert hook.list_schedules(endpoint_id=ENDPOINT) == (made,)


def test_runs_of_a_schedule_are_listed_newest_first(emulator, hook):
    made = create(hook, recurrence=Recurrence("Hour", 1))
    emulator.clock.advance(2 * 3600 + 1)
    runs = hook.list_runs(schedule_id=made.id)
    assert len(runs) == 3
    assert {run.schedule_id for run in runs} == {made.id}
    assert hook.get_last_run_of_schedule(made.id) == runs[0]
    assert runs[0].created > runs[1].created > runs[2].created


def test_one_that_is_to_be_disabled_starts_nothing(emulator, hook):
    made = create(hook, recurrence=Recurrence("Hour", 1), status="Disabled")
    assert made.status == "Disabled"
    assert made.wire["Recurrence"]["Interval"] == 1
    emulator.clock.advance(7200)
    assert hook.list_runs(schedule_id=made.id) == ()
    assert hook.enable_schedule(made.id).is_active
    assert hook.disable_schedule(made.id).status == "Disabled"


def test_one_of_the_name(emulator, hook):
    made = create(hook)
    with pytest.raises(AirflowFailException, match="exists already"):
        create(hook)
    every_other = Recurrence("Day", 2, "2099-01-01T00:00:00")
    assert create(hook, recurrence=every_other, if_exists="reuse") == made
    updated = create(hook, recurrence=every_other, if_exists="update")
    assert (updated.id, updated.wire["Recurrence"]["Interval"]) == (made.id, 2)
    assert len(emulator.requests("POST", "Create")) == 1


def test_a_lost_reply_makes_no_second_one(emulator, hook):
    emulator.faults.add("drop", method="POST", path="*/Schedules/Create")
    made = create(hook)
    assert hook.list_schedules(active_only=False) == (made,)
    assert len(emulator.requests("POST", "Create")) == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"pipeline_id": None}, "pipeline_id"),
        ({"endpoint_id": ENDPOINT}, "pipeline_id"),
        ({"if_exists": "perhaps"}, "if_exists"),
        ({"recurrence": None}, "recurrence"),
        ({"recurrence": Recurrence("Second", 1)}, "recurrence.frequency"),
        ({"status": "Off"}, "status"),
        ({"name": ""}, "name"),
        ({"parameters": {"a": object()}}, "parameters"),
    ],
)
def test_what_cannot_be_asked_for_costs_no_request(emulator, hook, options, named):
    with pytest.raises(AirflowFailException, match=f"^{named}"):
        create(hook, **options)
    assert emulator.requests() == []


def test_names_and_types_are_checked_before_it_is_created(emulator, hook):
    with pytest.raises(AirflowFailException, match="there is no parameter 'nonsense'"):
        create(hook, parameters={"nonsense": "1"})
    assert emulator.requests("POST") == []


def test_setting_up_is_waited_for(monkeypatch, face):
    with EmulatorServer(seed="demo", quirks=["provisioning=3600"]) as slow:
        slow.clock.hold()
        hook = face(connect(monkeypatch, slow.url))
        assert create(hook, wait_for_provisioning=False).is_provisioning
        with pytest.raises(Exception, match="was still Provisioning"):
            create(hook, "other", timeout=0)
        slow.clock.advance(3600)
        assert not create(hook, "other", if_exists="reuse").is_provisioning
