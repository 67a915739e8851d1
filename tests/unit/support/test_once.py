"""Work that one of several processes does for all of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.drivers.once import once


def test_it_is_done_once_for_all_who_come_meanwhile_and_later(tmp_path):
    done = []

    def work():
        done.append(1)
        return ["made", {"number": len(done)}]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: once(tmp_path / "result.json", work), range(8)))
    assert results == [["made", {"number": 1}]] * 8
    assert once(tmp_path / "result.json", work) == ["made", {"number": 1}]


def test_after_a_failure_the_next_one_does_it(tmp_path):
    with pytest.raises(ZeroDivisionError):
        once(tmp_path / "result.json", lambda: 1 / 0)
    assert once(tmp_path / "result.json", lambda: 5) == 5
