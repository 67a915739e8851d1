"""A damaged stored record is always an error that says so; it is never taken for an absent one."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_provider.blobs.access import ContainerAccess, Location
from aml_provider.blobs.cursor import Cursor, Difference, undone
from aml_provider.blobs.etag_record import read_record
from aml_provider.blobs.events import ChangeEvent, changes_of, event_id, read_change_event
from aml_provider.blobs.folder import Folder
from aml_provider.client.http.reply import Reply
from aml_provider.durable.ended_runs import SeenRuns, run_hash
from aml_provider.durable.handover import Commit, Owner
from aml_provider.durable.record import SubmissionRecord
from aml_provider.durable.run_cursor import RunCursor
from aml_provider.durable.run_events import RunEvent, read_run_event
from aml_provider.durable.schedule_intent import Intent
from aml_provider.state.cursor_stores import VariableCursorStore
from aml_provider.state.slots import intent_slot
from aml_provider.state.task_records import TaskStateSubmissionStore, VariableSubmissionStore, stored_record
from aml_provider.state.watcher_records import VariableRecords
from aml_provider.stored import CursorUnreadable, StoredRecordDamaged, damaged, parse, reading
from aml_provider.watching.outbox import WatcherRecord

CHANGE = {
    "datastore": "store",
    "container_url": "https://a.blob.core.windows.net/c",
    "path": "in/a",
    "name": "a",
    "etag": "1",
    "last_modified": "2026-11-22T12:00:00+00:00",
    "size": 1,
    "change": "added",
}
CURSOR = Cursor.of([(1, 2)]).encode()
COMMIT = Commit(1, Owner("dag", "run", "task"), [CHANGE], CURSOR, Difference(Cursor(), Cursor()).encode())
OUTBOX = (ChangeEvent(id=event_id([CHANGE]), changes=[CHANGE]),)
RUNS = RunCursor(
    datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), (("r", datetime(2026, 1, 2, tzinfo=UTC)),)
)
SEEN = SeenRuns(1_780_000_000, {"run-2": 1_779_000_000}, {run_hash("run-1"): 1_780_000_001})
RUN_EVENT = dict.fromkeys(RunEvent.__annotations__, "x")
RECORD = SubmissionRecord("g", 1, 0, 0, "k", "f", "e", None, 1.5)


class Store(dict):
    def set(self, key, value):
        self[key] = value


def a_commit(text):
    """Read a record like a sensor that goes on from it, or takes its own batch again."""
    commit = Commit.decode(text)
    with reading(damaged):
        changes_of(commit.batch)
    undone(commit.cursor_text, commit.undo_text)


def a_record(text):
    TaskStateSubmissionStore(Store(azureml_submission=text)).load()


def an_intent(text):
    first_try = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)
    Intent.load(intent_slot({"task_state_store": Store(azureml_schedule_intent=text), "ti": first_try}))


def a_run_watcher(text):
    record = WatcherRecord.from_json(parse(text), read_run_event)
    if record.cursor_text is not None:
        SeenRuns.decode(record.cursor_text)


READERS = {
    "what a sensor has seen": (COMMIT.encode(), a_commit),
    "what a watcher has seen": (
        json.dumps(WatcherRecord(CURSOR, OUTBOX).to_json()),
        lambda text: WatcherRecord.from_json(parse(text), read_change_event),
    ),
    "which runs have ended": (json.dumps(WatcherRecord(SEEN.encode(), (RUN_EVENT,)).to_json()), a_run_watcher),
    "which runs were followed": (RUNS.encode(), RunCursor.decode),
    "a submission": (json.dumps(RECORD._asdict()), a_record),
    "an intent": (json.dumps(Intent("k", 1.5)._asdict()), an_intent),
}
ERRORS = (CursorUnreadable, StoredRecordDamaged)
BAD = [
    "[" * 100_000,
    "9" * 5000,
    "1e999",
    "Infinity",
    "-Infinity",
    "NaN",
    "",
    "{",
    "[]",
    "{}",
    '"x"',
    "7",
    "true",
    "\ufffd",
]


def reads(kind, text):
    """Whether it is read; any error except damage fails the test."""
    try:
        READERS[kind][1](text)
    except ERRORS as error:
        message = str(error)
    else:
        return True
    assert "damaged" in message or "has format" in message
    assert len(message) < 800
    return False


@pytest.mark.parametrize("kind", READERS)
def test_a_stored_text_is_read(kind):
    assert reads(kind, READERS[kind][0])


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("text", BAD, ids=[text[:12] or "empty" for text in BAD])
def test_a_text_that_is_not_a_record_is_damage(kind, text):
    if kind in {"what a watcher has seen", "which runs have ended"}:
        with pytest.raises((CursorUnreadable, ValueError, RecursionError)):
            READERS[kind][1](text)
    else:
        assert not reads(kind, text)


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def replaced(value, path, text):
    """The JSON with one part of it replaced by this text."""
    if not path:
        return text
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(k)}:{replaced(v, path[1:], text) if k == path[0] else json.dumps(v)}"
            for k, v in value.items()
        ]
        return "{" + ",".join(parts) + "}"
    return (
        "["
        + ",".join(replaced(v, path[1:], text) if i == path[0] else json.dumps(v) for i, v in enumerate(value))
        + "]"
    )


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_a_record_with_a_replaced_part_is_read_or_damaged(data):
    kind = data.draw(st.sampled_from([*READERS]))
    whole = json.loads(READERS[kind][0])
    path = data.draw(st.sampled_from([*places(whole)][1:]))
    text = data.draw(st.sampled_from([*filter(None, BAD[:-1]), "null", '"\\ud800"', "1.5", "-1"]))
    try:
        reads(kind, replaced(whole, path, text))
    except (ValueError, RecursionError):
        # Airflow's own store parses it before it is read; VariableRecords turns it into damage, see below.
        assert kind in {"what a watcher has seen", "which runs have ended"}


@pytest.mark.parametrize("kind", READERS)
def test_a_part_of_another_type_is_damage(kind):
    whole = json.loads(READERS[kind][0])
    for path in places(whole):
        assert not reads(kind, replaced(whole, path, '{"a": [1]}')) or path == ("arrived",), path


@pytest.mark.parametrize("part", ["cursor", "undo"])
def test_a_cursor_that_could_not_be_written_again_is_damage(part):
    assert not reads("what a sensor has seen", json.dumps(json.loads(COMMIT.encode()) | {part: "1.00000000.\ud800"}))


def test_a_variable_that_is_not_utf_8_is_damage(monkeypatch):
    store = VariableCursorStore("key")
    monkeypatch.setattr("aml_provider.state.variables.read", lambda _: "{\udcff}")
    assert not reads("what a sensor has seen", store.load())


@pytest.mark.parametrize("text", BAD)
def test_a_damaged_variable_of_a_watcher_is_an_error(text, monkeypatch):
    records = VariableRecords("key", read_change_event, "AzureBlobChangeTrigger")
    monkeypatch.setattr(records._store, "_read", lambda: text)
    with pytest.raises(CursorUnreadable, match="damaged"):
        asyncio.run(records.load())


def test_a_blob_that_is_not_text_is_a_damaged_record():
    flow = read_record(Location(Folder("https://a.blob.core.windows.net/c", "r/"), ContainerAccess(sas="x")), "r.json")
    next(flow)
    with pytest.raises(CursorUnreadable, match="damaged"):
        flow.send(Reply(200, {"etag": "1"}, b"\xff\xfe{", "id"))


@pytest.mark.parametrize("place", ["key", "archive"])
@pytest.mark.parametrize(
    "text", [*BAD, '{"run": 1}', '{"run": [2, []]}', '{"run": ["x", {}]}', '{"run": [2, {"key": 1}]}']
)
def test_a_damaged_submission_says_which_variable_to_delete(place, text, monkeypatch):
    if (place, text) == ("archive", "{}"):
        return  # nothing has ended yet
    variables = {place: text}
    monkeypatch.setattr("aml_provider.state.variables.read", variables.get)
    with pytest.raises(StoredRecordDamaged, match=f"delete the Variable {place}: "):
        VariableSubmissionStore("key", "archive", "run", 3).load()


@pytest.fixture
def seen_by_the_server(monkeypatch):
    """Reads a record like the API server, from a faked task state store; tests/dags use Airflow's own."""
    state = pytest.importorskip("airflow.state", reason="Airflow has a task state store from 3.3 on")

    def read(text):
        monkeypatch.setattr(state, "get_state_backend", lambda: SimpleNamespace(get=lambda *_: text))
        return stored_record("dag", "run", "task", -1)

    return read


@pytest.mark.parametrize(
    "text",
    [
        *(text for text in BAD if text not in {"{}", '"x"'}),
        '{"key": ' * 100_000,
        '{"key": Infinity}',
        f'{{"key": {"9" * 5000}}}',
        *(json.dumps(RECORD._asdict() | fields) for fields in ({"key": None}, {"ordinal": 1.5}, {"submitted_at": "x"})),
        json.dumps(RECORD._asdict()).replace("1.5", "9" * 400),
        json.dumps(RECORD._asdict()).replace("1.5", "1e999"),
    ],
    ids=lambda text: text[:30],
)
def test_a_damaged_submission_is_an_error_in_the_api_server(text, seen_by_the_server):
    with pytest.raises(StoredRecordDamaged, match="delete the key azureml_submission in its task state store: "):
        seen_by_the_server(text)


@pytest.mark.parametrize("text", ["{}", '{"ref": "somewhere"}', '"s3://bucket/a-key"'])
def test_a_reference_to_a_submission_is_not_taken_for_a_damaged_one(text, seen_by_the_server):
    with pytest.raises(RuntimeError, match="where the API server cannot read it"):
        seen_by_the_server(text)


def test_the_api_server_reads_what_a_task_stored(seen_by_the_server):
    assert seen_by_the_server(json.dumps(RECORD._asdict())) == RECORD
    assert seen_by_the_server(None) is None
