"""How often the API server checks a manual state change: through an outage of its database, and not for ever."""

from __future__ import annotations

import pytest
from sqlalchemy import exc

from aml_provider.api_server.listener import ManualStateChangeListener
from aml_provider.client.errors import ForeignRun, NotFound, PermissionDenied, Throttled


class Clock:
    """Sleeping takes no time, and a check takes as long as a test says."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += seconds


class Checks:
    """What the checks of one change find, one after another; the last one again and again."""

    def __init__(self, *found, lasts=0.0):
        self.clock = Clock()
        self.listener = ManualStateChangeListener(self.clock.now, self.clock.sleep)
        self.at = []
        self._found = list(found)
        self._lasts = lasts

    def __call__(self):
        self.at.append(self.clock.now())
        self.clock.time += self._lasts
        found = self._found.pop(0) if self._found[1:] else self._found[0]
        if isinstance(found, Exception):
            raise found
        return found

    def run(self, **options):
        self.listener._check(self, 10.0, **options)
        return self.at


DONE, NOT_YET = True, False
AWAY = exc.OperationalError("SELECT", {}, Exception("the server is away"))
OUTAGES = [AWAY, exc.InterfaceError("SELECT", {}, Exception("closed")), exc.TimeoutError("QueuePool limit reached")]
DENIED = PermissionDenied("get job", status=403)


def test_a_change_that_is_handled_is_not_checked_again():
    assert Checks(DONE).run() == [10.0]


def test_a_change_that_airflow_does_not_show_is_checked_four_times():
    assert Checks(NOT_YET).run() == [10.0, 20.0, 30.0, 40.0]


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda error: type(error).__name__)
def test_checks_in_an_outage_do_not_count(outage):
    assert len(Checks(*[outage] * 12, NOT_YET, NOT_YET, NOT_YET, DONE).run()) == 16


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda error: type(error).__name__)
def test_an_outage_that_does_not_end_is_an_error(outage):
    checks = Checks(outage)
    with pytest.raises(type(outage)):
        checks.run()
    assert 180 <= checks.clock.time <= 210


def test_after_a_check_that_was_slow_there_is_a_pause_too():
    assert Checks(AWAY, NOT_YET, lasts=127.0).run() == [10.0 + 137.0 * number for number in range(5)]


@pytest.mark.parametrize("error", [DENIED, Throttled("get job", status=429), ValueError("no such connection")], ids=str)
def test_an_error_may_be_one_of_a_moment(error):
    assert len(Checks(error, error, error, DONE).run()) == 4
    checks = Checks(error)
    with pytest.raises(type(error)):
        checks.run()
    assert len(checks.at) == 4


@pytest.mark.parametrize("error", [ForeignRun("of another Airflow"), NotFound("get job", status=404)], ids=str)
def test_what_does_not_change_ends_the_checks(error):
    checks = Checks(error)
    with pytest.raises(type(error)):
        checks.run()
    assert len(checks.at) == 1


@pytest.mark.parametrize("error", [DENIED, ValueError("no such connection")], ids=str)
def test_what_many_tasks_of_a_dag_run_have_in_common_blocks_no_thread(error):
    checks = Checks(error)
    with pytest.raises(type(error)):
        checks.run(others_wait=True)
    assert len(checks.at) == 1


def test_an_outage_is_outlasted_once_and_not_for_each_task_of_a_dag_run():
    checks = Checks(AWAY)
    with pytest.raises(exc.OperationalError):
        checks.run(others_wait=True)
    until = checks.clock.time
    with pytest.raises(exc.OperationalError):
        checks.run(others_wait=True)
    assert checks.clock.time == until
