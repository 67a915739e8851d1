"""What is new of a log file, and whether it is still the same file."""

from __future__ import annotations

import gzip

import pytest
from support.drivers.driving import play, requests
from support.models.growing_logs import GrowingLogs

from aml_provider.client.errors import MalformedReply, ServiceError
from aml_provider.client.flows.log_file import OVERLAP, LogFile, News, read_news
from aml_provider.client.http.reply import Reply

LONG = b"".join(b"line %d\n" % number for number in range(1000))


def read(content):
    """A file of which this has been read."""
    known = LogFile()
    known.add(content)
    return known


def news(content, known, **options):
    """The news of a file with this content, and the requests."""
    logs = GrowingLogs("one", **options)
    logs.files["one"]["log"] = content
    found = logs.carry_out(read_news("read it", "http://127.0.0.1/logs/one/log", known))
    return found, [dict(step.headers).get("Range") for step in logs.steps]


@pytest.mark.parametrize("has_ranges", [True, False])
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (b"", b"", News(b"")),
        (b"", b"a\n", News(b"a\n")),
        (b"a\n", b"a\n", News(b"")),
        (b"a\n", b"a\nb\n", News(b"b\n")),
        (LONG, LONG + b"b\n", News(b"b\n")),
        (b"a\n", b"b\n", News(b"b\n", is_replaced=True)),
        (b"a\n", b"", News(b"", is_replaced=True)),
        (LONG, b"short\n", News(b"short\n", is_replaced=True)),
        (LONG, b"other\n" * 5000, News(b"other\n" * 5000, is_replaced=True)),
        # The beginning was removed, and something was added.
        (LONG, LONG[3000:] + b"b\n", News(b"b\n")),
        # A few bytes that occur in another file say nothing.
        (b"a\n", b"b\na\nc\n", News(b"b\na\nc\n", is_replaced=True)),
    ],
)
def test_each_byte_is_news_once(before, after, expected, has_ranges):
    assert news(after, read(before), has_ranges=has_ranges)[0] == expected


def test_only_the_end_is_requested_again():
    _, ranges = news(LONG + b"b\n", read(LONG))
    (only,) = ranges
    assert only.startswith(f"bytes={len(LONG) - OVERLAP}-")


def test_a_large_file_is_read_in_parts():
    found, ranges = news(LONG, LogFile(2000))
    assert found == News(LONG)
    assert ranges[:2] == ["bytes=0-1999", "bytes=2000-3999"]
    assert len(ranges) == -(-len(LONG) // 2000)


def test_a_file_that_is_cut_off_while_it_is_read_gives_what_was_there():
    first = Reply(206, {"content-range": "bytes 0-9/30"}, b"0123456789", "id")
    found, steps = play(read_news("read it", "http://x", LogFile(10)), first, Reply(416, {}, b"", "id"))
    assert found == News(b"0123456789")
    assert len(requests(steps)) == 2


def test_a_part_that_was_not_requested_is_not_used():
    wrong = Reply(206, {"content-range": "bytes 5-7/8"}, b"xyz", "id")
    found, steps = play(read_news("read it", "http://x", LogFile()), wrong, Reply(200, {}, b"01234xyz", "id"))
    assert found == News(b"01234xyz")
    assert [dict(step.headers) for step in requests(steps)][1] == {}


def test_a_part_that_cannot_be_decompressed_is_requested_as_a_whole():
    error = MalformedReply("read it", status=206)
    found, _ = play(read_news("read it", "http://x", read(b"a\n")), error, Reply(200, {}, b"a\nb\n", "id"))
    assert found == News(b"b\n")


def test_no_error_is_taken_for_a_log():
    error, steps = play(read_news("read it", "http://x", LogFile()), Reply(403, {}, b"no", "id"))
    assert isinstance(error, ServiceError)
    assert "403" in str(error)
    assert len(requests(steps)) == 1


def test_reading_adds_nothing_by_itself():
    known = read(b"a\n")
    news(b"a\nb\n", known)
    assert known.size == 2


def test_bytes_are_compared_and_not_texts():
    packed = gzip.compress(LONG)
    assert news(packed + b"\xff", read(packed))[0] == News(b"\xff")
