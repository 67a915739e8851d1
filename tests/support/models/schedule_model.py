"""A minimal service with native schedules: it answers calls from memory, and starts runs when it should not.

Runs start at the worst moments that the documentation allows.
"""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime

from support.models.crashes import Fuse
from support.models.schedule_service import ScheduleService

from aml_provider.client.errors import NotFound

FREQUENCIES = ["Month", "Week", "Day", "Hour", "Minute"]


class Service(ScheduleService):
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
        super().__init__(late)
        self.fires = fires
        self.drop_properties = drop_properties
        self.int_enums = int_enums
        self.embellish = embellish
        self.lag = lag
        self.provisioning = provisioning or "Completed"
        self.born = {}
        self.runs = []
        self.statuses = {"p-1": "Active", "p-2": "Active"}
        # Not an iterator: worlds are copied, and later Pythons copy no itertools.count().
        self._made = 0

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
        wire["CreatedDate"] = self.moment()
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
