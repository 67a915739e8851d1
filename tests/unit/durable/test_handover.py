"""The decision about a committed batch, and the stored record."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import datetime

import pytest
from airflow.providers.common.compat.sdk import DAG

from aml_provider.blobs.cursor import Cursor, Difference, undone
from aml_provider.compat import BaseOperator, Variable
from aml_provider.durable.handover import (
    BEHIND,
    BatchReturned,
    Commit,
    CursorMoved,
    Handover,
    Owner,
    Proceed,
    Replay,
    TakeOver,
    WaitFor,
    decide,
    default_cursor_key,
)
from aml_provider.state import variables
from aml_provider.state.cursor_stores import VariableCursorStore, variable_key
from aml_provider.state.other_tasks import states_for
from aml_provider.stored import CursorUnreadable

ME = Owner("dag", "run1", "watch", -1, 3)
OTHER = Owner("dag", "run0", "watch")
BATCH = [{"path": "in/{{ a }} ü.csv", "etag": "0x1", "change": "added"}]


class Store:
    """A record in memory; ``key`` and ``is_in`` are not needed here."""

    def __init__(self, record=None):
        self.text = None if record is None else record.encode()

    def load(self):
        return self.text

    def save(self, text):
        self.text = text


def texts(entries=((1, 1),), undo=((), ())):
    """A cursor and its undo text."""
    gone, back = undo
    return Cursor.of(entries).encode(), Difference(Cursor.of(gone), Cursor.of(back)).encode()


def commit(owner=OTHER, batch=BATCH):
    return Commit(1, owner, batch, *texts())


def handover(record, state=None):
    """My part in passing on batches; the record's owner has this state."""
    return Handover(ME, Store(record), lambda _: state, undone)


def stored(handover):
    return Commit.decode(handover.store.text)


def never(owner):
    raise AssertionError(f"nobody had to ask for {owner}")


def entries(text):
    return set(Cursor.decode(text).entries())


@pytest.mark.parametrize(
    "nothing", [None, commit(OTHER, []), commit(ME, [])], ids=["no record", "baseline", "own baseline"]
)
def test_without_a_batch_the_sensor_proceeds(nothing):
    assert decide(nothing, ME, never) == Proceed()


@pytest.mark.parametrize("me", [ME, ME._replace(generation=4)], ids=["retried", "cleared"])
def test_the_owner_gets_its_batch_again(me):
    assert decide(commit(ME), me, never) == Replay(BATCH)


@pytest.mark.parametrize(
    "other",
    [
        ME._replace(dag_id="dag2"),
        ME._replace(run_id="run2"),
        ME._replace(task_id="watch2"),
        ME._replace(map_index=0),
    ],
)
def test_another_task_instance_is_another_owner(other):
    assert decide(commit(other), ME, lambda _: "success") == Proceed()


@pytest.mark.parametrize(
    ("state", "decision"),
    [
        ("success", Proceed()),
        ("skipped", TakeOver(BATCH, OTHER, "skipped")),
        ("failed", TakeOver(BATCH, OTHER, "failed")),
        ("upstream_failed", TakeOver(BATCH, OTHER, "upstream_failed")),
        ("removed", TakeOver(BATCH, OTHER, "removed")),
        (BEHIND, TakeOver(BATCH, OTHER, BEHIND)),
        (None, TakeOver(BATCH, OTHER, None)),
        *[
            (state, WaitFor(OTHER, state))
            for state in (
                "no_status",
                "scheduled",
                "queued",
                "running",
                "restarting",
                "deferred",
                "up_for_retry",
                "up_for_reschedule",
                "some_new_state",
            )
        ],
    ],
)
def test_the_owners_state_decides_about_a_batch_of_another_task(state, decision):
    asked = []
    assert decide(commit(), ME, lambda owner: asked.append(owner) or state) == decision
    assert asked == [OTHER]


@pytest.mark.parametrize(
    ("state", "decision"),
    [
        ("success", Proceed()),
        (None, Proceed()),
        ("skipped", Proceed()),
        (BEHIND, Proceed()),
        ("failed", TakeOver(BATCH, OTHER, "failed")),
        ("no_status", WaitFor(OTHER, "no_status")),
    ],
)
def test_a_batch_that_was_seen_to_arrive_is_taken_over_only_if_its_owner_fails_later(state, decision):
    assert decide(commit()._replace(arrived=True), ME, lambda _: state) == decision


@pytest.mark.parametrize(
    ("runs", "owner", "state", "seen"),
    [
        (1, OTHER, "no_status", BEHIND),
        (1, OTHER, "queued", "queued"),
        (1, OTHER, None, None),
        # It can begin at any time.
        (2, OTHER, "no_status", "no_status"),
        (1, OTHER._replace(dag_id="dag2"), "no_status", "no_status"),
        (1, ME._replace(task_id="watch2"), "no_status", "no_status"),
        # It comes after ours, with a task in between.
        (2, ME._replace(task_id="later"), "no_status", BEHIND),
        (2, ME._replace(task_id="later"), "scheduled", "scheduled"),
        (2, ME._replace(task_id="earlier"), "no_status", "no_status"),
        (2, OTHER._replace(task_id="later"), "no_status", "no_status"),
    ],
)
def test_a_cleared_owner_that_cannot_begin_before_ours_has_ended_is_not_waited_for(runs, owner, state, seen):
    with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1), max_active_runs=runs):  # noqa: DTZ001
        task = BaseOperator(task_id="watch")
        BaseOperator(task_id="earlier") >> task >> BaseOperator(task_id="between") >> BaseOperator(task_id="later")
        BaseOperator(task_id="watch2")
    assert states_for(task, ME, lambda _: state)(owner) == seen
    assert states_for(BaseOperator(task_id="alone"), ME, lambda _: state)(owner) == state


def test_the_record_survives_being_stored():
    record = commit(ME._replace(map_index=2))
    assert Commit.decode(record.encode()) == record


def test_a_batch_that_did_not_arrive_is_taken_out_of_the_cursor():
    lost = Commit(4, OTHER, BATCH, *texts([(1, 1), (20, 2), (3, 3)], undo=([(20, 2), (3, 3)], [(2, 2)])))
    mine = handover(lost, "failed")
    assert mine.begin() == TakeOver(BATCH, OTHER, "failed")
    assert entries(mine.cursor_text) == {(1, 1), (2, 2)}
    assert (mine.is_decided, mine.is_open, mine.is_ahead) == (True, True, True)
    assert stored(mine) == lost, "stored together with what the next poll finds"

    mine.commit([], *texts([(1, 1), (2, 2), (9, 9)]))
    assert (stored(mine).serial, stored(mine).owner, stored(mine).batch) == (5, ME, [])
    assert entries(stored(mine).cursor_text) == {(1, 1), (2, 2), (9, 9)}
    assert (mine.is_open, mine.is_ahead) == (False, False)


def test_a_poll_without_changes_leaves_the_batch_with_its_owner():
    first = Commit(1, OTHER, BATCH, *texts([(1, 1), (2, 2)], undo=([(2, 2)], [])), arrived=True)
    mine = handover(first, "success")
    assert mine.begin() == Proceed()
    assert (mine.is_decided, mine.is_open, mine.is_ahead) == (True, False, False)
    mine.commit([], *texts([(1, 1), (2, 2), (9, 9)]))
    second = stored(mine)

    assert (second.serial, second.owner, second.batch) == (2, OTHER, BATCH)
    assert entries(undone(second.cursor_text, second.undo_text)[0]) == {(1, 1), (9, 9)}


def test_a_batch_that_arrived_is_remembered_with_the_next_write():
    """Its owner's DAG run may be deleted later."""
    mine = handover(commit(), "success")
    assert mine.begin() == Proceed()
    assert mine.is_ahead
    mine.commit([], *texts())
    assert stored(mine).arrived


@pytest.mark.parametrize(
    ("later", "is_delivered"), [("failed", False), ("running", False), ("skipped", True), (None, True)]
)
def test_a_batch_is_replaced_only_while_it_counts_as_delivered(later, is_delivered):
    states = ["success"]
    mine = Handover(ME, Store(commit()), lambda _: states[-1], undone)
    assert mine.begin() == Proceed()
    states.append(later)
    # Without changes of its own it replaces nothing.
    mine.commit([], *texts())
    assert (stored(mine).batch, stored(mine).arrived) == (BATCH, True)
    returned = pytest.raises(BatchReturned, match=f"{OTHER}, which took the last batch, is now {later}")
    with nullcontext() if is_delivered else returned:
        mine.commit([{"path": "in/new"}], *texts())
    assert stored(mine).owner == (ME if is_delivered else OTHER)


def test_a_batch_whose_owner_is_active_stops_everybody_else():
    mine = handover(commit(), "running")
    assert mine.begin() == WaitFor(OTHER, "running")
    assert (mine.is_decided, mine.is_open) == (False, True)


def test_taking_a_batch_again_moves_the_record():
    mine = handover(commit(ME._replace(generation=2))._replace(arrived=True))
    before = mine.store.text
    assert mine.begin() == Replay(BATCH)
    mine.replay()

    assert (stored(mine).serial, stored(mine).owner.generation, stored(mine).arrived) == (2, ME.generation, False)
    assert mine.store.text != before


def test_the_first_batch_has_the_first_serial():
    mine = handover(None)
    assert mine.begin() == Proceed()
    assert mine.cursor_text is None
    mine.commit(BATCH, *texts())
    assert stored(mine) == commit(ME)


def test_the_text_is_small():
    count = 10_000
    text = Commit(1, ME, BATCH, *texts([(i, i) for i in range(count)])).encode()
    assert len(text) - len(json.dumps(BATCH)) <= 18 * count


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", '{"format":2}', commit().encode()[:-9], commit().encode().replace('"dag_id"', '"dog_id"')],
)
def test_an_unreadable_record_is_not_a_missing_record(text):
    with pytest.raises(CursorUnreadable):
        Commit.decode(text)


def test_keys_are_readable_short_and_distinct():
    keys = {
        variable_key(*parts)
        for parts in [
            ("c", "store", "in/", "dag/watch"),
            ("c2", "store", "in/", "dag/watch"),
            ("c", "store2", "in/", "dag/watch"),
            ("c", "store", "", "dag/watch"),
            ("c", "store", "in/", "dag/watch/0"),
        ]
    }
    assert len(keys) == 5
    assert all(key.startswith("azureml_cursor_dag_watch_") for key in keys)
    assert len(variable_key("c", "s", "", "d" * 250 + "/" + "t" * 250)) == 250
    assert default_cursor_key(Owner("a.b", "r", "c")) != default_cursor_key(Owner("a", "r", "b.c"))
    assert default_cursor_key(Owner("a", "r", "b", 7)) == "a/b/7"


def sensitive_words():
    from support.airflow.moved import DEFAULT_SENSITIVE_FIELDS

    return sorted(DEFAULT_SENSITIVE_FIELDS)


@pytest.mark.parametrize("word", sensitive_words())
def test_airflow_does_not_treat_a_cursor_as_a_secret(word):
    key = variable_key("c", "s", "", f"dag_{word.upper()}_x/watch")
    assert not any(name in key.lower() for name in sensitive_words())


class MemoryStore(VariableCursorStore):
    """A Variable in memory, which others can write too."""

    def __init__(self, text=None, meddle=None):
        super().__init__("key")
        self.text = text
        self.meddle = meddle or (lambda: None)

    def _read(self):
        return self.text

    def _write(self, text):
        self.text = text
        self.meddle()


def test_a_record_replaces_the_loaded_one():
    store = MemoryStore()
    assert store.load() is None
    store.save("1")
    store.save("2")
    assert store.text == "2"
    assert MemoryStore("2").load() == "2"


@pytest.mark.parametrize("before", [None, "1"])
def test_a_record_that_somebody_else_wrote_is_not_overwritten(before):
    store = MemoryStore(before)
    store.load()
    store.text = "theirs"

    with pytest.raises(CursorMoved):
        store.save("mine")
    assert store.text == "theirs"
    assert store.load() == "theirs"
    store.save("mine")
    assert store.text == "mine"


def test_a_record_that_was_deleted_meanwhile_is_not_written():
    store = MemoryStore("1")
    store.load()
    store.text = None
    with pytest.raises(CursorMoved):
        store.save("2")


def test_losing_a_race_is_noticed():
    store = MemoryStore("1")
    store.load()
    store.meddle = lambda: setattr(store, "text", "theirs")
    with pytest.raises(CursorMoved, match="while"):
        store.save("2")


def test_an_overridden_variable_is_an_error():
    store = MemoryStore("1")
    store.load()
    store.meddle = lambda: setattr(store, "text", "1")
    with pytest.raises(RuntimeError, match="overrides"):
        store.save("2")


def test_saving_needs_loading():
    with pytest.raises(RuntimeError, match="loaded"):
        MemoryStore().save("1")


def test_a_variable_from_the_environment(monkeypatch):
    """The one kind of Variable that can be read without a database or a supervisor."""
    monkeypatch.setenv("AIRFLOW_VAR_AZUREML_CURSOR_X", "text")
    assert Variable.get("azureml_cursor_x", None) == "text"
    assert VariableCursorStore("azureml_cursor_x").load() == "text"


def test_a_variables_description_names_the_sensor_that_writes_it(monkeypatch):
    described = {}
    monkeypatch.setattr(variables, "read", lambda key: described.get(key, (None,))[0])
    monkeypatch.setattr(
        variables, "write", lambda key, value, description: described.__setitem__(key, (value, description))
    )
    for key, writer in (("a", "AzureBlobChangeSensor"), ("b", "AzureMLScheduleRunSensor")):
        store = VariableCursorStore(key, writer)
        store.load()
        store.save("text")
        assert writer in described[key][1]
