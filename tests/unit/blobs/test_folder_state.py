"""Which changes are reported, rule by rule, and what a folder's state costs."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from support.drivers.listed_folder import Container, take, watch

from aml_provider.blobs.changes import _RECORD
from aml_provider.blobs.cursor import Cursor
from aml_provider.client.errors import MalformedReply
from aml_provider.state.cursor_stores import variable_key

OURS = "azureml_cursor_my_dag_0123456789abcdef.json"


def test_a_change_carries_what_a_data_path_needs():
    container = Container()
    state = watch(container, on_first_poll="report")
    container.write("a.csv", 5)

    assert container.poll(state).changes == [
        {
            "datastore": "store",
            "container_url": "https://acct.blob.core.windows.net/landing",
            "path": "in/a.csv",
            "name": "a.csv",
            "etag": "0x1",
            "last_modified": "2026-11-22T12:00:00+00:00",
            "size": 5,
            "change": "added",
        }
    ]


def test_a_second_write_within_the_same_second_is_reported():
    container = Container()
    state = watch(container)
    container.write("a")
    take(container, state)
    container.write("a")

    assert take(container, state) == [("a", "modified")]


def test_a_blob_with_old_time_stamps_is_reported():
    """A directory rename in a hierarchical namespace keeps them."""
    container = Container()
    state = watch(container)
    container.now = 100
    container.write("a")
    take(container, state)
    container.blobs["renamed"] = ("0xABC", 1, 1)

    assert take(container, state) == [("renamed", "added")]


def test_an_overwritten_blob_that_waited_for_settle_is_modified():
    container = Container()
    state = watch(container, settle=10)
    container.write("a")
    take(container, state)
    container.now = 100
    container.write("a")

    assert take(container, state) == []
    assert take(container, watch(container, Cursor.decode(state.cursor.encode()), settle=10)) == []
    container.now = 110
    assert take(container, state) == [("a", "modified")]


def test_an_empty_blob_is_reported_when_it_is_filled():
    container = Container()
    state = watch(container)
    take(container, state)
    container.write("a", 0)

    assert take(container, state) == []
    assert str(container.poll(state).counts) == "listed 1: 0 new, 0 modified, 0 unchanged, 1 waiting because empty"
    container.write("a", 3)
    assert take(container, state) == [("a", "added")]


def test_a_changed_pattern_does_not_replay():
    container = Container()
    state = watch(container, pattern="*.csv")
    take(container, state)
    container.write("a.txt")
    container.write("A.CSV")

    detection = container.poll(state)
    assert detection.changes == []
    assert detection.must_save
    changed = watch(container, detection.cursor, pattern=["*.txt", "*.CSV"])
    assert take(container, changed) == []
    container.write("a.txt")
    assert take(container, changed) == [("a.txt", "modified")]


def test_max_changes_reports_the_oldest_first_and_everything_in_turn():
    container = Container()
    state = watch(container, max_changes=2)
    take(container, state)
    for number, name in enumerate("edcba"):
        container.now = number
        container.write(name)

    detection = container.poll(state)
    state.accept(detection)
    assert [change["name"] for change in detection.changes] == ["d", "e"]
    assert detection.counts.held == 3
    assert take(container, state) == [("b", "added"), ("c", "added")]
    assert take(container, state) == [("a", "added")]


def test_a_first_listing_beyond_max_changes_keeps_only_what_can_be_reported():
    container = Container(page_size=5000)
    for number in range(13_000):
        container.now = 13_000 - number
        container.write(f"{number:05}")
    state = watch(container, on_first_poll="report", max_changes=3)

    assert take(container, state) == [("12997", "added"), ("12998", "added"), ("12999", "added")]
    assert len(state.cursor) == 3
    assert take(container, state) == [("12994", "added"), ("12995", "added"), ("12996", "added")]
    assert container.poll(state).counts.held == 13_000 - 9


@pytest.mark.parametrize("ignore_empty", [True, False])
def test_directory_markers_are_not_blobs(ignore_empty):
    container = Container(page_size=1)
    state = watch(container, ignore_empty=ignore_empty)
    take(container, state)
    container.write("", 0)  # in/
    container.write("sub", 0)
    container.deep = container.directories = {"sub"}
    for name in ("sub-1", "sub.csv"):  # both sort between in/sub and in/sub/
        container.write(name)

    detection = container.poll(state)
    state.accept(detection)
    assert [change["name"] for change in detection.changes] == ["sub-1", "sub.csv"]
    assert detection.counts.markers == 2
    container.deep = set()
    assert take(container, state) == []


def test_an_empty_blob_next_to_a_folder_of_its_name_is_a_blob():
    """A flag file; only its metadata would make it a directory."""
    container = Container(page_size=1)
    state = watch(container, ignore_empty=False)
    container.deep = {"20260101"}
    take(container, state)
    container.write("20260101", 0)
    assert take(container, state) == [("20260101", "added")]
    container.write("20260101", 0)
    container.write("other", 0)
    assert take(container, state) == [("20260101", "modified"), ("other", "added")]


@pytest.mark.parametrize("ignore_empty", [True, False])
@pytest.mark.parametrize("size", [0, 7])
def test_no_change_has_an_empty_name(ignore_empty, size):
    """A blob `in/` with content would be a data path to the whole folder."""
    container = Container()
    state = watch(container, ignore_empty=ignore_empty, on_first_poll="report")
    for _ in range(2):
        container.write("", size)
        container.write("a")
        detection = container.poll(state)
        state.accept(detection)
        assert [change["name"] for change in detection.changes] == ["a"]
        assert detection.counts.markers == 1


@pytest.mark.parametrize(
    ("name", "is_record"),
    [
        (OURS, True),
        ("azureml_cursor_0123456789abcdef.json", True),
        ("azureml_cursor_a.b-c_d_0123456789abcdef.json", True),
        ("azureml_cursor_0123456789abcdef.json.bak", False),
        ("azureml_cursor_notes.json", False),
        ("my_azureml_cursor_0123456789abcdef.json", False),
    ],
)
@pytest.mark.parametrize("rules", [{}, {"on_first_poll": "report"}, {"ignore_empty": False}, {"settle": 1}])
def test_a_blob_that_holds_a_cursor_is_never_reported_and_never_a_reason_to_save_one(name, is_record, rules):
    container = Container()
    state = watch(container, **rules)
    take(container, state)
    for _ in range(3):
        container.write(name)
        container.now += 5
        detection = container.poll(state)
        state.accept(detection)
        assert [change["name"] for change in detection.changes] == [name] * (not is_record)
        assert detection.must_save is not is_record
        assert detection.counts.records == is_record
        # Also while its page stays the same.
        assert container.poll(state).counts.records == is_record


def test_the_names_of_blobs_that_hold_cursors_are_recognised():
    for key in ("", "a", "dag/task/7", "with secret", "ä" * 300, "x" * 300):
        name = f"{variable_key('conn', 'store', 'in/', key)}.json"
        assert _RECORD.fullmatch(name.encode()), name


def test_settle_needs_the_servers_date():
    container = Container()
    state = watch(container, settle=1)
    take(container, state)
    container.write("a")

    with pytest.raises(MalformedReply, match="Date"):
        container.poll(state, date=False)


def test_memory_and_text_for_each_blob_are_bounded():
    container = Container(page_size=5000)
    for number in range(20_000):
        container.write(f"part-{number:08}")
    state = watch(container)
    pages = list(container.pages())
    container.pages = lambda: pages
    tracemalloc.start()
    try:
        take(container, state)
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] / 20_000
    finally:
        tracemalloc.stop()

    assert kept <= 14
    assert len(state.cursor) == 20_000
    assert len(state.cursor.encode()) / 20_000 <= 18
