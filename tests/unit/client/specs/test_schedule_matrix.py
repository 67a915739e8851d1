"""What we send for a schedule is what Microsoft's SDK sends, for every combination of its fields that it was asked for.

``tests/conformance/v1/record_schedules.py`` has recorded the SDK.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from datetime import datetime
from pathlib import Path

from support.models.service import carry_out

from aml_provider.client.entities import Datastore, PipelineInterface, PublishedPipeline
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.flows.schedules import prepare
from aml_provider.client.flows.targets import Known
from aml_provider.client.models import DataPath, Recurrence
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.schedule import ScheduleRequest
from aml_provider.client.specs.target import PipelineReference, Target
from aml_provider.client.specs.time_zones import KNOWN_ZONES

CAPTURES = Path(__file__).parents[3] / "captures"
MATRIX = json.loads((CAPTURES / "schedule_matrix.json").read_text())
TARGETS = {
    "pipeline_id": Target("pipeline", "aaaaaaaa-0000-0000-0000-000000000001"),
    "endpoint_id": Target("endpoint", "eeeeeeee-0000-0000-0000-000000000001"),
}
KINDS = {"workspaceblobstore": "AzureBlob", "workspacefilestore": "AzureFile"}
# The SDK has an enumeration where we take names, and no rule for these.
NAMES_OF_ZONES = {"=Korea Standard Time", "=Asia/Seoul"}
STRICTER = {"a polling interval below a minute", "neither recurrence nor datastore"}


def rows():
    for group in MATRIX["groups"]:
        for values, result in zip(itertools.product(*group["axes"].values()), group["results"], strict=True):
            yield dict(zip(group["axes"], values, strict=True)), MATRIX["outcomes"][result]


def read(value):
    if isinstance(value, dict) and "datetime" in value:
        return datetime.fromisoformat(value["datetime"])
    if isinstance(value, dict) and "data_path" in value:
        store, path = value["data_path"]
        return DataPath(store, path or "")
    if isinstance(value, str):
        return value.removeprefix("=")
    return value


def body_of(arguments):
    """What we send for the SDK's arguments; what asks the service first is asked too."""
    arguments = dict(arguments)
    target = TARGETS[arguments.pop("target")]
    fields = {name: read(arguments.pop(name)) for name in Recurrence._fields if name in arguments}
    given = {name: value for name, value in arguments.items() if value is not None}
    values = {name: read(value) for name, value in given.pop("pipeline_parameters", {}).items()}
    paths = {name: value for name, value in values.items() if isinstance(value, DataPath)}
    request = RunRequest.of(
        experiment_name="MyExperiment",
        parameters={name: value for name, value in values.items() if name not in paths},
        data_paths=paths,
        description=given.pop("description", None),
        continue_on_step_failure=given.pop("continue_on_step_failure", None),
    )
    recurrence = Recurrence(**fields) if fields else None
    wanted = ScheduleRequest.of(name="nightly", request=request, recurrence=recurrence, **given)
    check_datastore(wanted)
    return wanted.to_wire(target, {})


def check_datastore(wanted):
    """Carry out what is done before a schedule is written, as far as it concerns the datastore."""
    pipeline = PublishedPipeline.from_wire({"Id": "p", "GraphId": "g", "EntityStatus": "Active"})
    interface = PipelineInterface({}, frozenset({"changed_blob", "input_data"}), frozenset())

    wanted = ScheduleRequest.of(
        name=wanted.name,
        request=RunRequest.of(experiment_name="e"),
        recurrence=Recurrence("Day", 1) if wanted.datastore is None else None,
        datastore=wanted.datastore,
    )
    answers = {"GET /Pipelines/p": pipeline}
    if wanted.datastore is not None:
        store = {"name": wanted.datastore, "dataStoreType": KINDS[wanted.datastore]}
        answers[f"GET /datastores/{wanted.datastore}"] = Datastore.from_wire(store)
    carry_out(prepare(wanted, PipelineReference(pipeline_id="p"), Known({"g": interface})), answers)


def exception(arguments):
    """Why we differ from the SDK on purpose."""
    if arguments.get("time_zone") in NAMES_OF_ZONES:
        return "a zone's name"
    if "frequency" not in arguments:
        if arguments.get("datastore") is None:
            return "neither recurrence nor datastore"
        if arguments.get("polling_interval") in {0, -1}:
            return "a polling interval below a minute"
    return None


def test_every_combination_that_the_sdk_sends_we_send_too_and_what_it_refuses_we_refuse():
    seen = Counter()
    for arguments, outcome in rows():
        try:
            ours = {"sent": body_of(arguments)}
        except InvalidArgument:
            ours = {"refused": outcome.get("refused")}
        reason = exception(arguments)
        if reason is None or (reason in STRICTER and "refused" in outcome):
            assert ours == outcome, arguments
        elif reason in STRICTER:
            assert ours == {"refused": None}, arguments
        else:
            assert ours["sent"]["Recurrence"]["TimeZone"] == "Korea Standard Time"
        seen[reason or next(iter(outcome))] += 1
    assert sum(seen.values()) == len(list(rows())) > 4000
    assert seen["sent"] > 900
    assert seen["refused"] > 3000
    assert set(seen) == {"sent", "refused", "a zone's name", *STRICTER}


def test_the_zones_are_those_of_the_sdk():
    named = {row["time_zone"] for row, outcome in rows() if row.get("time_zone") and "sent" in outcome}
    assert named == KNOWN_ZONES
    assert len(KNOWN_ZONES) == 131
