"""Which rendered values are replaced by the text that was written."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aml_provider.worker.written_text import keep, kept


@pytest.mark.parametrize(
    ("written", "rendered"),
    [
        ("1.10", 1.1),
        ("1e5", 100000.0),
        ("0x10", 16),
        ("1_000", 1000),
        ("True", True),
        ("None", None),
        ("[1, 2]", [1, 2]),
    ],
)
def test_text_stays_as_it_is_written(written, rendered):
    assert kept(written, rendered) == written
    assert kept({"a": {"b": written}}, {"a": {"b": rendered}}) == {"a": {"b": written}}


@pytest.mark.parametrize(
    ("written", "rendered"),
    [
        ("{{ 1 + 1 }}", 2),
        ("[[ count ]]", 5),
        ("'quoted'", "quoted"),
        ("1", True),
        ("1", 1.0),
        ("1.10", 1.2),
        (5, 5),
        (None, {"a": 1}),
        ({"a": "1"}, None),
        ("(" * 500, 1),
    ],
)
def test_another_value_stays(written, rendered):
    assert kept(written, rendered) is rendered


def test_names_that_came_later_keep_their_values():
    assert kept({"a": "1.10"}, {"a": 1.1, "b": 2.0}) == {"a": "1.10", "b": 2.0}


def test_a_whole_mapping_that_is_written_as_text_is_a_mapping():
    operator = SimpleNamespace(parameters={"count": 1}, description=7)
    keep(operator, {"parameters": "{'count': 1}", "description": "7"})
    assert vars(operator) == {"parameters": {"count": 1}, "description": "7"}
