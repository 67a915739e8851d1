"""Record what Microsoft's SDK sends when it creates a schedule, for every combination of its arguments.

Run it by hand in a virtual environment that has azureml-core and azureml-pipeline-core (their pins exclude Airflow's)::

    python tests/conformance/v1/record_schedules.py tests/captures/schedule_matrix.json

The SDK works against a server in this process. The file holds groups; a group's rows are the product of its ``axes``,
in their order, and ``results`` has each row's index into ``outcomes``: ``{"sent": body}`` or ``{"refused": text}``.
A value of an axis is JSON, with these exceptions: ``{"datetime": text}``, ``{"data_path": [datastore, path]}``, a
datastore or a time zone by its name, and ``"=text"`` for a time zone that the SDK gets as plain text.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from identity import WORKSPACE, authentication

PIPELINE = "aaaaaaaa-0000-0000-0000-000000000001"
ENDPOINT = "eeeeeeee-0000-0000-0000-000000000001"
DATA_TYPES = [
    "AnyFile",
    "AnyDirectory",
    "AzureBlobReference",
    "AzureDataLakeReference",
    "AzureFilesReference",
    "AzureSqlDatabaseReference",
    "AzurePostgresDatabaseReference",
    "AzureDataLakeGen2Reference",
    "AzureMLDataset",
    "AzureMySqlDatabaseReference",
    "DBFSReference",
]
KINDS = {"workspaceblobstore": "AzureBlob", "workspacefilestore": "AzureFile"}

NAIVE = {"datetime": "2026-12-01T16:00:00"}
KOREA = "Korea Standard Time"
FIELDS = ("frequency", "interval", "start_time", "time_zone", "hours", "minutes", "week_days", "time_of_day")
FREQUENCIES = ["Minute", "Hour", "Day", "Week", "Month"]
# All combinations of valid values.
FULL = {
    "frequency": FREQUENCIES,
    "interval": [1, 15],
    "start_time": [None, NAIVE, "2026-12-01T16:00:00"],
    "time_zone": [None, KOREA],
    "hours": [None, [], [9, 17]],
    "minutes": [None, [], [0, 30]],
    "week_days": [None, [], ["Monday", "Friday"]],
    "time_of_day": [None, "7:05"],
}
# Invalid values, each combined with otherwise valid ones.
WRONG: dict[str, list[Any]] = {
    "frequency": ["minute", "Year", "", None],
    "interval": [0, -1, "15", None],
    "start_time": [{"datetime": "2026-12-01T16:00:00+00:00"}, {"datetime": "2026-12-01T16:00:00+09:00"}],
    "time_zone": ["=Asia/Seoul", "=Korea Standard Time", "=KoreaStandardTime"],
    "hours": [[24], [-1], [9, 24], ["9"], 9],
    "minutes": [[60], [-1], [0, 60], ["0"], 0],
    "week_days": [["Funday"], ["monday"], [0], "Monday", 1],
    "time_of_day": ["24:00", "7:60", "7", "7:5", "noon", "", "-1:00", "007:05"],
}
BORDERS: list[dict[str, list[Any]]] = [
    {"frequency": ["Day", "Week"], "interval": [1], "hours": [[0], [23], [0, 23]], "minutes": [[0], [59]]},
    {"frequency": ["Day", "Week"], "interval": [2], "time_of_day": ["0:00", "00:00", "23:59", "09:05"]},
    {"frequency": ["Week"], "interval": [1], "week_days": [[day] for day in (
        "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")]},
    {"frequency": FREQUENCIES, "interval": [1, 2, 1000], "start_time": [{"datetime": "2026-12-01T16:00:00.123456"}]},
]  # fmt: skip


class Service(BaseHTTPRequestHandler):
    """The part of a workspace that creating a schedule needs."""

    created: list[Any] = []  # noqa: RUF012 - the class is the server's state

    def _answer(self, wire: Any) -> None:
        body = json.dumps(wire).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        """Answer the workspace, the discovery, the data types and the datastores."""
        host = f"http://{self.headers['Host']}"
        path = self.path.partition("?")[0]
        if path == "/discovery":
            services = ("api", "history", "experimentation", "hyperdrive", "modelmanagement", "studio")
            self._answer(dict.fromkeys(services, host))
        elif path.endswith("/DataTypes"):
            self._answer([{"Id": name, "Name": name, "ParentDataTypeIds": []} for name in DATA_TYPES])
        elif "/datastores/" in path:
            name = path.rpartition("/")[2]
            section = {"accountName": "a", "containerName": "c", "accountKey": "a2V5", "credentialType": "AccountKey"}
            section |= {"endpoint": "core.windows.net", "protocol": "https"}
            self._answer({"name": name, "dataStoreType": KINDS[name], "azureStorageSection": section})
        else:
            properties = {"workspaceId": "99999999-aaaa-bbbb-cccc-000000000001", "discoveryUrl": f"{host}/discovery"}
            self._answer({"id": path, "name": "ws", "location": "eastus", "properties": properties})

    def do_POST(self) -> None:
        """Store a creation, and answer with its entity."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.created.append(body)
        entity = {"Id": "s-1", "EntityStatus": "Active", "ProvisioningStatus": "Completed"}
        kind = "Recurrence" if body["ScheduleType"] == "0" else "DataStore"
        self._answer({**body, **entity, "ScheduleType": kind})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        """Log nothing."""


def serve() -> str:
    """Serve on a free port; returns the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class Recording:
    """The groups and their distinct outcomes."""

    def __init__(self, workspace: Any) -> None:
        self._workspace = workspace
        self._outcomes: dict[str, int] = {}
        self.groups: list[dict[str, Any]] = []

    def add(self, **axes: list[Any]) -> None:
        """Record the product of some axes; arguments without an axis are not given."""
        rows = itertools.product(*axes.values())
        results = [self._index(self._outcome(dict(zip(axes, row, strict=True)))) for row in rows]
        self.groups.append({"axes": axes, "results": results})

    def _index(self, outcome: Any) -> int:
        return self._outcomes.setdefault(json.dumps(outcome, sort_keys=True), len(self._outcomes))

    def _outcome(self, arguments: dict[str, Any]) -> dict[str, Any]:
        from azureml.pipeline.core import Schedule

        Service.created.clear()
        try:
            fields = {name: arguments.pop(name) for name in FIELDS if name in arguments}
            given = {name: self._read(name, value) for name, value in arguments.items() if value is not None}
            if fields:
                given["recurrence"] = self._recurrence(fields)
            target = given.pop("target")
            create = Schedule.create if target == "pipeline_id" else Schedule.create_for_pipeline_endpoint
            key = "pipeline_id" if target == "pipeline_id" else "pipeline_endpoint_id"
            ids = {"pipeline_id": PIPELINE, "pipeline_endpoint_id": ENDPOINT}
            create(self._workspace, name="nightly", experiment_name="MyExperiment", **{key: ids[key]}, **given)
        except Exception as error:  # noqa: BLE001 - any error is recorded
            assert not Service.created, "it sent a request before it refused"
            return {"refused": f"{type(error).__name__}: {error}"}
        (body,) = Service.created
        return {"sent": json.loads(json.dumps(body))}

    def _recurrence(self, fields: dict[str, Any]) -> Any:
        from azureml.pipeline.core import ScheduleRecurrence

        return ScheduleRecurrence(**{name: self._read(name, value) for name, value in fields.items()})

    def _read(self, name: str, value: Any) -> Any:
        from azureml.core import Datastore
        from azureml.data.datapath import DataPath
        from azureml.pipeline.core import TimeZone

        if isinstance(value, dict) and "datetime" in value:
            return datetime.fromisoformat(value["datetime"])
        if isinstance(value, dict) and "data_path" in value:
            store, path = value["data_path"]
            return DataPath(datastore=Datastore.get(self._workspace, store), path_on_datastore=path)
        if name == "pipeline_parameters":
            return {key: self._read(key, item) for key, item in value.items()}
        if name == "datastore":
            return Datastore.get(self._workspace, value)
        if name == "time_zone" and value is not None:
            # The SDK accepts zones as members of an enumeration, and refuses names.
            return value[1:] if value.startswith("=") else TimeZone(value)
        return value

    def save(self, path: Path) -> None:
        """Write the file, a group or an outcome on each line."""
        outcomes = list(self._outcomes)
        groups = [json.dumps(group, separators=(",", ":")) for group in self.groups]
        text = '{"groups":[\n' + ",\n".join(groups) + '\n],"outcomes":[\n' + ",\n".join(outcomes) + "\n]}\n"
        json.loads(text)
        path.write_text(text)


def record(recording: Recording) -> None:
    """Record everything."""
    from azureml.pipeline.core import TimeZone

    on_pipeline = {"target": ["pipeline_id"]}
    recording.add(**on_pipeline, **FULL)
    for field, values in WRONG.items():
        around = {
            "frequency": ["Week", "Day", "Hour"],
            "interval": [2],
            "start_time": [None, NAIVE],
            "time_zone": [None, KOREA],
        }
        recording.add(**on_pipeline, **{**around, field: values})
    for border in BORDERS:
        recording.add(**on_pipeline, **border)
    zones = [zone.value for zone in TimeZone]
    recording.add(**on_pipeline, frequency=["Day"], interval=[1], start_time=[None, NAIVE], time_zone=zones)

    submissions: dict[str, list[Any]] = {
        "description": [None, "Based on time"],
        "continue_on_step_failure": [None, True, False],
        "pipeline_parameters": [
            None,
            {"s": "abc", "i": 5, "f": 0.5, "b": True, "e": 1e-07},
            {"s": "abc", "input_data": {"data_path": ["workspaceblobstore", "incoming/f.csv"]}},
            {"input_data": {"data_path": ["workspaceblobstore", None]}},
        ],
    }
    targets = {"target": ["pipeline_id", "endpoint_id"]}
    recording.add(**targets, frequency=["Minute"], interval=[15], **submissions)
    triggers: dict[str, list[Any]] = {
        "datastore": ["workspaceblobstore", "workspacefilestore"],
        "polling_interval": [None, 1, 10, 0, -1],
        "path_on_datastore": [None, "incoming/daily"],
        "data_path_parameter_name": [None, "changed_blob"],
    }
    recording.add(**targets, **triggers)
    recording.add(**targets, datastore=["workspaceblobstore"], data_path_parameter_name=["changed_blob"], **submissions)
    # A recurrence with arguments for datastores only; and neither of the two.
    recording.add(
        **targets,
        frequency=["Day"],
        interval=[1],
        datastore=[None, "workspaceblobstore"],
        polling_interval=[None, 10],
        path_on_datastore=[None, "incoming/daily"],
        data_path_parameter_name=[None, "changed_blob"],
    )
    recording.add(**targets, path_on_datastore=[None, "incoming/daily"])


def main() -> None:
    """Serve, record, write the file named on the command line."""
    (path,) = sys.argv[1:]
    os.environ["AZUREML_CURRENT_CLOUD"] = "AzureCloud"
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home  # where the SDK caches discovered addresses
        # Inside a git checkout the SDK adds the commit to the properties.
        target = Path(path).resolve()
        os.chdir(home)
        from azureml.core import Workspace

        recording = Recording(Workspace.get(**WORKSPACE, auth=authentication(serve())))
        record(recording)
        recording.save(target)
    rows = sum(len(group["results"]) for group in recording.groups)
    sys.stdout.write(f"{rows} rows in {target.name}, {target.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
