"""A minimal service with job schedules: it answers calls from memory, and starts jobs whenever it may.

A schedule starts a job at each moment at which it is, or becomes, enabled: a schedule that was
ever enabled has started one.
"""

from __future__ import annotations

import copy
import re
from types import SimpleNamespace

from support.models.schedule_service import ScheduleService

from aml_provider.client.errors import BadRequest, NotFound
from aml_provider.client.models import Recurrence
from aml_provider.client.specs.job_schedule import JobScheduleRequest
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import PipelineReference, Target
from aml_provider.durable.job_schedule import JobScheduleReconciler
from aml_provider.durable.schedule_owner import ScheduleOwner

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
OWNER = ScheduleOwner("here", "dag", "task", "run-1")
#: What others may set: in the schedule, in the definition of its jobs, and in its trigger.
FOREIGN = {"displayName": "Every night", "tags": {"team": "red", "flag": None}, "newKey": {"x": [1]}}
FOREIGN_JOB = {
    "notificationSetting": {"emails": ["a@b.c"]},
    "outputs": {"scores": {"jobOutputType": "uri_folder", "uri": "azureml://datastores/s/paths/out/"}},
    "identity": {"identityType": "AMLToken"},
}
FOREIGN_SETTINGS = {"force_rerun": True, "DefaultComputeTarget": "gpu"}


def component(version="1", name="score"):
    version_id = f"{WORKSPACE}/components/{name}/versions/{version}"
    return Target("component", version_id, version, version_id, name=name, data_inputs=(("folder", "uri_folder"),))


def wanted(*, name="nightly", status="Active", cron=None, recurrence=None, description=None, tags=None, **request):
    when = {"cron": "0 7 * * 1-5"} if cron is None and recurrence is None else {"cron": cron, "recurrence": recurrence}
    return JobScheduleRequest.of(
        name=name,
        reference=PipelineReference(component_name="score"),
        request=RunRequest.of(
            **{"experiment_name": "exp", "parameters": {"p": 1}, "description": description, "tags": tags} | request
        ),
        status=status,
        **when,
    )


WANTED = {
    "cron": wanted(),
    "cron, disabled": wanted(status="Disabled"),
    "recurrence": wanted(recurrence=Recurrence("Week", 2, week_days=["Monday"], time_of_day="7:30")),
    "data, compute, tags": wanted(
        data_paths={"folder": "store/in"}, compute="cpu", tags={"a": "b"}, description="d", status="Disabled"
    ),
}


class Service(ScheduleService):
    """Answers the calls about job schedules.

    Args:
        drop_properties: Where properties are lost: ``schedule``, ``job`` or both.
        ignores_disabled: A creation makes the schedule enabled, whatever it says.
        embellish: Replies are written in the service's own way: nulls, other cases, defaults, a start.
    """

    def __init__(self, *, drop_properties=(), ignores_disabled=False, embellish=False):
        super().__init__()
        self.drop_properties = drop_properties
        self.ignores_disabled = ignores_disabled
        self.embellish = embellish
        self.state = "Succeeded"
        #: How often a schedule that is being deleted can still be read.
        self.deletion_takes = 1
        self.started = []
        self._deleting = {}

    def _answer(self, call):
        if call.path == "/schedules":
            return call.parse({"value": [self._reply(name) for name in self.schedules]})
        if call.path == "/jobs":
            return call.parse({"value": [self._job(*item) for item in enumerate(self.started)]})
        name = re.fullmatch(r"/schedules/(.+)", call.path)[1]
        if call.method == "PUT":
            self._put(name, copy.deepcopy(call.body))
            return call.parse(self._reply(name))
        if name not in self.schedules:
            raise NotFound(call.operation, status=404)
        if call.method == "DELETE":
            if self.schedules[name]["properties"]["isEnabled"]:
                raise BadRequest(call.operation, status=400, message="Cannot delete an active schedule.")
            self._deleting[name] = self.deletion_takes
            return call.parse(None)
        if name in self._deleting:
            self._deleting[name] -= 1
            if self._deleting[name] < 0:
                del self._deleting[name], self.schedules[name]
                raise NotFound(call.operation, status=404)
        return call.parse(self._reply(name))

    def _put(self, name, body):
        """PUT replaces: what is not sent is gone."""
        assert "provisioningState" not in body["properties"], "only the service may write it"
        assert not {"id", "name", "type", "systemData"} & body.keys()
        before = self.schedules.get(name)
        properties = body["properties"]
        properties.setdefault("isEnabled", True)
        if before is None and self.ignores_disabled:
            properties["isEnabled"] = True
        if "schedule" in self.drop_properties:
            properties["properties"] = {}
        if "job" in self.drop_properties:
            properties["action"]["jobDefinition"]["properties"] = {}
        created = self.moment() if before is None else before["created"]
        self.schedules[name] = {**body, "created": created}
        if properties["isEnabled"]:
            self.started.append(name)

    def _reply(self, name):
        wire = copy.deepcopy(self.schedules[name])
        wire["systemData"] = {"createdAt": wire.pop("created")}
        wire |= {"name": name, "id": f"{WORKSPACE}/schedules/{name}", "type": "x/schedules"}
        properties = wire["properties"]
        properties["provisioningState"] = "Deleting" if name in self._deleting else self.state
        if self.embellish:
            properties |= {"displayName": None} | properties
            trigger, job = properties["trigger"], properties["action"]["jobDefinition"]
            job |= {"computeId": None, "services": None} | job
            job["componentId"] = job["componentId"].replace("resourceGroups", "resourcegroups")
            job["settings"] = {key: str(value) for key, value in job["settings"].items() if key != "_source"}
            job["tags"] = {**job["tags"], "azureml.x": "y"}
            for item in job["inputs"].values():
                item |= {"description": None, "mode": "ReadOnlyMount"}
            trigger |= {"startTime": "2026-11-22T12:00:00.0000000Z", "endTime": None} | trigger
            if "frequency" in trigger:
                trigger["frequency"] = trigger["frequency"].lower()
                trigger["schedule"] = {"monthDays": None, "weekDays": None} | trigger["schedule"]
        return wire

    def _job(self, number, name):
        definition = self.schedules[name]["properties"]["action"]["jobDefinition"]
        return {
            "name": f"job-{number}",
            "systemData": {"createdAt": self.moment()},
            "properties": {**definition, "status": "Running"},
        }


class World:
    """A service, and the task that wants a schedule there."""

    def __init__(self, **quirks):
        self.service = Service(**quirks)
        self.said = []
        self.warned = []

    def reconcile(self, request, fuse=None, *, target=None, owner=OWNER, if_exists="update"):
        reconciler = JobScheduleReconciler(
            wanted=request,
            target=target or component(),
            workspace=WORKSPACE,
            owner=owner,
            if_exists=if_exists,
            log=SimpleNamespace(info=self.said.append, warning=self.warned.append),
        )
        return self.service.drive(reconciler.reconcile(), fuse)

    def later(self):
        """Another run of the DAG, much later."""
        self.service.wait(86_400)
        self.service.requests.clear()
        self.service.started.clear()
        return OWNER._replace(run_id="run-2")

    def one(self):
        """The properties of the only schedule."""
        (schedule,) = self.service.schedules.values()
        return schedule["properties"]

    def job(self):
        return self.one()["action"]["jobDefinition"]


def prepared(before, quirks):
    """Makes worlds with a schedule as it was wanted once, to which others have added what is theirs."""

    def make():
        world = World(**quirks)
        if before is not None:
            world.reconcile(before)
            add_foreign(world.one())
        world.later()
        return world

    return make


def add_foreign(properties):
    properties |= copy.deepcopy({**FOREIGN, "tags": {**FOREIGN["tags"], **properties["tags"]}})
    job = properties["action"]["jobDefinition"]
    job |= copy.deepcopy(FOREIGN_JOB)
    job["settings"] |= FOREIGN_SETTINGS
    properties["trigger"]["note"] = "of others"
    properties["action"]["note"] = "of others"


def survived(properties):
    """Whether everything of :func:`add_foreign` is there, as it was."""
    job = properties["action"]["jobDefinition"]
    return (
        all(properties.get(key) == value for key, value in FOREIGN.items() if key != "tags")
        and FOREIGN["tags"].items() <= properties["tags"].items()
        and all(job.get(key) == value for key, value in FOREIGN_JOB.items())
        and plain(FOREIGN_SETTINGS).items() <= plain(job["settings"]).items()
        and properties["trigger"].get("note") == properties["action"].get("note") == "of others"
    )


def plain(value):
    """JSON without nulls, in small letters, with all plain values as text."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, list) else str(value).lower()


def is_as_wanted(properties, request, target=None):
    """Compared by hand, not by the code under test."""
    job = properties["action"]["jobDefinition"]
    assert properties["isEnabled"] == (request.status == "Active")
    assert job["componentId"].lower() == (target or component()).id.lower()
    assert job["experimentName"] == "exp"
    values = {name: item["value"] for name, item in job["inputs"].items() if "value" in item}
    assert values == request.request.parameters
    uris = {name: item["uri"] for name, item in job["inputs"].items() if "uri" in item}
    assert uris == {
        name: f"azureml://datastores/{path.datastore}/paths/{path.path}"
        for name, path in request.request.data_paths.items()
    } | {name: f"azureml:{asset}" for name, asset in request.request.datasets.items()}
    assert plain(request.trigger).items() <= plain(properties["trigger"]).items()
    assert properties["trigger"].keys() <= {*request.trigger, "note", "startTime"}
    for part in (properties, job):
        assert request.request.tags.items() <= part["tags"].items()
        assert request.request.description in {None, part.get("description")}
    if request.request.compute:
        assert job["settings"]["default_compute"] == f"{WORKSPACE}/computes/{request.request.compute}"
    assert job["tags"]["airflow.job_schedule"] == request.name
    assert job["tags"]["airflow.schedule_key"] == OWNER.key(request.name)
