"""Schedules of the emulator over HTTP: short names, and requests like those of Microsoft's SDK."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from support.services.workspace_api import PIPELINES

SCHEDULES, RUNS = f"{PIPELINES}/Schedules", f"{PIPELINES}/PipelineRuns/Schedule"
SCORE, RETIRED, WORK, TYPED = (f"10000000-0000-4000-8000-00000000000{n}" for n in (1, 3, 4, 6))
ENDPOINT = "20000000-0000-4000-8000-000000000001"
MISSING = "00000000-0000-4000-8000-000000000000"
EVERY_QUARTER = {"Frequency": "Minute", "Interval": 15}
INFO = {"ExperimentName": "exp"}
STORE = {"DataStoreName": "workspaceblobstore", "PollingInterval": 5}
FILES = {"name": "files", "type": "AzureFile", "account_name": "a", "container": "c"}
HOURLY = {"Frequency": "Hour", "Interval": 1}


def quirk(*texts):
    return pytest.mark.parametrize("quirks", [list(texts)], ids=[" ".join(texts)])


def body(**values):
    whole = {"Name": "s", "PipelineId": WORK, "PipelineSubmissionInfo": INFO, "Recurrence": EVERY_QUARTER, **values}
    return {name: value for name, value in whole.items() if value is not None}


def create(api, **values):
    reply = api.post(f"{SCHEDULES}/Create", json=body(**values))
    assert reply.status_code == 200, reply.text
    return reply.json()


def put(api, entity, **changes):
    # Like Microsoft's SDK: the whole entity, without null values.
    whole = {name: value for name, value in {**entity, **changes}.items() if value is not None}
    reply = api.put(f"{SCHEDULES}/{entity['Id']}", json=whole)
    assert reply.status_code == 200, reply.text
    return reply.json()


def disable(api, entity):
    return put(api, entity, EntityStatus="Disabled")


def enable(api, entity):
    return put(api, entity, EntityStatus="Active")


def runs(api, entity):
    return api.get(f"{RUNS}/{entity['Id']}").json()


def created(api, entity):
    """When the runs of a schedule were created, oldest first."""
    times = [run["Status"]["CreationTime"] for run in reversed(runs(api, entity))]
    return [datetime.fromisoformat(time[:26]).replace(tzinfo=UTC).timestamp() for time in times]


def described(api, entity, count=5):
    found = api.get("/_emulator/schedules", params={"count": count}).json()["schedules"]
    return next(item for item in found if item["id"] == entity["Id"])


def refused(reply, pattern):
    assert reply.status_code == 400, reply.text
    assert re.search(pattern, reply.json()["Error"]["Message"])
