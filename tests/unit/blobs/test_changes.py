"""Which changes are reported: a model of the rules against the real thing, listing after listing."""

from __future__ import annotations

import copy
import fnmatch
import gc
import re
import tracemalloc
from array import array
from hashlib import blake2b
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.drivers.breaths import answer, ended
from support.drivers.listed_folder import FOLDER, Container, http_date, take, watch

from aml_provider.blobs.changes import _RECORD, FolderState, Scan
from aml_provider.blobs.cursor import Cursor, Difference
from aml_provider.blobs.listing import Reply, poll
from aml_provider.blobs.page_parser import Page
from aml_provider.blobs.rules import Rules
from aml_provider.client.errors import InvalidArgument, MalformedReply
from aml_provider.state.cursor_stores import variable_key


class Model:
    """The rules in their plainest form: of each name, the ETags that were decided, the latest one at the end."""

    def __init__(self, rules):
        self.rules = rules
        self.decided = None

    def poll(self, container):
        """Return what is to be reported and what is decided then."""
        old, rules = self.decided, self.rules
        if old is None and not rules.report_first:
            return [], {name: [blob[0]] for name, blob in container.blobs.items()}
        old = old or {}
        ready, after = [], {name: [*etags] for name, etags in old.items()}

        def decide(name, etag):
            after.setdefault(name, []).append(etag)

        for name, (etag, modified, size) in container.blobs.items():
            if etag in old.get(name, ()):
                continue
            if name == "" or (size == 0 and (rules.ignore_empty or name in container.directories)):
                continue
            if RECORD.fullmatch(name):
                continue
            if rules.settle and container.now - modified < rules.settle:
                continue
            if rules.patterns and not any(fnmatch.fnmatchcase(name, glob) for glob in rules.patterns):
                decide(name, etag)
            else:
                ready.append((modified, f"in/{name}", name, etag))
        taken = sorted(ready)[: rules.max_changes]
        for _, _, name, etag in taken:
            decide(name, etag)
        changes = [
            (name, "modified" if name in old else "added") for _, _, name, _ in sorted(taken, key=lambda t: t[1])
        ]
        return changes, after


def entries(decided):
    """What the cursor holds of these ETags by name: 64 bits of the version, 32 of the name."""
    return sorted(
        (array("Q", blake2b(f"in/{name}\0{etag}".encode(), digest_size=8).digest())[0], crc32(f"in/{name}".encode()))
        for name, etags in decided.items()
        for etag in etags
    )


RECORD = re.compile("azureml_cursor_.*0123456789abcdef.json")
OURS = "azureml_cursor_my_dag_0123456789abcdef.json"
NAMES = st.sampled_from(["a.csv", "b.csv", "c.txt", "d.csv", "e.txt", "f.csv", "sub", "sub.csv", "", "20260101", OURS])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), NAMES, st.sampled_from([0, 1, 1, 7])),
        st.tuples(st.just("delete"), NAMES),
        st.tuples(st.just("restore"), NAMES),
        st.tuples(st.just("deep"), st.sampled_from(["sub", "z", "20260101"])),
        st.tuples(st.just("directory"), st.sampled_from(["sub", "d.csv"])),
        st.tuples(st.just("wait"), st.integers(1, 4)),
        st.tuples(st.just("poll"), st.sampled_from(["hand over", "hand over", "crash before", "crash after", "undo"])),
    ),
    min_size=8,
    max_size=60,
)


@settings(max_examples=400, deadline=None)
@given(
    steps=STEPS,
    page_size=st.integers(1, 4),
    rules=st.builds(
        Rules.of,
        settle=st.sampled_from([0, 0, 2]),
        ignore_empty=st.booleans(),
        pattern=st.sampled_from([None, "*.csv", ["*.txt", "sub*"]]),
        max_changes=st.sampled_from([1, 2, 1000]),
        on_first_poll=st.sampled_from(["remember", "report"]),
    ),
    was_empty=st.booleans(),
)
def test_every_poll_reports_what_the_rules_say(steps, page_size, rules, was_empty):
    container, model = Container(page_size), Model(rules)
    # What a new process finds: the cursor's text and the model's state with it.
    stored = (Cursor().encode(), {}) if was_empty else (None, None)
    state = FolderState(FOLDER, rules, Cursor() if was_empty else None)
    model.decided = copy.deepcopy(stored[1])
    handed_over, bin_ = [], {}
    for step in [*steps, ("wait", 9), *[("poll", "hand over")] * 9]:
        if step[0] == "write":
            container.write(step[1], step[2])
        elif step[0] == "delete":
            bin_[step[1]] = container.blobs.pop(step[1], None) or bin_.get(step[1])
        elif step[0] == "restore":
            if bin_.get(step[1]) is not None:
                container.blobs[step[1]] = bin_[step[1]]
        elif step[0] == "deep":
            container.deep ^= {step[1]}
        elif step[0] == "directory":
            container.directories ^= {step[1]}
        elif step[0] == "wait":
            container.now += step[1]
        else:
            detection = container.poll(state)
            expected, after = model.poll(container)
            assert [(change["name"], change["change"]) for change in detection.changes] == expected
            assert sorted(detection.cursor.entries()) == entries(after)
            counts = detection.counts
            assert counts.listed == len(container.blobs)
            assert counts.folders == len(container.deep)
            assert (counts.added + counts.modified) == len(expected)
            parts = (counts.unchanged, counts.remembered, counts.filtered, counts.unsettled, counts.empty, counts.held)
            aside = counts.markers + counts.records
            assert counts.listed == counts.added + counts.modified + aside + sum(parts)
            if step[1] == "crash before":
                state = FolderState(FOLDER, rules, Cursor.decode(stored[0]) if stored[0] else None)
                model.decided = copy.deepcopy(stored[1])
                continue
            before = model.decided
            state.accept(detection)
            model.decided = after
            if detection.must_save:
                stored = (detection.cursor.encode(), copy.deepcopy(after))
            if step[1] == "undo" and expected:
                undo = Difference.decode(detection.undo.encode())
                cursor = Cursor.decode(stored[0]).apply(undo)
                for name, _ in expected:
                    after.pop(name)
                    if name in (before or {}):
                        after[name] = before[name]
                model.decided = copy.deepcopy(after)
                stored = (cursor.encode(), copy.deepcopy(after))
                state = FolderState(FOLDER, rules, cursor)
            else:
                handed_over += [(change["path"], change["etag"]) for change in detection.changes]
            if step[1] == "crash after":
                state = FolderState(FOLDER, rules, Cursor.decode(stored[0]) if stored[0] else None)
                model.decided = copy.deepcopy(stored[1])
    assert len(handed_over) == len(set(handed_over)), "a version was handed over twice"
    assert container.poll(state).changes == []


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


def test_an_overwritten_blob_that_had_to_wait_is_modified():
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


def test_max_changes_hands_out_the_oldest_first_and_everything_in_turn():
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
def test_directory_markers_are_no_blobs(ignore_empty):
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


def test_an_empty_blob_beside_a_folder_of_its_name_is_a_blob():
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
    """A blob `in/` with content would be a data path to all of the folder."""
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
def test_a_record_of_ours_is_never_reported_and_never_a_reason_to_write_one(name, is_record, rules):
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


def test_the_names_of_our_records_are_known():
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


class CountingState(FolderState):
    """Counts the pages that had to be parsed."""

    parsed = 0

    def scan(self):
        state = self

        class CountingScan(Scan):
            def add(self, digest, page, date):
                state.parsed += 1
                return super().add(digest, page, date)

        return CountingScan(self.folder, self.rules, self._pages, first=self._first)


def test_a_page_is_parsed_again_only_while_something_in_it_waits():
    container = Container(page_size=2)
    state = CountingState(FOLDER, Rules.of(settle=5), None)
    for name in "abcdef":
        container.write(name)
    take(container, state)
    assert state.parsed == 3
    take(container, state)
    assert state.parsed == 3
    container.now = 100
    container.write("d")
    for _ in range(3):
        take(container, state)
    assert state.parsed == 6
    container.now = 105
    assert take(container, state) == [("d", "modified")]
    take(container, state)
    assert state.parsed == 7


def test_only_what_a_page_says_of_its_blobs_makes_it_another_one():
    """Its head and its marker may vary from listing to listing; what stands between them must not."""

    class Varying(Container):
        def pages(self):
            for body in super().pages():
                yield body.replace(b">m", b">%d-" % self.polls).replace(b"landing", b"x" * self.polls)

    container = Varying(page_size=2)
    state = CountingState(FOLDER, Rules.of(), None)
    for name in "abcd":
        container.write(name)
    for container.polls in (3, 11, 7):
        assert take(container, state) == []
    assert state.parsed == 2
    container.blobs["d"] = (container.blobs["d"][0], 1, 2)
    assert take(container, state) == []
    assert state.parsed == 3


def test_a_large_cursor_is_compared_in_pieces():
    """In a trigger's event loop a million versions would take a quarter of a second in one go."""
    container = Container(page_size=5)
    container.write("a")
    known = watch(container, Cursor.of((number, number) for number in range(100_000)))
    flow = poll(known)
    next(flow)
    assert flow.send(Reply(200, next(container.pages()), http_date(0))) is None
    detection, breaths = ended(flow)
    # Five for the versions, five for the names, and those of the page.
    assert breaths >= 10
    assert [change["name"] for change in detection.changes] == ["a"]


class Overlapping(Container):
    """Its pages are what a test says: lists of (name, ETag, size)."""

    listing = ()

    def pages(self):
        self.blobs = {}
        for number, rows in enumerate(self.listing):
            marker = f">m{number}</NextMarker>" if number + 1 < len(self.listing) else " />"
            texts = [
                f"<Blob><Name>in/{name}</Name><Properties><Last-Modified>{http_date(0)}</Last-Modified><Etag>{etag}</Etag>"
                f"<Content-Length>{size}</Content-Length></Properties></Blob>"
                for name, etag, size in rows
            ]
            body = f"<EnumerationResults><Blobs>{''.join(texts)}</Blobs><NextMarker{marker}</EnumerationResults>"
            yield body.encode()


def etags(container, state):
    detection = container.poll(state)
    state.accept(detection)
    return [(change["name"], change["etag"], change["change"]) for change in detection.changes]


def test_of_one_name_on_two_pages_the_later_row_counts():
    container = Overlapping()
    state = watch(container, on_first_poll="report")
    container.listing = [[("a", "1", 1), ("b", "1", 1)], [("b", "2", 1), ("c", "1", 1)]]
    assert etags(container, state) == [("a", "1", "added"), ("b", "2", "added"), ("c", "1", "added")]
    assert etags(container, state) == []
    container.listing = [[("a", "1", 1), ("b", "2", 1)], [("c", "1", 1)]]
    assert etags(container, state) == []


def test_a_version_on_two_pages_is_handed_out_once():
    container = Overlapping()
    state = watch(container)
    container.listing = [[("a", "1", 1)]]
    etags(container, state)
    container.listing = [[("a", "1", 1), ("b", "1", 1)], [("b", "1", 1), ("c", "1", 1)]]
    assert etags(container, state) == [("b", "1", "added"), ("c", "1", "added")]


def test_what_is_on_a_page_that_is_as_before_is_known_on_the_next_one_too():
    container = Overlapping()
    state = watch(container)
    container.listing = [[("a", "1", 1), ("b", "1", 1)], [("c", "1", 1)]]
    etags(container, state)
    container.listing[1] = [("b", "1", 1), ("c", "1", 1)]
    assert etags(container, state) == []
    container.listing[1] = [("b", "2", 1), ("c", "1", 1)]
    assert etags(container, state) == [("b", "2", "modified")]


def test_a_new_version_before_the_old_one_waits_for_the_next_listing():
    container = Overlapping()
    state = watch(container)
    container.listing = [[("a", "1", 1)], [("b", "1", 1)]]
    etags(container, state)
    container.listing = [[("a", "1", 1), ("b", "2", 1)], [("b", "1", 1)]]
    assert etags(container, state) == []
    assert str(container.poll(state).counts).endswith("1 listed again further on")
    container.listing[1] = []
    assert etags(container, state) == [("b", "2", "modified")]


@settings(max_examples=500, deadline=None)
@given(
    listings=st.lists(
        st.lists(
            st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("123")), max_size=4),
            min_size=1,
            max_size=4,
        ),
        max_size=5,
    ),
    ignore_empty=st.booleans(),
    report=st.booleans(),
)
def test_a_listing_with_names_twice_is_as_good_as_one_with_their_last_rows(listings, ignore_empty, report):
    rules = {"ignore_empty": ignore_empty, "on_first_poll": "report" if report else "remember"}
    container, plain = Overlapping(), Overlapping()
    state, other = watch(container, **rules), watch(plain, **rules)
    for listing in [[], *(listing for listing in listings for _ in range(2))]:
        # One version has one size.
        pages = [[(name, etag, int(etag) % 2) for name, etag in page] for page in listing]
        container.listing = pages or [[]]
        last = {row[0]: row for page in pages for row in page}
        plain.listing = [sorted(last.values())]
        assert etags(container, state) == etags(plain, other)


def test_of_one_name_twice_on_a_page_the_later_row_counts():
    container = Overlapping()
    state = watch(container, on_first_poll="report")
    container.listing = [[("b", "1", 1), ("a", "1", 1), ("b", "2", 1)]]
    assert etags(container, state) == [("a", "1", "added"), ("b", "2", "added")]
    assert etags(container, state) == []


@pytest.mark.parametrize("name", ["../a", "sub/a", "sub/deep/a"])
def test_what_is_not_directly_in_the_folder_voids_the_poll(name):
    container = Overlapping()
    state = watch(container, on_first_poll="report")
    container.listing = [[("a", "1", 1), (name, "1", 1), ("z", "1", 1)]]
    with pytest.raises(MalformedReply, match="not directly in the folder"):
        container.poll(state)


def test_of_sub_folders_only_their_number_is_kept():
    page = Page([], frozenset(), [b"in/%d/" % number for number in range(1000)])
    scan = Scan(FOLDER, Rules.of(), (), first=True)
    for _ in scan.add(b"digest", page, None):
        pass
    assert not scan._prefixes


def test_a_failed_page_voids_the_poll():
    container = Container(page_size=1)
    state = watch(container)
    take(container, state)
    container.write("a")
    container.write("b")
    flow = poll(state)
    next(flow)
    answer(flow, Reply(200, next(container.pages()), http_date(0)))
    flow.close()

    assert take(container, state) == [("a", "added"), ("b", "added")]


def test_sizes():
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


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("settle", -1),
        ("settle", float("nan")),
        ("pattern", []),
        ("pattern", ""),
        ("pattern", [1]),
        ("pattern", "sub/*.csv"),
        ("pattern", ["*.csv", "[!/]*/a[/]"]),
        ("ignore_empty", "no"),
        ("ignore_empty", None),
        ("max_changes", 0),
        ("max_changes", True),
        ("max_changes", 1.5),
        ("on_first_poll", "ignore"),
    ],
)
def test_bad_arguments_are_named(argument, value):
    with pytest.raises(InvalidArgument, match=f"^{argument}: "):
        Rules.of(**{argument: value})
