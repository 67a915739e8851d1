"""The trigger of the blob sensor fires for what the sensor would take, and leaves the decision to the worker."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from support.drivers.watching import context_of, deferred, fire, fires_within, look

pytestmark = pytest.mark.usefixtures("variables", "no_retries")


def names(taken):
    return [path for path, _ in taken]


def test_the_trigger_carries_names_only_and_survives_being_stored(watch, container):
    trigger = deferred(watch(deferrable=True, pattern=("*.csv", "*.json"), settle=timedelta(seconds=5)))
    path, arguments = trigger.serialize()
    assert json.loads(json.dumps(arguments)) == arguments
    assert arguments["pattern"] == ["*.csv", "*.json"]
    assert arguments["settle"] == 5.0
    assert path.rpartition(".")[2] == type(trigger).__name__


def test_the_trigger_fires_for_what_the_sensor_would_take(watch, container):
    context = context_of()
    trigger = deferred(watch(deferrable=True, pattern="*.csv", settle=60), context)
    requests = len(container.asked)
    for name in ("incoming/a.txt", "incoming/sub/a.csv", "incoming-old/a.csv", "a.csv", "incoming/young.csv"):
        container.write(name, age=0 if "young" in name else 90)
    container.write("incoming/empty.csv", size=0, age=90)
    assert not fires_within(trigger, lambda: len(container.asked) >= requests + 3)

    container.now += timedelta(seconds=60)
    event = fire(trigger)
    [change] = watch(pattern="*.csv", settle=60).execute_complete(context, event)
    assert change["name"] == "young.csv"


def test_the_trigger_goes_on_after_a_failed_poll(watch, container, said):
    trigger = deferred(watch(deferrable=True))
    container.failures = [503, 0]
    container.write("incoming/a")
    fire(trigger)
    assert container.failures == []
    assert "was discarded" in str(said)


def test_the_trigger_hands_over_when_somebody_else_wrote_the_record(watch, container, states):
    """It may be started again much later; by then the record may hold a batch that must be taken over."""
    look(watch())
    context = context_of("second")
    trigger = deferred(watch(deferrable=True), context)
    container.write("incoming/a")
    assert names(look(watch(), context_of("first"))) == ["incoming/a"]
    states["first"] = "failed"
    requests = len(container.asked)
    event = fire(trigger)
    assert len(container.asked) == requests
    [change] = watch(deferrable=True).execute_complete(context, event)
    assert change["name"] == "a"


def test_the_trigger_hands_over_when_there_is_no_record(watch, container, variables):
    """The worker's first poll failed."""
    container.failures = [503]
    trigger = deferred(watch(deferrable=True))
    assert variables == {}
    requests = len(container.asked)
    fire(trigger)
    assert len(container.asked) == requests


@pytest.mark.parametrize("state", ["running", "failed"])
def test_the_trigger_only_waits_while_the_owner_of_the_batch_is_undecided(state, watch, container, states):
    """Its cursor includes the batch, so it would not notice a batch that must be taken over."""
    assert look(watch()) == []
    container.write("incoming/a")
    assert names(look(watch(), context_of("first"))) == ["incoming/a"]

    states["first"] = state
    context = context_of("second")
    container.failures = [503]  # met only by the task that takes over
    trigger = deferred(watch(deferrable=True), context)
    assert trigger.only_wait
    requests = len(container.asked)
    event = fire(trigger)
    assert len(container.asked) == requests

    states["first"] = "failed"
    container.failures = []
    [change] = watch(deferrable=True).execute_complete(context, event)
    assert change["name"] == "a"


def test_the_trigger_finds_a_batch_that_is_taken_over_and_must_settle_first(watch, container, states):
    assert look(watch()) == []
    container.write("incoming/a")
    assert names(look(watch(), context_of("first"))) == ["incoming/a"]

    states["first"] = "failed"
    context = context_of("second")
    trigger = deferred(watch(deferrable=True, settle=60), context)
    assert not trigger.only_wait
    container.now += timedelta(seconds=60)
    event = fire(trigger)
    [change] = watch(settle=60).execute_complete(context, event)
    assert change["name"] == "a"


def test_the_trigger_fires_when_the_time_is_up(watch, container):
    # Long enough for the worker's part on any machine; then the trigger's time is cut.
    trigger = deferred(watch(deferrable=True, poke_interval=1000, timeout=1000))
    trigger.deadline = time.time() + 1
    # Its next poll would come long after the test has given up.
    assert fire(trigger)["deadline"] == trigger.deadline
