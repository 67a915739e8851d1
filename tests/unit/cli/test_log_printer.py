"""Several growing logs on one stream."""

from __future__ import annotations

import io

import pytest

from aml_provider.cli.log_printer import LogPrinter


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def printer(stream):
    return LogPrinter(stream)


def test_a_heading_shows_where_the_lines_are_from(printer, stream):
    printer.add("read/log", b"a\n")
    printer.add("read/log", b"b\n")
    printer.add("score/log", b"c\n")
    printer.add("read/log", b"d\n")
    assert stream.getvalue() == "==> read/log <==\na\nb\n\n==> score/log <==\nc\n\n==> read/log <==\nd\n"


def test_a_line_is_printed_when_it_is_whole(printer, stream):
    printer.add("a", b"one\ntw")
    printer.add("b", b"other\n")
    assert "tw" not in stream.getvalue()
    printer.add("a", b"o\n")
    assert stream.getvalue() == "==> a <==\none\n\n==> b <==\nother\n\n==> a <==\ntwo\n"


def test_the_last_line_needs_no_end(printer, stream):
    printer.add("a", b"one\nlast")
    printer.finish()
    printer.finish()
    assert stream.getvalue() == "==> a <==\none\nlast\n"


def test_a_character_may_arrive_in_two_pieces(printer, stream):
    first, second = "é\n".encode()[:1], "é\n".encode()[1:]
    printer.add("a", first)
    printer.add("a", second)
    printer.add("a", b"\xff\n\xc3")
    printer.finish()
    assert stream.getvalue() == "==> a <==\né\n\ufffd\n\ufffd\n"


def test_a_progress_bar_is_printed_as_it_proceeds(printer, stream):
    printer.add("a", b"10%\r20%\r30%")
    assert stream.getvalue() == "==> a <==\n10%\r20%\r"


def test_the_end_of_a_line_may_arrive_in_two_pieces(stream):
    printer = LogPrinter(screen := Screen())
    printer.add("a", b"one\r")
    assert screen.getvalue() == ""
    printer.add("a", b"\ntwo\r\n")
    assert screen.getvalue() == "==> a <==\none\ntwo\n"


def test_a_log_cannot_steer_the_terminal():
    printer = LogPrinter(screen := Screen())
    printer.add("a\x1b[2J", b"b\x1b[2J\tc\r50%\r\n")
    assert "\x1b" not in screen.getvalue()
    assert screen.getvalue() == "==> a\\x1b[2J <==\nb\\x1b[2J   c\n50%\n"


def test_a_pipe_gets_the_text_as_it_is(printer, stream):
    printer.add("a", b"b\x1b[1m\tc\r\n")
    assert stream.getvalue() == "==> a <==\nb\x1b[1m\tc\r\n"
