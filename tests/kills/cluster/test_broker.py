"""Valkey (a Redis) is killed and comes back empty; connections to it and to PostgreSQL break; PostgreSQL is away."""

from __future__ import annotations

import time


def finish_and_check(made):
    for case in made:
        case.until_state("deferred" if case.is_deferred else "running")
        assert case.statuses() == ["Running"], case.told()
    for case in made:
        case.finish()
    for case in made:
        case.check("success", ["Finished"])


def test_the_broker_is_killed_and_comes_back_empty(world, cases):
    made = cases(deferred=["deferred", "resumes"], on_worker=["waiting", "ended"])
    with world.broker_away():
        made["resumes"].finish()
        made["ended"].finish()
        # What is sent to the broker now is lost: the start of a task, and the resumption of another one.
        begun = world.case("broker-away-begun", deferred=True)
        begun.start()
        made["ended"].until(lambda: "Running" not in made["ended"].statuses(), "its run has ended")
    for name in ("resumes", "ended"):
        made[name].check("success", ["Finished"])
    begun.until_waiting()
    finish_and_check([begun, made["deferred"], made["waiting"]])


def test_all_connections_break(world, cases):
    made = cases(deferred=["deferred", "other"], on_worker=["waiting"])
    for _ in range(5):
        world.drop_connections()
        time.sleep(1)
    begun = world.case("connections-broken-begun", deferred=False)
    begun.start_and_wait()
    finish_and_check([begun, *made.values()])


def test_the_database_is_away_for_half_a_minute(world, cases):
    made = cases(deferred=["deferred", "ended"], on_worker=["waiting"])
    with world.database_away():
        made["ended"].finish()
        time.sleep(30)
        assert made["deferred"].statuses() == made["waiting"].statuses() == ["Running"]
    made["ended"].check("success", ["Finished"])
    finish_and_check([made["deferred"], made["waiting"]])
