"""Outputs that documents show are compared with the real ones, except for what changes from run to run."""

from __future__ import annotations

import pytest
from support.documents.outputs import contains, differences
from support.documents.placeholders import fill
from support.documents.shell import CommandError, read_commands


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a\nb", "a\nb\n\n"),
        ("a…d", "abcd"),
        ("a\n…\nd", "a\nb\nc\nd"),
        ("…\nd", "d"),
        ("created 2026-11-22T18:52:54+00:00", "created 2027-01-02T03:04:05.678+00:00"),
        ("3 passed in 18.00s", "3 passed in 2.5s"),
        ("3 passed in 18.00s", "3 passed in 79.17s (0:01:19)"),
        ("id   | name\n=====+======\n1 | a", "id | name\n===+==========\n1  | a"),
        ("run 1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "run 00000000-bbfd-4b2d-9b5d-ab8dfbbd4bed"),
        ("on http://127.0.0.1:8700/a", "on http://127.0.0.1:41234/a"),
        ("red", "\x1b[31mred\x1b[0m"),
    ],
)
def test_these_agree(shown, printed):
    assert differences(shown, printed) is None


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a", "a\nb"),
        ("a\nb", "a"),
        ("a\n…\nd", "a\nb"),
        ("3 passed in 18.00s", "2 passed, 1 failed in 2.5s"),
        ("10000000-0000-4000-8000-000000000001", "10000000-0000-4000-8000-000000000002"),
        ("a…d", "abc"),
        ("a.c", "abc"),
    ],
)
def test_these_differ(shown, printed):
    assert "but this is printed" in differences(shown, printed)


def test_some_lines_of_an_output():
    assert contains("b", "a\nb\nc") is None
    assert contains("b\nd", "a\nb\nc\nd") is not None


def test_commands_continue_over_lines_and_have_their_outputs():
    code = "$ a \\\n    b   # it's\nout\n\nput\n$ export A='{\n  1}'\n$ cat <<EOF\n$ x\nEOF\nx\n"
    code += "$ for a in b; do\n  c\ndone\nd\n"
    first, second, third, fourth = read_commands(code, 10)
    assert (first.line, first.text, first.shown) == (10, "a \\\n    b   # it's", "out\n\nput")
    assert (second.line, second.text, second.shown) == (15, "export A='{\n  1}'", "")
    assert (fourth.text, fourth.shown) == ("for a in b; do\n  c\ndone", "d")
    assert (third.text, third.shown) == ("cat <<EOF\n$ x\nEOF", "x")


@pytest.mark.parametrize("code", ["ls\n", "$ ls  # all\n", "$ echo 'a\n", "$ ls \\\n", "$ cat <<EOF\nx\n"])
def test_a_console_block_consists_of_whole_commands_without_comments(code):
    with pytest.raises(CommandError):
        read_commands(code, 1)


def test_placeholders_are_a_closed_list():
    assert fill("<resource group>/<run id>", {"run id": "r1"}) == "my-group/r1"
    assert fill("1 <2> a<b >c", {}) == "1 <2> a<b >c"
    assert fill("# <day> <region>", {}, strictly=False) == "# <day> westeurope"
    for text in ("<run id>", "<my own name>"):
        with pytest.raises(LookupError, match="cannot be filled in"):
            fill(text, {})
