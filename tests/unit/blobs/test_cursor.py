"""The stored form of a cursor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.blobs.cursor import Cursor
from aml_provider.stored import CursorUnreadable


@given(st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)), unique=True))
def test_a_cursor_survives_being_stored(entries):
    assert list(Cursor.decode(Cursor.of(entries).encode()).entries()) == entries


@pytest.mark.parametrize(
    "damage", [lambda t: t[:-4], lambda t: "2" + t[1:], lambda t: "", lambda t: t.replace("A", "!", 1)]
)
def test_a_damaged_cursor_is_refused(damage):
    with pytest.raises(CursorUnreadable):
        Cursor.decode(damage(Cursor.of([(0, 0), (1, 2)]).encode()))


def test_a_cursors_text_is_the_same_on_every_machine():
    assert Cursor.of([(0x0807060504030201, 0x0C0B0A09)]).encode() == "1.925fc655.AQIDBAUGBwgJCgsM"
