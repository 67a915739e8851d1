"""Enabling and disabling schedules and pipelines: only what is asked, whatever crashes or gets lost."""

from __future__ import annotations

import copy
import itertools

import pytest
from support.models.crashes import Crash, Fuse
from support.models.schedule_model import Service
from support.models.schedule_service import FAULTS

from aml_provider.client.calls import create_schedule
from aml_provider.client.errors import AmbiguousName, AmbiguousSchedule, AzureMLError, PipelineError, ScheduleError
from aml_provider.client.flows.pipelines import disable_pipeline, enable_pipeline
from aml_provider.client.flows.schedules import STATE, list_schedules, set_status, settle_status
from aml_provider.client.models import Recurrence
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.schedule import ScheduleRequest
from aml_provider.client.specs.target import Target

FOREIGN = {
    "tags": {"team": "red", "flag": None},
    "RunSource": "SDK",
    "EnableNotification": True,
    "Unknown": {"x": None},
}


class Workspace(Service):
    """The service, with pipelines that have names."""

    names = {"p-1": "train", "p-2": "train", "p-3": "score"}  # noqa: RUF012

    def _answer(self, call):
        if call.path == "/Pipelines":
            return call.parse([self._pipeline(name) for name in self.names])
        if call.method == "GET" and call.path.startswith("/Pipelines/"):
            return call.parse(self._pipeline(call.path.split("/")[2]))
        return super()._answer(call)

    def _pipeline(self, pipeline_id):
        status = self.statuses.get(pipeline_id, "Active")
        return {"Id": pipeline_id, "Name": self.names[pipeline_id], "EntityStatus": status, "GraphId": "g"}

    def add(self, name, pipeline="p-1", status="Active", **foreign):
        wanted = ScheduleRequest.of(
            name=name, request=RunRequest.of(experiment_name="exp"), recurrence=Recurrence("Day", 1)
        )

        def flow():
            return (yield create_schedule(wanted.to_wire(Target("pipeline", pipeline), {})))

        schedule_id = self.drive(flow()).id
        self.schedules[schedule_id]["EntityStatus"] = status
        self.schedules[schedule_id]["PipelineSubmissionInfo"] |= copy.deepcopy(foreign or FOREIGN)
        self.requests.clear()
        return schedule_id

    def states(self):
        return {schedule_id: wire["EntityStatus"] for schedule_id, wire in self.schedules.items()}


@pytest.fixture(params=[{}, {"int_enums": True}, {"embellish": True}], ids=["plain", "numbers", "embellished"])
def service(request):
    return Workspace(**request.param)


def survived(wire):
    return {key: wire["PipelineSubmissionInfo"].get(key) for key in FOREIGN} == FOREIGN


def outcome(action):
    try:
        return action()
    except (AzureMLError, Crash) as error:
        return error


@pytest.mark.parametrize(("before", "status"), [("Active", "Disabled"), ("Disabled", "Active")])
def test_only_the_status_changes_and_only_if_it_has_to(service, before, status):
    schedule_id = service.add("nightly", status=before, Properties={"airflow.schedule_key": "0"}, **FOREIGN)
    wire = copy.deepcopy(service.schedules[schedule_id])
    schedule, changed = service.drive(set_status(schedule_id, status))
    assert (schedule.status, changed) == (status, True)
    after = {key: value for key, value in service.schedules[schedule_id].items() if key in wire}
    assert after["PipelineSubmissionInfo"].items() >= wire["PipelineSubmissionInfo"].items()
    assert after["Recurrence"].items() >= wire["Recurrence"].items()
    assert after["EntityStatus"] == status
    writes = len(service.writes())
    assert service.drive(set_status(schedule_id, status))[1] is False
    assert len(service.writes()) == writes == 1


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", range(3))
def test_a_write_that_fails_is_made_good(service, fault, place):
    ids = [service.add(f"n{number}") for number in range(3)]
    service.faults = [None] * place + [fault]
    service.drive(settle_status("Disabled", pipeline_id="p-1"))
    service.wait(200)
    assert service.states() == dict.fromkeys(ids, "Disabled")
    assert all(map(survived, service.schedules.values()))


def test_what_somebody_writes_in_between_is_kept():
    service = Workspace()
    schedule_id = service.add("nightly")
    service.faults = ["409"]
    receive = service._receive

    def interfering(call):
        try:
            return receive(call)
        finally:
            service.schedules[schedule_id]["PipelineSubmissionInfo"]["tags"]["theirs"] = "yes"

    service._receive = interfering
    service.drive(set_status(schedule_id, "Disabled"))
    assert service.schedules[schedule_id]["PipelineSubmissionInfo"]["tags"]["theirs"] == "yes"


def test_a_refusal_is_not_repeated():
    service = Workspace()
    schedule_id = service.add("nightly")
    service.faults = ["409"] * 20
    with pytest.raises(AzureMLError):
        service.drive(set_status(schedule_id, "Disabled"))
    assert len(service.writes()) == 6


OPERATIONS = {
    "disable by id": (lambda: settle_status("Disabled", schedule_id="s-1"), "Active", {"s-1": "Disabled"}),
    "disable by name": (lambda: settle_status("Disabled", schedule_name="a"), "Active", {"s-1": "Disabled"}),
    "disable all": (
        lambda: settle_status("Disabled", pipeline_id="p-1"),
        "Active",
        {"s-1": "Disabled", "s-2": "Disabled"},
    ),
    "enable by id": (lambda: settle_status("Active", schedule_id="s-1"), "Disabled", {"s-1": "Active"}),
    "enable by name": (lambda: settle_status("Active", schedule_name="a"), "Disabled", {"s-1": "Active"}),
    "enable all": (lambda: settle_status("Active", pipeline_id="p-1"), "Disabled", {"s-1": "Active", "s-2": "Active"}),
    "disable pipeline": (
        lambda: disable_pipeline(pipeline_id="p-1"),
        "Active",
        {"s-1": "Disabled", "s-2": "Disabled", "p-1": "Disabled"},
    ),
    "disable pipeline by name": (
        lambda: disable_pipeline(pipeline_name="score"),
        "Active",
        {"s-3": "Disabled", "p-3": "Disabled"},
    ),
    "enable pipeline by name": (lambda: enable_pipeline(pipeline_name="score"), "Disabled", {"p-3": "Active"}),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_after_a_crash_anywhere_a_retry_ends_in_what_was_asked(operation):
    make, before, wanted = OPERATIONS[operation]
    for first in itertools.count(1):
        service = Workspace(fires=("enable", "update"))
        for name, pipeline in (("a", "p-1"), ("b", "p-1"), ("c", "p-3")):
            service.add(name, pipeline, before)
        service.statuses = {"p-1": before, "p-2": "Active", "p-3": before}
        fuse = Fuse(first)
        outcome(lambda service=service, fuse=fuse: service.drive(make(), fuse))
        service.drive(make())
        expected = dict.fromkeys(("s-1", "s-2", "s-3", "p-1", "p-3"), before) | wanted
        assert service.states() | {key: service.statuses[key] for key in ("p-1", "p-3")} == expected
        assert all(map(survived, service.schedules.values()))
        if fuse.points < first:
            return


def test_a_pipelines_schedules_are_disabled_before_it_is_and_are_named():
    service = Workspace()
    ids = [service.add("a"), service.add("b"), service.add("old", status="Disabled")]
    said = []
    assert service.drive(disable_pipeline(pipeline_id="p-1", log=said.append)) == "p-1"
    assert [call.path for call in service.writes()] == [
        *(f"/Schedules/{item}" for item in ids[:2]),
        "/Pipelines/p-1/status",
    ]
    assert service.writes()[-1].body == "Disabled"
    assert all(item in line for item, line in zip([*ids[:2], "p-1"], said, strict=True))
    assert service.drive(enable_pipeline(pipeline_id="p-1")) == "p-1"
    assert set(service.states().values()) == {"Disabled"}


def test_a_pipeline_can_be_disabled_without_its_schedules():
    service = Workspace()
    service.add("a")
    service.drive(disable_pipeline(pipeline_id="p-1", disable_schedules=False))
    assert set(service.states().values()) == {"Active"}
    assert service.statuses["p-1"] == "Disabled"


def test_a_pipelines_name_must_be_clear():
    service = Workspace()
    with pytest.raises(AmbiguousName, match=r"p-1 \(Active.*p-2"):
        service.drive(disable_pipeline(pipeline_name="train"))
    service.statuses["p-1"] = "Disabled"
    assert service.drive(disable_pipeline(pipeline_name="train")) == "p-2"
    # A retry finds what the first try has disabled; enabling is for one of the two, and which is not said.
    assert service.drive(disable_pipeline(pipeline_name="train")) in {"p-1", "p-2"}
    with pytest.raises(AmbiguousName):
        service.drive(enable_pipeline(pipeline_name="train"))
    with pytest.raises(PipelineError, match="no published pipeline named 'none'"):
        service.drive(enable_pipeline(pipeline_name="none"))


def test_a_schedules_name_must_be_clear():
    service = Workspace()
    service.add("a"), service.add("a", "p-2")
    for status in ("Disabled", "Active"):
        with pytest.raises(AmbiguousSchedule, match=r"2 schedules are named 'a': s-1 \(Active, of pipeline p-1.*s-2"):
            service.drive(settle_status(status, schedule_name="a"))
        with pytest.raises(ScheduleError, match="no schedule named 'none'"):
            service.drive(settle_status(status, schedule_name="none"))
        with pytest.raises(ScheduleError, match="no schedule 's-9'"):
            service.drive(settle_status(status, schedule_id="s-9"))
    service.schedules["s-1"]["EntityStatus"] = "Disabled"
    assert [item.id for item in service.drive(settle_status("Active", schedule_name="a"))] == ["s-2"]
    assert [item.id for item in service.drive(settle_status("Disabled", schedule_name="a"))] == ["s-2"]
    assert len(service.drive(settle_status("Disabled", schedule_name="a"))) == 2


def test_what_was_replaced_stays_disabled():
    service = Workspace()
    service.add("a", status="Disabled", Properties={STATE: "retired"})
    service.add("a", status="Disabled")
    said = []
    (enabled,) = service.drive(settle_status("Active", pipeline_id="p-1", log=said.append))
    assert enabled.id == "s-2"
    assert "s-1" in said[0]
    assert service.states() == {"s-1": "Disabled", "s-2": "Active"}


def test_schedules_are_listed_by_pipeline_and_status():
    service = Workspace()
    service.add("a"), service.add("b", "p-2"), service.add("c", status="Disabled")

    def listed(**arguments):
        return [item.id for item in service.drive(list_schedules(**arguments))]

    assert listed() == ["s-1", "s-2"]
    assert listed(active_only=False) == ["s-1", "s-2", "s-3"]
    # The service lists a pipeline's disabled ones too.
    assert listed(pipeline_id="p-1") == ["s-1"]
    assert listed(pipeline_id="p-1", active_only=False) == ["s-1", "s-3"]
