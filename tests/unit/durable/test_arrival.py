"""For how long to look for what another process may have sent."""

from __future__ import annotations

import pytest

from aml_provider.durable.arrival import arrival_timeout

LONGEST = 60.0 + 60.0


@pytest.mark.parametrize("off", [0.0, -600.0, 600.0], ids=["agree", "other behind", "other ahead"])
@pytest.mark.parametrize("ago", [0.0, 30.0, 119.0])
def test_whatever_the_other_clock_says_what_may_be_on_its_way_is_looked_for_to_the_end(off, ago):
    now = 1_000_000.0
    assert arrival_timeout(now - ago + off, 60.0, now) >= LONGEST - ago


def test_there_is_an_upper_bound():
    assert arrival_timeout(2_000_000.0, 60.0, 1_000_000.0) == LONGEST


def test_of_what_was_sent_long_ago_once_is_enough():
    assert arrival_timeout(1_000_000.0 - 3600, 60.0, 1_000_000.0) == 0.0
