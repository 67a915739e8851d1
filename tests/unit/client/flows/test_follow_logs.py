"""The logs of a run, delivered as they grow: each line once, whatever happens to the files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models.growing_logs import GrowingLogs

from aml_provider.client.errors import InvalidArgument, Unreachable

STD = "user_logs/std_log.txt"


def test_what_is_new_is_delivered_once():
    logs = GrowingLogs("one")
    files = logs.files["one"]
    logs.changes = [
        lambda: files.update({STD: b""}),
        lambda: files.update({STD: b"a\n"}),
        lambda: None,
        lambda: files.update({STD: b"a\nb\n"}),
    ]
    logs.follow()
    assert logs.delivered == [(f"one/{STD}", b"a\n"), (f"one/{STD}", b"b\n")]
    assert logs.warnings == []


def test_what_is_written_after_the_end_of_the_run_is_delivered_too():
    logs = GrowingLogs("one")
    files = logs.files["one"]

    def end():
        logs.status = "Finished"
        files[STD] = b"a\n"

    logs.changes = [end, lambda: files.update({STD: b"a\nlast\n"})]
    logs.follow()
    assert logs.texts() == {f"one/{STD}": b"a\nlast\n"}


def test_a_run_that_has_ended_is_read_until_nothing_is_new():
    logs = GrowingLogs("one", "two")
    logs.status = "Finished"
    logs.files = {"one": {STD: b"a\n"}, "two": {STD: b"b\n"}}
    assert logs.follow().state.is_final
    assert logs.texts() == {f"one/{STD}": b"a\n", f"two/{STD}": b"b\n"}
    assert logs.pauses == [5.0]


def test_an_ended_log_that_never_stops_growing_does_not_keep_the_command():
    logs = GrowingLogs("one")
    logs.status = "Finished"
    files = logs.files["one"] = {STD: b"a\n"}

    def grow():
        files[STD] += b"more\n"

    logs.changes = [grow] * 50
    logs.follow()
    assert len(logs.pauses) == 2


def test_a_replaced_file_is_delivered_from_its_beginning():
    logs = GrowingLogs("one")
    files = logs.files["one"] = {STD: b"first\n"}
    logs.changes = [lambda: files.update({STD: b"second, and longer\n"}), lambda: files.update({STD: b"third\n"})]
    logs.follow()
    assert logs.texts() == {f"one/{STD}": b"first\nsecond, and longer\nthird\n"}
    assert [line.startswith(f"one/{STD} was replaced") for line in logs.warnings] == [True, True]


def test_a_rotated_file_loses_and_repeats_nothing():
    logs = GrowingLogs("one")
    files = logs.files["one"] = {STD: b"a\n"}

    def rotate():
        # Two lines were written, and the file was renamed, since the last poll.
        files[f"{STD}.1"] = b"a\nb\nc\n"
        files[STD] = b"d\n"

    logs.changes = [rotate]
    logs.follow()
    assert logs.delivered == [(f"one/{STD}", b"a\n"), (f"one/{STD}.1", b"b\nc\n"), (f"one/{STD}", b"d\n")]


def test_a_rotated_file_that_is_listed_later_is_recognised_too():
    logs = GrowingLogs("one")
    files = logs.files["one"] = {STD: b"a\n"}
    logs.changes = [lambda: files.update({STD: b"c\n"}), lambda: files.update({f"{STD}.1": b"a\nb\n"})]
    logs.follow()
    assert sorted(data for _, data in logs.delivered) == [b"a\n", b"b\n", b"c\n"]


def test_a_list_of_files_that_cannot_be_read_when_the_step_ends_is_read_again():
    logs = GrowingLogs("one", "two")
    logs.is_listed = False
    files = logs.files["one"] = {STD: b"a\n"}
    logs.stdout = {"one": "STDOUT", "two": "STDOUT of two"}

    def end():
        logs.statuses["one"] = "Completed"
        files[STD] = b"a\nend\n"
        logs.failing["artifacts"] = Unreachable("no route")

    logs.changes = [end, logs.failing.clear]
    logs.follow()
    assert logs.texts() == {f"one/{STD}": b"a\nend\n", "two/STDOUT": b"STDOUT of two"}


def test_a_list_of_files_that_stays_unreadable_is_named_at_the_end():
    logs = GrowingLogs("one")
    logs.is_listed = False
    logs.files["one"] = {STD: b"a\n"}
    logs.status = "Finished"
    logs.failing["artifacts"] = Unreachable("no route")
    logs.follow()
    assert logs.texts() == {}
    assert "something is missing above" in logs.warnings[-1]


def test_two_logs_that_begin_alike_are_two_logs():
    logs = GrowingLogs("one")
    files = logs.files["one"] = {"0.txt": b"start\n"}
    logs.changes = [lambda: files.update({"1.txt": b"start\nmine\n"})]
    logs.follow()
    assert logs.texts() == {"one/0.txt": b"start\n", "one/1.txt": b"start\nmine\n"}


def test_a_file_that_is_not_listed_for_a_while_is_not_repeated():
    logs = GrowingLogs("one")
    files = logs.files["one"] = {STD: b"a\n", "other": b"x\n"}
    logs.changes = [lambda: files.pop(STD), lambda: files.update({STD: b"a\nb\n"})]
    logs.follow()
    assert logs.texts() == {f"one/{STD}": b"a\nb\n", "one/other": b"x\n"}


def test_a_step_without_files_has_its_output_from_the_service_once_it_has_ended():
    logs = GrowingLogs("one")
    logs.stdout = {"one": "text\n"}
    logs.changes = [lambda: None]
    logs.follow()
    assert logs.delivered == [("one/STDOUT", b"text\n")]


def test_files_that_arrive_after_that_are_not_repeated():
    logs = GrowingLogs("one")
    logs.stdout = {"one": "text\n"}

    def late():
        logs.files["one"][STD] = b"text\nend\n"

    logs.changes = [lambda: logs.statuses.update(one="Completed"), late]
    logs.follow()
    assert b"".join(data for _, data in logs.delivered) == b"text\nend\n"


def test_only_the_wanted_step_is_delivered():
    logs = GrowingLogs("one", "two")
    logs.files = {"one": {STD: b"a\n"}, "two": {STD: b"b\n"}}
    logs.follow("two")
    assert logs.texts() == {f"two/{STD}": b"b\n"}


def test_a_step_that_does_not_exist_yet_is_waited_for():
    logs = GrowingLogs("one", "two")
    files = logs.files
    logs.files = {"one": {}}
    logs.stdout = {"one": "", "two": ""}

    def appear():
        logs.files = {**files, "two": {STD: b"b\n"}}

    logs.changes = [lambda: None, appear]
    logs.follow("two")
    assert logs.texts() == {f"two/{STD}": b"b\n"}
    assert logs.warnings == ["There is no step 'two' yet; the run has one. Waiting for it."]


def test_a_step_that_never_existed_is_an_error():
    logs = GrowingLogs("one")
    with pytest.raises(InvalidArgument, match="has no such step; it has one"):
        logs.follow("two")


def test_a_log_that_cannot_be_read_for_a_while_is_complete_in_the_end():
    logs = GrowingLogs("one")
    files = logs.files["one"] = {STD: b"a\n"}
    logs.changes = [
        lambda: logs.failing.update({f"one/{STD}": Unreachable("away"), "children": Unreachable("away")}),
        lambda: files.update({STD: b"a\nb\n"}),
        lambda: logs.failing.pop("children"),
        logs.failing.clear,
    ]
    logs.follow()
    assert logs.texts() == {f"one/{STD}": b"a\nb\n"}
    assert sum("It failed" in line for line in logs.warnings) == 2
    assert sum("It works again" in line for line in logs.warnings) == 2


def test_a_log_that_stays_unreadable_is_reported_at_the_end():
    logs = GrowingLogs("one", "two")
    logs.files = {"one": {STD: b"a\n"}, "two": {STD: b"b\n"}}
    logs.failing[f"one/{STD}"] = Unreachable("away")
    logs.follow()
    assert logs.texts() == {f"two/{STD}": b"b\n"}
    assert "something is missing above" in logs.warnings[-1]


def test_a_deadline_ends_it_and_not_the_run():
    logs = GrowingLogs("one")
    logs.files["one"] = {STD: b"a\n"}
    run = logs.follow(deadline=10.0, clock=lambda: 11.0)
    assert not run.state.is_final
    assert logs.texts() == {f"one/{STD}": b"a\n"}


def test_steps_that_have_ended_and_are_read_are_not_read_again():
    logs = GrowingLogs("one", "two")
    logs.files = {"one": {STD: b"a\n"}, "two": {}}
    logs.stdout = {"two": ""}
    logs.statuses["one"] = "Completed"
    logs.changes = [lambda: None] * 10
    logs.follow()
    assert sum("s-one/details" in path for path in logs.asked) == 2


# What may happen between two polls: lines are added to the file, or it is renamed and a new one begins.
CHANGES = st.lists(st.tuples(st.sampled_from(["add", "rotate", "none"]), st.integers(0, 400)), max_size=12)


@given(CHANGES, st.booleans())
def test_whatever_happens_each_line_is_delivered_once_and_in_order(changes, has_ranges):
    logs = GrowingLogs("one", has_ranges=has_ranges)
    files = logs.files["one"] = {STD: b""}
    written = []

    def write(count):
        for _ in range(count):
            written.append(b"line %d\n" % len(written))
            files[STD] += written[-1]

    def change(kind, count):
        if kind == "rotate" and files[STD]:
            write(count // 3)
            files[f"{STD}.{len(files)}"] = files[STD]
            files[STD] = b""
        if kind != "none":
            write(count)

    logs.changes = [lambda one=one: change(*one) for one in changes]
    logs.follow()
    assert b"".join(data for _, data in logs.delivered) == b"".join(written)
