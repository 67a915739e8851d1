"""A service and one task instance, for tests of the schedule reconciler."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from support.models.crashes import Fuse
from support.models.schedule_model import Service, Store

from aml_provider.client.models import Recurrence
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.schedule import ScheduleRequest
from aml_provider.client.specs.target import Target
from aml_provider.durable.schedule import ScheduleReconciler
from aml_provider.durable.schedule_owner import ScheduleOwner
from aml_provider.state.slots import intent_slot

LOOKUP_TIMEOUT = 60.0
EVERY_QUARTER = Recurrence("Minute", 15)
EVERY_HOUR = Recurrence("Hour", 1)
LATER = Recurrence("Day", 1, "2027-01-01T00:00:00", "Asia/Seoul", time_of_day="7:00")
PIPELINE, OTHER_PIPELINE = Target("pipeline", "p-1"), Target("pipeline", "p-2")
ENDPOINT = Target("endpoint", "e-1")
OWNER = ScheduleOwner("here", "dag", "task", "run-1")
FOREIGN = {
    "tags": {"team": "red", "flag": None},
    "RunSource": "SDK",
    "EnableNotification": True,
    "Unknown": {"x": None},
}


def wanted(*, recurrence=EVERY_QUARTER, datastore=None, status="Active", name="nightly", parameters=None, **more):
    return ScheduleRequest.of(
        name=name,
        request=RunRequest.of(experiment_name="exp", parameters=parameters or {"p": 1}),
        recurrence=None if datastore else recurrence,
        datastore=datastore,
        status=status,
        **more,
    )


WANTED = {
    "recurrence": wanted(),
    "recurrence, disabled": wanted(status="Disabled"),
    "later": wanted(recurrence=LATER),
    "later, disabled": wanted(recurrence=LATER, status="Disabled"),
    "datastore": wanted(datastore="store", path_on_datastore="in", data_path_parameter_name="blob"),
    "datastore, disabled": wanted(datastore="store", polling_interval=1, status="Disabled"),
}


class World:
    """A service, and the task state store of one task instance."""

    def __init__(self, **quirks):
        self.service = Service(**quirks)
        self.store = Store()
        self.said = []
        self.warned = []

    def reconcile(self, request, fuse=None, *, target=PIPELINE, owner=OWNER, if_exists="update"):
        reconciler = ScheduleReconciler(
            wanted=request,
            target=target,
            owner=owner,
            if_exists=if_exists,
            intent_slot=intent_slot(
                {
                    "task_state_store": self.store,
                    "ti": SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1),
                }
            ),
            lookup_timeout=LOOKUP_TIMEOUT,
            log=SimpleNamespace(info=self.said.append, warning=self.warned.append),
            now=self.service.now,
            monotonic=self.service.now,
        )
        self.store.fuse = fuse or Fuse()
        try:
            return self.service.drive(reconciler.reconcile(), self.store.fuse)
        finally:
            self.store.fuse = Fuse()

    def later(self):
        """Another run of the DAG, much later."""
        self.store.clear()
        self.service.wait(86_400)
        self.service.requests.clear()
        return OWNER._replace(run_id="run-2")

    def one(self):
        (schedule,) = self.service.schedules.values()
        return schedule

    def live(self):
        return [item for item in self.service.schedules.values() if state(item) != "retired"]


def state(wire):
    return wire["PipelineSubmissionInfo"]["Properties"].get("airflow.schedule_state")


def is_as_wanted(wire, request, target=PIPELINE):
    """Compared by hand, not by the code under test."""
    submission = wire["PipelineSubmissionInfo"]
    assert (wire["Name"], wire["EntityStatus"]) == (request.name, request.status)
    key = "PipelineId" if target.kind == "pipeline" else "PipelineEndpointId"
    assert wire[key] == target.id
    assert submission["ParameterAssignments"] == request.request.parameters
    assert submission["ExperimentName"] == "exp"
    assert state(wire) is None
    if request.recurrence is not None:
        seen = {key: value for key, value in wire["Recurrence"].items() if value is not None}
        seen["StartTime"] = (seen.get("StartTime") or "").partition(".")[0] or None
        assert {"TimeZone": "UTC", **seen} == {"TimeZone": "UTC", "StartTime": None, **request.recurrence}
    else:
        assert wire["DataStoreTriggerInfo"] == request.trigger


QUIRKS = {
    "plain": {},
    "fires on every occasion": {"fires": ("enable", "update")},
    "numbers for enums": {"int_enums": True},
    "embellished replies": {"embellish": True},
    "no properties": {"drop_properties": True},
    "slow lists": {"lag": 20.0},
}
everywhere = pytest.mark.parametrize("quirks", QUIRKS.values(), ids=QUIRKS)
every_kind = pytest.mark.parametrize("request_", WANTED.values(), ids=WANTED)


def prepared(before, quirks, *, target=PIPELINE, name_only=False):
    def make():
        world = World(**quirks)
        if before is not None:
            world.reconcile(before, target=target)
            for wire in world.service.schedules.values():
                wire["PipelineSubmissionInfo"] |= copy.deepcopy(FOREIGN)
                if name_only:
                    wire["PipelineSubmissionInfo"]["Properties"] = {"azureml.git.branch": "main"}
        world.later()
        world.service.runs.clear()
        return world

    return make


def survived(wire):
    submission = wire["PipelineSubmissionInfo"]
    return {key: submission.get(key) for key in FOREIGN} == FOREIGN
