"""Records pass through XCom as what they were, whatever the service wrote into them."""

from __future__ import annotations

import ast
import importlib
import json
import math
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.airflow.xcom import read, stored

from aml_provider.client import entities
from aml_provider.client.entities import (
    HistoryRun,
    JobSchedule,
    MetricValue,
    Output,
    PipelineEndpoint,
    PipelineInterface,
    PipelineRun,
    RunDetails,
    RunState,
    Schedule,
)
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.models import DataPath
from aml_provider.client.portable import Portable, pack, unpack
from aml_provider.client.secret import Secret
from aml_provider.client.settings import WorkspaceSettings
from aml_provider.xcom import CLASSES, allow_classes

ODD_TEXTS = ["", "\0", "\ud800", "a\nb", "é", "***", '{"json": 1}']
ODD_TAGS = {
    "__classname__": "airflow.models.Connection",
    "__version__": "1",
    "__data__": "x",
    "__type": "set",
    "__var": "y",
}


@pytest.fixture(autouse=True)
def allowed():
    allow_classes()


def test_every_entity_is_allowed():
    found = {item for item in vars(entities).values() if isinstance(item, type)} | {Secret, WorkspaceSettings}
    assert {f"{item.__module__}.{item.__qualname__}" for item in found} == CLASSES
    for name in CLASSES:
        module, _, item = name.rpartition(".")
        assert hasattr(getattr(importlib.import_module(module), item), "deserialize")


def test_every_dataclass_of_the_client_that_a_hook_returns_is_portable():
    for item in vars(entities).values():
        if isinstance(item, type) and item is not RunState:
            assert issubclass(item, Portable)


@pytest.mark.parametrize(
    "record",
    [
        PipelineRun.from_wire({"Id": "r", "tags": ODD_TAGS, "Properties": dict.fromkeys(ODD_TEXTS, "\0")}),
        PipelineRun.from_wire({"Id": "r", "Status": {"StatusCode": "Novel", "CreationTime": "0001-01-01T00:00:00"}}),
        PipelineRun.from_wire({"Id": "r", "Status": {"CreationTime": "2026-03-29T02:30:00.1234567+05:45"}}),
        PipelineRun.from_wire({"Id": "r", "Status": {"CreationTime": "9999-12-31T23:59:59.9999999Z"}}),
        HistoryRun.from_wire({"runId": "r", "tags": {"a": None}, "displayName": "\ud800"}),
        MetricValue({"loss": math.inf, "big": 10**400, "deep": [{"x": -math.inf}], "__type": 1}, 2**64, None),
        PipelineEndpoint.from_wire(
            {"Id": "e", "PipelineVersionList": [{"Version": "0", "PipelineId": "p"}], **ODD_TAGS}
        ),
        Schedule.from_wire({"Id": "s", "Recurrence": {"Schedule": {"Hours": [1, 2]}}, **ODD_TAGS}),
        JobSchedule.from_wire(
            {
                "name": "s",
                "properties": {"trigger": {"schedule": {"hours": [1]}}, "tags": ODD_TAGS, "new": [{"a": None}]},
            }
        ),
        PipelineInterface.from_wire(
            {
                "Parameters": [{"Name": "__type", "DefaultValue": "1"}, {"Name": "__var", "IsOptional": True}],
                "DataPathParameters": [{"Name": "in", "DefaultValue": {"DataStoreName": "s", "RelativePath": "p"}}],
                "DataPathParameterList": [{"Name": "table"}],
            }
        ),
        *RunState,
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_stored_result_reads_back_equal(record):
    for value in (record, [record], {"one": record}, (record, None)):
        again = read(stored(value))
        assert again == value
        assert type(again) is type(value)


def test_not_a_number_comes_back():
    again = read(stored(MetricValue({"loss": math.nan}, 1, datetime(2026, 1, 1, tzinfo=UTC))))
    assert math.isnan(again.value)


def test_a_data_path_inside_an_entity_comes_back_as_one():
    interface = PipelineInterface({}, frozenset({"in"}), frozenset(), {"in": DataPath("store", "a\0b")})
    again = read(stored(interface))
    assert isinstance(again.data_path_defaults["in"], DataPath)
    assert isinstance(again.data_paths, frozenset)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


@given(JSON.filter(lambda value: not isinstance(value, (list, dict)) or value))
def test_whatever_json_holds_is_packed_and_unpacked(value):
    packed = json.loads(json.dumps(pack(value), allow_nan=False))
    assert unpack(packed) == value
    json.dumps(packed).encode()


def test_what_a_later_version_wrote_is_not_guessed_at():
    with pytest.raises(TypeError, match="later version of airflow-provider-azureml"):
        PipelineRun.deserialize({}, 2)


def test_a_state_that_a_later_version_knows_is_unknown():
    assert RunState.deserialize("Paused", 1) is RunState.UNKNOWN


def test_fields_of_later_versions_are_passed_over():
    text = stored(RunDetails("broken", {}))
    assert read(text.replace('"error"', '"news": 1, "error"')) == RunDetails("broken", {})


def test_addresses_that_are_signed_stay_behind():
    url = "https://account.blob.core.windows.net/c/log.txt?sig=planted"
    reference = {"AmlDataStoreName": "store", "Uri": url}
    output = Output.from_wire({"DataLocation": {"DataReference": {"Type": "1", "AzureBlobReference": reference}}})
    details = RunDetails("broken", {"log.txt": url})
    assert (output.uri, details.log_files) == (url, {"log.txt": url})
    for record in (output, details):
        assert "planted" not in stored(record) + repr(record)
    with pytest.raises(InvalidArgument, match="is not passed between tasks"):
        _ = read(stored(output)).uri


def test_a_process_that_never_heard_of_us_reads_them(tmp_path):
    """A worker loads plugins before a task; the task's own code need not import anything of ours."""
    folder = Path(__file__).parents[2] / "support" / "airflow"
    for source in (folder / "xcom.py", folder / "moved.py"):
        assert not any("aml_provider" in line for line in ast.unparse(ast.parse(source.read_text())).splitlines())
    program = (
        f"import sys; sys.path.insert(0, {str(folder.parents[1])!r})\n"
        "from support.airflow.moved import get_listener_manager; get_listener_manager()\n"
        "from support.airflow.xcom import read; print(repr(read(sys.argv[1])))"
    )
    record = PipelineRun.from_wire({"Id": "r", "Status": {"StatusCode": "Finished"}})
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, stored([record, RunState.FINISHED])],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert repr([record, RunState.FINISHED]) in ended.stdout, ended.stderr
