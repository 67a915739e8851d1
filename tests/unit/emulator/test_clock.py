"""Moves of the workspace's clock."""

from __future__ import annotations

import math

from aml_provider.emulator.clock import Clock

FASTEST = 1e6


class Agenda:
    """Has nothing to do, and reads the clock."""

    def __init__(self, clock):
        self._clock = clock
        self.read = []

    def next_due(self):
        self.read.append(self._clock.now())
        return math.inf

    def catch_up(self):
        self.read.append(self._clock.now())

    def wake(self):
        pass


def test_time_stands_during_a_move_so_that_nothing_becomes_due_unnoticed():
    clock = Clock(speed=FASTEST)
    agenda = Agenda(clock)
    clock.agendas = (agenda,)
    clock.advance(60)
    assert len(set(agenda.read)) == 1
    moved = clock.now()
    assert moved >= agenda.read[0] + 60
    while clock.now() == moved:
        pass
