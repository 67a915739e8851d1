"""Each run that ends is fired once, whatever the history shows late, and wherever a triggerer dies."""

from __future__ import annotations

import json

import pytest
from support.models.crashes import Crash, Fuse, crashes
from support.models.run_history import SETTINGS, START
from support.models.run_world import World

from aml_provider.client.errors import ServerFault
from aml_provider.durable import ended_runs
from aml_provider.durable.ended_runs import LEAST_WINDOW, WINDOW, find_endings
from aml_provider.durable.wanted_runs import WantedRuns

HOUR = 3600.0


@pytest.fixture
def world():
    return World()


def test_an_event_carries_the_run(world):
    world.poll()
    run = world.history.submit()
    world.history.now += 60
    world.history.end(run)
    world.poll()
    (event,) = world.events[0]
    assert event == {
        "id": event["id"],
        "run_id": run.id,
        "status": "Finished",
        "pipeline_id": "p",
        "pipeline_name": "score",
        "experiment_name": "exp",
        "ended": "2026-05-28T20:27:40+00:00",
        "link": SETTINGS.run_url(run.id),
    }
    json.dumps(event)


@pytest.mark.parametrize("first", ["remember", "report"])
def test_the_first_poll_remembers_or_reports_what_has_ended_and_waits_for_what_is_active(first):
    world = World(on_first_poll=first)
    history = world.history
    ancient = history.submit(created=START - 40 * WINDOW)
    forgotten = history.submit(created=START - 30 * WINDOW)
    history.end(forgotten)
    recent = history.submit(created=START - HOUR)
    history.end(recent)
    active = history.submit(created=START - HOUR)
    world.poll()
    assert world.fired() == ([recent.id] if first == "report" else [])
    history.now += 5 * WINDOW
    history.end(ancient)
    history.end(active)
    world.poll()
    world.restart()
    world.poll()
    assert world.distinct() == {ancient.id, active.id, *([recent.id] if first == "report" else [])}


def test_a_run_that_ends_in_the_history_after_a_later_one_is_found(world):
    world.poll()
    early, late = world.history.submit(), world.history.submit()
    world.history.end(early, lag=600)
    world.history.now += 60
    world.history.end(late)
    world.poll()
    assert world.fired() == [late.id]
    world.history.now += 600
    world.poll()
    assert world.fired() == [late.id, early.id]


def test_runs_that_were_created_and_ended_in_the_same_instant_are_all_found(world):
    world.poll()
    runs = [world.history.submit() for _ in range(3)]
    world.history.end(runs[0])
    world.poll()
    for run in runs[1:]:
        world.history.end(run)
    world.poll()
    world.poll()
    assert sorted(world.fired()) == [run.id for run in runs]


@pytest.mark.parametrize("lag", [60, LEAST_WINDOW, WINDOW - 60])
def test_a_run_that_the_history_lists_late_is_found(world, lag):
    world.poll()
    run = world.history.submit(lag=lag)
    world.history.end(run)
    world.history.now += lag
    world.history.end(world.history.submit())
    world.poll()
    assert len(world.fired()) == 2


def test_a_quiet_history_may_be_later_than_the_window(world):
    """The window begins before the newest run, not before now."""
    world.history.submit(created=START - 60)
    world.poll()
    run = world.history.submit(lag=10 * WINDOW)
    world.history.end(run)
    for _ in range(11):
        world.history.now += WINDOW
        world.poll()
    assert world.fired() == [run.id]


def test_after_a_long_outage_all_that_ended_meanwhile_is_fired_in_the_order_of_its_end(world):
    world.poll()
    active = world.history.submit()
    world.poll()
    wanted = []
    for _ in range(450):
        world.history.now += HOUR
        run = world.history.submit()
        world.history.end(run)
        wanted.append(run.id)
    world.history.now += 1
    world.history.end(active)
    wanted.append(active.id)
    world.restart()
    world.poll()
    assert world.fired() == wanted[:200]
    assert world.polls[-1].is_partial
    # The rest does not get lost with the process.
    world.restart()
    world.poll()
    world.poll()
    assert not world.polls[-1].is_partial
    assert list(dict.fromkeys(world.fired())) == wanted


def test_a_poll_that_fails_moves_nothing(world):
    world.poll()
    world.history.end(world.history.submit())
    world.history.failures = 1
    with pytest.raises(ServerFault):
        world.poll()
    world.poll()
    assert len(world.fired()) == 1


def test_steps_and_runs_within_runs_are_not_fired(world):
    world.poll()
    run = world.history.submit()
    step = world.history.submit(parent=run.id, type="azureml.StepRun")
    child = world.history.submit(parent=run.id)
    script = world.history.submit(type="azureml.scriptrun")
    for one in (run, step, child, script):
        world.history.end(one)
    world.poll()
    assert world.fired() == [run.id]


def test_each_watcher_gets_what_it_wants_of_one_query():
    wanted = [
        WantedRuns.of(),
        WantedRuns.of(statuses=["failed", "Canceled"]),
        WantedRuns.of(tags={"team": "a"}),
        WantedRuns.of(tags={"team": None}, statuses="Completed"),
        WantedRuns.of(pipeline_id="Q", statuses=["Finished", "Failed"]),
        WantedRuns.of(pipeline_name="train", statuses=["Finished", "Failed"]),
        WantedRuns.of(component_name="train"),
    ]
    world = World(*wanted)
    world.poll()
    plain, failed, tagged, other = (
        world.history.submit(),
        world.history.submit(pipeline="q"),
        world.history.submit(tags={"team": "a"}),
        world.history.submit(tags={"team": "b"}, pipeline="q"),
    )
    for run, status in ((plain, "Completed"), (failed, "Failed"), (tagged, "Completed"), (other, "Completed")):
        world.history.end(run, status)
    before = len(world.history.asked)
    world.poll()
    assert len(world.history.asked) - before == 1 + 2  # and the names of two pipelines
    found = [set(world.fired(index)) for index in range(len(wanted))]
    every = {plain.id, tagged.id, other.id}
    of_q = {failed.id, other.id}
    assert found == [every, {failed.id}, {tagged.id}, {tagged.id, other.id}, of_q, of_q, set()]
    world.history.end(world.history.submit())
    before = len(world.history.asked)
    world.poll()
    assert len(world.history.asked) - before == 1


def test_watchers_that_know_the_same_are_compared_once():
    world = World(*[WantedRuns.of(tags={"n": str(number)}) for number in range(50)])
    world.poll()
    world.poll()
    assert len({id(watcher._knowledge) for watcher in world.watchers}) == 1


def test_changed_arguments_replay_nothing():
    world = World(statuses="Failed")
    world.poll()
    world.history.end(world.history.submit())
    world.history.now += 700
    world.poll()
    world.wanted = (WantedRuns.of(),)
    world.restart()
    world.poll()
    assert world.fired() == []


def test_an_experiment_that_does_not_exist_yet_is_waited_for(world):
    world.history.exists = False
    world.poll()
    assert "There is no such experiment yet" in world.shared.source.problems[0]
    world.history.exists = True
    world.history.end(world.history.submit())
    world.poll()
    assert len(world.fired()) == 1


def test_an_experiment_that_seems_to_be_new_does_not_report_its_whole_past(world):
    """A 404 that was wrong."""
    world.history.end(world.history.submit(created=START - 30 * WINDOW))
    world.history.exists = False
    world.poll()
    world.history.exists = True
    world.poll()
    assert world.fired() == []


def test_a_run_that_seems_to_be_created_in_the_future_hides_no_other(world):
    world.poll()
    world.history.end(world.history.submit(created=START + 1000 * WINDOW))
    world.poll()
    world.history.end(world.history.submit())
    world.poll()
    assert len(world.fired()) == 2


def test_a_machine_with_a_wrong_clock_loses_nothing():
    for error in (-20 * HOUR, 20 * HOUR):
        world = World()
        world.history.drive(world.shared.poll(world.history.now + error))
        run = world.history.submit()
        world.history.end(run)
        world.history.now += 60
        world.poll()
        assert world.fired() == [run.id]


def test_names_that_cannot_stand_in_a_filter_are_compared_here():
    name, value = "who's (it)", 'a "b" or c'
    world = World(tags={name: value})
    world.poll()
    world.history.end(world.history.submit(tags={name: value}))
    world.history.end(world.history.submit(run_id="or 'x'", tags={name: value}))
    odd = world.history.submit(run_id="a and (b", tags={name: value})
    world.poll()
    world.history.now += 3 * WINDOW
    world.history.submit()
    world.poll()
    world.history.end(odd)
    world.poll()
    world.poll()
    assert world.distinct() == {"run-0", "or 'x'", odd.id}


def test_old_active_runs_cost_one_query_for_each_250(world):
    for _ in range(600):
        world.history.submit()
    world.poll()
    world.history.now += 3 * WINDOW
    world.history.end(world.history.submit())
    world.poll()
    before = len(world.history.asked)
    world.poll()
    assert len(world.history.asked) - before == 1 + 3


@pytest.fixture
def full(monkeypatch):
    """The window is shorter where more than 50 runs were created in it."""
    monkeypatch.setattr(ended_runs, "FULL", 50)
    return 50


def test_the_cursor_stays_small(world, full):
    world.poll()
    for _ in range(60):
        for _ in range(2):
            world.history.end(world.history.submit())
        world.history.now += HOUR / 2
        world.poll()
    seen = world.seen
    # Four runs an hour: the window is as long as it may be before it is full, half a day here.
    assert full - 2 <= len(seen.decided) <= full + 2
    assert len(world.records[0].cursor_text) < 17 * len(seen.decided) + 100
    assert world.distinct() == set(world.history.runs)


def test_a_busy_history_still_has_an_hour(world, full):
    world.poll()
    for _ in range(3):
        for _ in range(2 * full):
            world.history.end(world.history.submit())
        world.history.now += LEAST_WINDOW / 4
        world.poll()
    late = world.history.submit(created=world.history.now - LEAST_WINDOW / 2)
    world.history.end(late)
    world.poll()
    assert late.id in world.fired()


def test_too_many_active_runs_are_given_up_oldest_first(world, monkeypatch):
    monkeypatch.setattr(ended_runs, "MOST_ACTIVE", 3)
    world.poll()
    for _ in range(5):
        world.history.now += 1
        world.history.submit()
    world.poll()
    (step,) = world.polls[-1].steps.values()
    assert step.detection.forgotten == ("run-0", "run-1")
    assert "are not waited for: run-0, run-1" in str(step.detection)


def test_each_crash_loses_nothing_and_repeats_only_the_same_events():
    """Two crashes, each at every step of a poll, with a run that ends between them."""

    def begun():
        world = World(WantedRuns.of(), WantedRuns.of(tags={"a": "1"}))
        world.old = world.history.submit(created=START - 5 * WINDOW, tags={"a": "1"})
        world.poll()
        world.history.end(world.history.submit(tags={"a": "1"}))
        world.history.end(world.old)
        return world

    def poll(world, fuse):
        try:
            world.poll(fuse)
        except Crash:
            world.restart()
        return world

    count = 0
    for first, fuse, _ in crashes(lambda fuse: poll(begun(), fuse)):
        if fuse.points < first:
            break
        for _, _, world in crashes(lambda fuse, first=first: poll(later(poll(begun(), Fuse(first))), fuse)):
            for _ in range(3):
                world.poll()
            every = set(world.history.runs)
            assert world.distinct(0) == every
            assert world.distinct(1) == {"run-0", "run-1"}
            assert all(record.outbox == () for record in world.records)
            count += 1
    assert count > 60


def later(world):
    world.history.now += 60
    world.history.end(world.history.submit())
    return world


def test_a_run_without_a_date_waits_until_it_has_one():
    from aml_provider.client.entities import PipelineRun

    wire = {"Id": "r", "Status": {"StatusCode": "Running"}}
    endings = find_endings(None, [PipelineRun.from_wire(wire)], now=START, report_first=False)
    assert endings.cursor.active == {}
