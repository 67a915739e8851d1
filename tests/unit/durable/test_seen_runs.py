"""The cursor of a watcher of runs, as text."""

from __future__ import annotations

import pytest
from support.models.run_history import START

from aml_provider.durable.ended_runs import SeenRuns, run_hash
from aml_provider.stored import CursorUnreadable


def test_a_cursor_survives_its_text():
    seen = SeenRuns(int(START), {"b": 5, "a\"'é": 4}, {run_hash("x"): int(START), run_hash("y"): int(START) + 1})
    text = seen.encode()
    assert SeenRuns.decode(text) == seen
    turned = SeenRuns(seen.floor, dict(reversed(seen.active.items())), dict(reversed(seen.decided.items())))
    assert turned.encode() == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: f"2{text[1:]}", "has format '2'; this version reads '1'"),
        (lambda text: f"{text[:-1]}", "damaged"),
        (lambda text: text.replace('"b":5', '"b":6'), "its checksum does not match"),
        (lambda _: "1", "damaged"),
        (lambda _: "", "has format ''"),
    ],
)
def test_a_damaged_cursor_is_not_taken_for_an_empty_one(change, message):
    text = SeenRuns(int(START), {"b": 5}, {run_hash("x"): int(START)}).encode()
    with pytest.raises(CursorUnreadable, match=message):
        SeenRuns.decode(change(text))
