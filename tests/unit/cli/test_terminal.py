"""The streams of a command: characters, colours, and readers that have gone."""

from __future__ import annotations

import io
import os

import pytest

from aml_provider.cli.terminal import colour_of, encodable, has_colours, is_screen, painted, write
from aml_provider.client.entities import RunState


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _unset(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("environment", "of_terminal", "of_pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": ""}, False, False),
    ],
)
def test_colours_follow_the_person_then_the_terminal(monkeypatch, environment, of_terminal, of_pipe):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (has_colours(Screen()), has_colours(io.StringIO())) == (of_terminal, of_pipe)


@pytest.mark.parametrize(("terminal", "moves"), [("xterm-256color", True), ("dumb", False), ("unknown", False)])
def test_only_some_terminals_can_move_their_cursor(monkeypatch, terminal, moves):
    monkeypatch.setenv("TERM", terminal)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert is_screen(Screen()) is moves
    assert not is_screen(io.StringIO())


def test_states_have_the_colours_of_their_meaning():
    assert {colour_of(word) for state in (RunState.FINISHED,) for word in (state.value, *state.history_words)} == {
        "green"
    }
    assert colour_of("Failed") == "red"
    assert colour_of("Canceled") == "yellow"
    assert colour_of("Running") == "cyan"
    assert colour_of("Sleeping") == colour_of("") == ""


def test_a_painted_text_has_its_colour_on_a_terminal_only():
    assert painted("Failed    ", "Failed", Screen()) == "\x1b[31mFailed    \x1b[0m"
    assert painted("Failed    ", "Failed", io.StringIO()) == "Failed    "
    assert painted("Sleeping", "Sleeping", Screen()) == "Sleeping"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "é 서울"), ("ascii", "\\xe9 \\uc11c\\uc6b8"), ("latin-1", "é \\uc11c\\uc6b8"), ("utf-8-sig", "é 서울")],
)
def test_what_cannot_be_encoded_is_escaped(encoding, shown):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert encodable("é 서울", stream) == shown
    write(stream, "é 서울")
    assert stream.buffer.getvalue().decode(encoding) == shown


def test_a_reader_that_has_gone_ends_the_command_as_other_programs_end():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        with pytest.raises(SystemExit) as ending:
            write(stream, "x" * 100_000)
        assert ending.value.code == 141
        # Python writes what is left when it ends.
        write(stream, "more")


def test_a_stream_that_the_shell_has_closed_takes_everything():
    # `>&-`: Python's own stream is None then.
    write(None, "text\n")
