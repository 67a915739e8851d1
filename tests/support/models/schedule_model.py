"""A minimal service with native schedules: it answers calls from memory, and starts runs when it should not.

Time is a number here. Runs start at the worst moments that the documentation allows.
"""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime, timedelta

from support.models.service_model import Fuse

from aml_provider.client.calls import Call
from aml_provider.client.errors import Conflict, NotFound, ReplyLost, ServerFault, Throttled, Unreachable
from aml_provider.client.http.messages import Pause

EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC)
FREQUENCIES = ["Month", "Week", "Day", "Hour", "Minute"]


def moment(seconds):
    return EPOCH + timedelta(seconds=seconds)


class Service:
    """Answers the calls about schedules.

    Args:
        fires: When an active recurrence without a future start time starts a run immediately, apart from its
            creation: ``enable``, ``update``.
        drop_properties: Properties of a submission are lost.
        int_enums: Enums are numbers.
        embellish: Replies have nulls, defaults and keys that no client sent.
        lag: Seconds until a new schedule is in the lists.
        late: Seconds until a request is carried out that has the fault "done late".
    """

    def __init__(
        self, *, fires=(), drop_properties=False, int_enums=False, embellish=False, lag=0.0, late=30.0, provisioning=""
    ):
        self.fires = fires
        self.drop_properties = drop_properties
        self.int_enums = int_enums
        self.embellish = embellish
        self.lag = lag
        self.late = late
        self.provisioning = provisioning or "Completed"
        self.time = EPOCH.timestamp()
        self.schedules = {}
        self.born = {}
        self.runs = []
        self.statuses = {"p-1": "Active", "p-2": "Active"}
        self.requests = []
        self.faults = []
        self._on_their_way = []
        # Not an iterator: worlds are copied, and later Pythons copy no itertools.count().
        self._made = 0

    def now(self):
        return self.time

    def wait(self, seconds):
        self.time += seconds
        arrived = [item for item in self._on_their_way if item[0] <= self.time]
        self._on_their_way = [item for item in self._on_their_way if item[0] > self.time]
        for _, call in arrived:
            self._answer(call)

    def drive(self, flow, fuse=None):
        fuse = fuse or Fuse()
        try:
            step = next(flow)
            for _ in range(1000):
                if isinstance(step, Pause):
                    self.wait(step.seconds)
                    step = flow.send(None)
                    continue
                assert isinstance(step, Call)
                fuse.burn()
                try:
                    answer = self._receive(step)
                except (NotFound, Conflict, ReplyLost, ServerFault, Throttled, Unreachable) as error:
                    fuse.burn()
                    step = flow.throw(error)
                    continue
                # The request was carried out, but the client crashes before it gets the reply.
                fuse.burn()
                step = flow.send(answer)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("it does not end")

    def _receive(self, call):
        self.requests.append(call)
        if call.method == "GET" or not self.faults:
            return self._answer(call)
        fault = self.faults.pop(0)
        if fault is None:
            return self._answer(call)
        if fault.startswith("done"):
            if "late" in fault:
                self._on_their_way.append((self.time + self.late, call))
            else:
                self._answer(call)
        raise {
            "lost": ReplyLost("lost"),
            "500": ServerFault(call.operation, status=500),
            "409": Conflict(call.operation, status=409),
            "429": Throttled(call.operation, status=429),
            "away": Unreachable("away"),
        }[fault.split()[-1]]

    def _answer(self, call):
        path = call.path
        if call.method == "POST" and path == "/Schedules/Create":
            return call.parse(self._reply(self._create(call.body)))
        if call.method == "PUT" and path.endswith("/status"):
            self.statuses[path.split("/")[2]] = call.body
            return None
        if found := re.fullmatch(r"/PipelineRuns/Schedule/(.+)/Last", path):
            runs = [run for run in self.runs if run == found[1]]
            return call.parse(f'{{"Id": "run-of-{runs[-1]}"}}' if runs else "")
        if found := re.fullmatch(r"/Schedules/Pipeline/(.+)", path):
            return call.parse([self._reply(item) for item in self._listed() if item.get("PipelineId") == found[1]])
        if path == "/Schedules":
            active_only = dict(call.query)["activeOnly"] == "true"
            return call.parse(
                [self._reply(item) for item in self._listed() if not active_only or item["EntityStatus"] == "Active"]
            )
        schedule_id = re.fullmatch(r"/Schedules/(.+)", path)[1]
        if schedule_id not in self.schedules:
            raise NotFound(call.operation, status=404)
        if call.method == "PUT":
            self._update(schedule_id, call.body)
        return call.parse(self._reply(self.schedules[schedule_id]))

    def _listed(self):
        return [item for name, item in self.schedules.items() if self.born[name] + self.lag <= self.time]

    def _create(self, body):
        wire = copy.deepcopy(body)
        self._made += 1
        schedule_id = f"s-{self._made}"
        wire |= {"Id": schedule_id, "EntityStatus": "Active", "ProvisioningStatus": self.provisioning}
        wire["ScheduleType"] = {"0": "Recurrence", "1": "DataStore"}[wire["ScheduleType"]]
        wire["CreatedDate"] = moment(self.time - EPOCH.timestamp()).isoformat()
        wire["PipelineSubmissionInfo"] |= {"RunType": "Schedule", "ScheduleId": schedule_id}
        self._forget_properties(wire)
        self.schedules[schedule_id] = wire
        self.born[schedule_id] = self.time
        self._fire(wire)
        return wire

    def _update(self, schedule_id, body):
        before = self.schedules[schedule_id]
        # Fields that the client leaves out are deleted; fields that it cannot write stay.
        wire = copy.deepcopy(body) | {key: before[key] for key in ("Id", "CreatedDate")}
        wire["EntityStatus"] = self._name(wire["EntityStatus"], ["Active", "Deprecated", "Disabled"])
        wire["ScheduleType"] = self._name(wire["ScheduleType"], ["Recurrence", "DataStore"])
        wire["ProvisioningStatus"] = self.provisioning
        recurrence = wire.get("Recurrence") or {}
        if recurrence:
            recurrence["Frequency"] = self._name(recurrence["Frequency"], FREQUENCIES)
        if recurrence.get("StartTime"):
            recurrence["StartTime"] = recurrence["StartTime"].partition(".")[0]
        self._forget_properties(wire)
        self.schedules[schedule_id] = wire
        if before["EntityStatus"] != wire["EntityStatus"]:
            if "enable" in self.fires:
                self._fire(wire)
        elif before.get("Recurrence") != wire.get("Recurrence") and "update" in self.fires:
            self._fire(wire)

    def _forget_properties(self, wire):
        if self.drop_properties:
            wire["PipelineSubmissionInfo"]["Properties"] = {}

    def _fire(self, wire):
        """Start a run immediately, unless the start time is in the future."""
        if wire["EntityStatus"] != "Active" or wire["ScheduleType"] != "Recurrence":
            return
        start = wire["Recurrence"].get("StartTime")
        if start is None or datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp() <= self.time:
            self.runs.append(wire["Id"])

    @staticmethod
    def _name(value, names):
        return names[int(value)] if str(value).isdecimal() else value

    def _reply(self, wire):
        wire = copy.deepcopy(wire)
        if self.embellish:
            wire = {"PipelineEndpointId": None, "Recurrence": None, "DataStoreTriggerInfo": None, "Zone": 1} | wire
            wire["PipelineSubmissionInfo"] = {"RunSource": None, "DataPathAssignments": None} | wire[
                "PipelineSubmissionInfo"
            ]
            if wire["Recurrence"] is not None:
                wire["Recurrence"] = {"TimeZone": "UTC", "StartTime": None, "Schedule": None} | wire["Recurrence"]
                if wire["Recurrence"]["StartTime"]:
                    wire["Recurrence"]["StartTime"] += ".0000000Z"
        if self.int_enums:
            wire["EntityStatus"] = ["Active", "Deprecated", "Disabled"].index(wire["EntityStatus"])
            wire["ScheduleType"] = ["Recurrence", "DataStore"].index(wire["ScheduleType"])
            wire["ProvisioningStatus"] = ["Completed", "Provisioning", "Failed"].index(wire["ProvisioningStatus"])
            if wire.get("Recurrence"):
                wire["Recurrence"]["Frequency"] = FREQUENCIES.index(wire["Recurrence"]["Frequency"])
        return wire

    def writes(self):
        """The requests that change something."""
        return [call for call in self.requests if call.method != "GET"]


class Store(dict):
    """Airflow's task state store; the task may crash at each of its operations."""

    fuse = Fuse()

    def set(self, key, value):
        self.fuse.burn()
        self[key] = value
        self.fuse.burn()

    def delete(self, key):
        self.fuse.burn()
        self.pop(key, None)
        self.fuse.burn()
