"""How pages are compared: which are parsed again, and listings that name a blob twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.drivers.breaths import answer, ended
from support.drivers.listed_folder import ACCESS, FOLDER, Container, http_date, page_reply, take, watch

from aml_provider.blobs.changes import Scan
from aml_provider.blobs.cursor import Cursor
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.page_parser import Page, columns_of
from aml_provider.blobs.rules import Rules
from aml_provider.client.errors import MalformedReply
from aml_provider.client.http.messages import Pause


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


def test_only_the_blobs_of_a_page_decide_whether_it_is_parsed_again():
    """Its head and its marker may vary from listing to listing."""

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
    """Compared in one go, a million versions would block a trigger's event loop for a quarter of a second."""
    container = Container(page_size=5)
    container.write("a")
    known = watch(container, Cursor.of((number, number) for number in range(100_000)))
    flow = poll_folder(known, ACCESS)
    next(flow)
    assert flow.send(page_reply(next(container.pages()), http_date(0))) == Pause(0)
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


def test_a_version_on_two_pages_is_reported_once():
    container = Overlapping()
    state = watch(container)
    container.listing = [[("a", "1", 1)]]
    etags(container, state)
    container.listing = [[("a", "1", 1), ("b", "1", 1)], [("b", "1", 1), ("c", "1", 1)]]
    assert etags(container, state) == [("b", "1", "added"), ("c", "1", "added")]


def test_a_blob_of_an_unchanged_page_is_known_on_the_next_page_too():
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
    assert str(container.poll(state).counts).endswith("1 listed again later")
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
def test_a_listing_with_repeated_names_gives_the_same_as_one_with_their_last_rows(listings, ignore_empty, report):
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
def test_a_blob_that_is_not_directly_in_the_folder_voids_the_poll(name):
    container = Overlapping()
    state = watch(container, on_first_poll="report")
    container.listing = [[("a", "1", 1), (name, "1", 1), ("z", "1", 1)]]
    with pytest.raises(MalformedReply, match="not directly in the folder"):
        container.poll(state)


def test_only_the_number_of_sub_folders_is_kept():
    page = Page(columns_of([]), frozenset(), [b"in/%d/" % number for number in range(1000)])
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
    flow = poll_folder(state, ACCESS)
    next(flow)
    answer(flow, page_reply(next(container.pages()), http_date(0)))
    flow.close()

    assert take(container, state) == [("a", "added"), ("b", "added")]
