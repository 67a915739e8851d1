"""Crashes at any point of a try, and what the tries after them do."""

from __future__ import annotations

import copy

from aml_provider.client.errors import AzureMLError


class Crash(BaseException):
    """The process is gone: kill -9."""


class Fuse:
    """Crashes at the n-th point; counts them if it is None."""

    def __init__(self, at=None):
        self.at = at
        self.points = 0

    def burn(self):
        self.points += 1
        if self.points == self.at:
            raise Crash


def outcome(action):
    try:
        return action()
    except (AzureMLError, Crash) as error:
        return error


def crashes(make, *, limit=400):
    """All worlds in which ``make(fuse)`` was stopped at its first, second, … point; last the one where it was not."""
    for at in range(1, limit):
        fuse = Fuse(at)
        yield at, fuse, make(fuse)
        if fuse.points < at:
            return
    raise AssertionError("it never ended")


def crash_everywhere(make_world, action, check, *, twice=True):
    """Crash at each point of an action, and of its retry; then let one retry finish. Returns the number of crashes."""

    def act(world, fuse):
        outcome(lambda: action(world, fuse))
        return world

    count = 0
    for first, fuse, halfway in crashes(lambda fuse: act(make_world(), fuse)):
        if fuse.points < first:
            break
        for _, _, world in crashes(lambda fuse, halfway=halfway: act(copy.deepcopy(halfway), fuse)):
            action(world, None)
            check(world)
            count += 1
            if not twice:
                break
    return count
