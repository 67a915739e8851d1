"""How an answer looks on a terminal, in a pipe and for other programs."""

from __future__ import annotations

import io
import json
import re

import pytest
import yaml

from aml_provider.cli.output import render

ID = "10000000-0000-4000-8000-000000000001"
ROWS = [
    {"id": ID, "name": "a [red]name[/red]", "active": True, "count": 3, "note": None},
    {"id": ID, "name": "long " * 60, "active": False, "count": 0, "note": "été"},
]
RECORD = {
    "id": ID,
    "tags": {"who": "me", "flag": ""},
    "nothing": None,
    "steps": [{"name": "read", "id": ID}, {"name": "score", "id": ID}],
    "none": [],
    "week_days": ["Monday", "Friday"],
}


# Bold headings and coloured statuses.
_STYLE = re.compile(r"\x1b\[[0-9]+m")


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    def of(width):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        for name in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        return Terminal()

    return of


def piped(data, form="table"):
    return render(data, form, io.StringIO())


@pytest.mark.parametrize("data", [ROWS, RECORD, []], ids=["list", "record", "nothing"])
def test_json_and_yaml_are_the_data_and_keep_its_types(data):
    assert json.loads(piped(data, "json")) == data
    assert yaml.safe_load(piped(data, "yaml")) == data


def test_json_and_yaml_keep_the_order_of_names():
    assert list(json.loads(piped(ROWS, "json"))[0]) == list(ROWS[0])
    assert list(yaml.safe_load(piped(RECORD, "yaml"))) == list(RECORD)


def test_a_list_is_a_table_with_a_line_for_each():
    heading, rule, first, second = piped(ROWS).splitlines()
    assert [part.strip() for part in heading.split("|")] == list(ROWS[0])
    assert set(rule) == {"=", "+"}
    assert [part.strip() for part in first.split("|")] == [ID, "a [red]name[/red]", "True", "3", ""]
    assert second.count("long") == 60


def test_a_plain_table_has_no_lines_between():
    heading, first, _ = piped(ROWS, "plain").splitlines()
    assert heading.split() == list(ROWS[0])
    assert first.split() == [ID, "a", "[red]name[/red]", "True", "3"]


@pytest.mark.parametrize("form", ["table", "plain"])
def test_an_empty_list_is_no_text(form):
    assert piped([], form) == ""


def test_a_row_has_a_line_for_each_name_and_a_table_for_each_list_of_rows():
    text = piped(RECORD)
    lines = {line.partition(" ")[0]: line.partition("|")[2].strip() for line in text.splitlines() if "|" in line}
    assert lines["tags"] == "who=me, flag="
    assert lines["nothing"] == ""
    assert lines["week_days"] == "Monday, Friday"
    assert "\nsteps:\n" in text
    assert "none" not in text
    assert lines["score"] == ID


@pytest.mark.parametrize("width", [20, 80, 300])
@pytest.mark.parametrize("data", [ROWS, RECORD], ids=["list", "record"])
def test_an_id_is_whole_on_every_terminal(terminal, width, data):
    assert ID in render(data, "table", terminal(width))


@pytest.mark.parametrize("width", [20, 80, 100])
def test_no_word_is_cut_on_a_narrow_terminal(terminal, width):
    row = {"id": ID, "name": "score-files", "type": "a-type-of-one-word", "documentation": "many words " * 20}
    assert render([row], "table", terminal(width)).split().count("words") == 20
    assert set(map(str, list(row.values())[:3])) <= set(render([row], "table", terminal(width)).split())


RUN = {
    "id": ID,
    "status": "Finished",
    "experiment_name": "scoring",
    "pipeline_name": "score-files",
    "pipeline_id": ID,
    "created": "2026-11-22T18:52:54+00:00",
    "ended": "2026-11-22T18:53:54+00:00",
    "duration": 60,
}


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (200, list(RUN)),
        (150, [name for name in RUN if name != "pipeline_id"]),
        (120, ["id", "status", "experiment_name", "pipeline_name", "created", "duration"]),
        (80, ["id", "status", "pipeline_name", "duration"]),
        (20, ["id", "status", "pipeline_name", "duration"]),
    ],
)
def test_a_narrow_terminal_leaves_out_the_least_important_columns_and_names_them(terminal, width, columns):
    lines = _STYLE.sub("", render([RUN], "table", terminal(width))).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")] == columns
    if width >= 80:
        assert max(map(len, lines[:3])) <= width
    missing = set(RUN) - set(columns)
    said = " ".join(lines[3:])
    assert all(name in said for name in missing)
    assert bool(missing) == ("Too wide for this terminal" in said)


@pytest.mark.parametrize("form", ["plain", "json", "yaml"])
def test_other_forms_and_pipes_have_every_column(terminal, form):
    for name in RUN:
        assert name in render([RUN], form, terminal(20))
        assert name in piped([RUN])


def test_a_status_has_the_colour_of_its_meaning_on_a_terminal(terminal, monkeypatch):
    rows = [{"id": "1", "status": "Failed"}, {"id": "Failed", "status": "Sleeping"}]
    assert render(rows, "table", terminal(80)).count("\x1b[31mFailed") == 1
    assert "\x1b[32mFinished\x1b[0m" in render({"status": "Finished"}, "table", terminal(80))
    assert "\x1b" not in piped(rows)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31mFailed" in piped(rows)
    assert "\x1b" not in piped(rows, "plain") + piped(rows, "json") + piped(rows, "yaml")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in piped(rows)


def test_the_line_below_the_headings_is_not_wrapped_even_if_a_link_is(terminal):
    lines = _STYLE.sub("", render({"id": ID, "link": "x" * 200}, "table", terminal(80))).splitlines()
    assert lines[1] == "=" * 9 + "+" + "=" * 70
    assert "x" * 200 in lines[3]
    assert piped({"id": ID, "link": "x" * 200}).splitlines()[1].count("=") > 200


def test_a_dumb_terminal_gets_no_codes(terminal, monkeypatch):
    stream = terminal(80)
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in render(ROWS, "table", stream)


@pytest.mark.parametrize("form", ["table", "plain", "json", "yaml"])
def test_an_ascii_stream_gets_ascii_in_straight_columns(form):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    text = render([{"name": "été", "id": "1"}, {"name": "ete", "id": "2"}], form, stream)
    if form == "table":
        assert len({line.index("|") for line in text.splitlines() if "|" in line}) == 1
        assert "\\xe9t\\xe9" in text
    assert text.isascii()


@pytest.mark.parametrize("width", [10, 30, 60])
def test_nothing_is_left_out_where_two_long_texts_share_a_terminal(terminal, width):
    text = render([{"a": "xxxx " * 20, "b": "yyyyyyyyyyyyyyyyyyyy " * 20}], "table", terminal(width))
    assert (text.count("x"), text.count("y")) == (80, 400)


def test_a_terminal_gets_lines_that_fit_where_words_allow_it(terminal):
    lines = _STYLE.sub("", render(ROWS, "table", terminal(120))).splitlines()
    assert max(map(len, lines)) <= 120
    assert sum(line.count("long") for line in lines) == 60


def test_a_pipe_gets_lines_as_long_as_they_are():
    assert len(piped(ROWS).splitlines()) == 4


@pytest.mark.parametrize("form", ["table", "plain"])
@pytest.mark.parametrize("letter", ["\x1b", "\x07", "\x9b", "\u202e", "\r"])
def test_a_name_cannot_steer_the_terminal(terminal, form, letter):
    text = render([{"name": f"a{letter}[2Jb"}], form, terminal(80))
    assert letter not in _STYLE.sub("", text)
    assert "[2Jb" in text


@pytest.mark.parametrize("form", ["table", "plain", "json", "yaml"])
@pytest.mark.parametrize("letter", ["\x1b", "\x9b", "\u202e", "\ud800"])
def test_no_form_lets_a_text_steer_a_terminal_or_fail_to_be_printed(form, letter):
    text = piped([{f"n{letter}": f"a{letter}", "more": {f"k{letter}": [f"b{letter}"]}}], form)
    text.encode()
    assert letter not in text


def test_a_long_text_keeps_its_lines_in_a_single_row():
    lines = piped({"error": "first\nsecond", "id": ID}).splitlines()
    assert [line.partition("|")[2].strip() for line in lines[2:]] == ["first", "second", ID]


@pytest.mark.parametrize("form", ["table", "plain"])
def test_a_name_with_line_breaks_is_one_row_of_a_list(form):
    rows = [line for line in piped([{"name": "a\nb", "id": ID}], form).splitlines() if ID in line or "b" in line]
    assert len(rows) == 1


def test_no_line_ends_in_blanks():
    assert all(line == line.rstrip() for line in piped(ROWS).splitlines())
