"""Each run that ends is fired once, whatever the history shows late, and wherever a triggerer dies."""

from __future__ import annotations

import json
import random

import pytest
from support.models.crashes import Crash, Fuse, crashes
from support.models.run_history import SETTINGS, START
from support.models.run_world import World

from aml_provider.client.errors import ServerFault
from aml_provider.durable import ended_runs, run_events
from aml_provider.durable.ended_runs import LEAST_WINDOW, WINDOW, SeenRuns, find_endings, run_hash
from aml_provider.durable.wanted_runs import WantedRuns
from aml_provider.stored import CursorUnreadable

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


class Storm(World):
    """Runs, lags, polls and deaths at random."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        choices = [
            WantedRuns.of(),
            WantedRuns.of(statuses=["Failed", "Finished"], tags={"t": "1"}),
            WantedRuns.of(pipeline_name="train", on_first_poll="report"),
        ]
        super().__init__(*self.dice.choices(choices, k=2))
        self.known = [None for _ in self.wanted]
        self.history.page_size = self.dice.choice([2, 7, 500])
        self.history.between = self._changes
        self.at_risk = set()

    def _changes(self):
        if self.dice.random() < 0.5:
            self.dice.choice([self.submit, self.end])()

    def submit(self):
        dice = self.dice
        lag = dice.choice([0, 0, 5, 300, 0.9 * LEAST_WINDOW])
        self.history.submit(lag=lag, pipeline=dice.choice(["p", "q", ""]), tags=dice.choice([{}, {"t": "1"}]))

    def end(self):
        active = [run for run in self.history.runs.values() if run.ended is None]
        if active:
            status = self.dice.choice(["Completed", "Completed", "Failed", "Canceled"])
            self.history.end(self.dice.choice(active), status, self.dice.choice([0, 0, 30, 7200, 3 * WINDOW]))

    def step(self):
        dice = self.dice
        self.history.now += dice.choice([0, 1, 60, 600, HOUR, 20 * HOUR])
        dice.choice([self.submit, self.submit, self.end, self.end, self.attempt, self.attempt])()

    def attempt(self):
        if self.dice.random() < 0.2:
            self.history.failures = 1
        # Facts that cannot be read, of all runs or of some.
        self.history.refused = self.dice.choice(
            [{}, {}, {"/Pipelines/*": 403}, {"/jobs/*": 500}, {"/jobs/*[1-5]": 200}]
        )
        # What a first poll may pass over: an end that the history showed before it, or while it was under way.
        before = [run_id for run_id, run in self.history.runs.items() if self.history.shows_end(run)]
        firsts = [index for index, record in enumerate(self.records) if record.cursor_text is None]
        try:
            self.poll(Fuse(self.dice.choice([None, None, self.dice.randrange(1, 15)])))
        except (Crash, ServerFault) as error:
            if isinstance(error, Crash):
                self.restart()
        self.history.failures = 0
        after = {run_id for run_id, run in self.history.runs.items() if self.history.shows_end(run)}
        for index in firsts:
            if self.records[index].cursor_text is not None:
                self.known[index] = set(before), after

    def calm(self):
        self.history.between = lambda: None
        self.history.refused = {}
        for run in list(self.history.runs.values()):
            if run.ended is None:
                self.history.end(run)
        self.history.now += 10 * WINDOW
        for _ in range(4):
            self.poll()
        while self.polls[-1].is_partial:
            self.poll()
        # The last events are known to be stored.
        self.poll()
        self.poll()

    def judge(self):
        for index, wanted in enumerate(self.wanted):
            before, after = self.known[index] or (set(), set())
            if wanted.report_first:
                before = set()
            fired = self.distinct(index)
            matching = {run.id for run in self.history.runs.values() if self._matches(wanted, run)}
            assert fired <= matching
            assert matching - after <= fired, f"lost: {matching - after - fired}"
            assert not (fired & before), f"reported: {fired & before}"
            assert self.records[index].outbox == ()

    def _matches(self, wanted, run):
        states = {"Completed": "Finished"}
        named = wanted.pipeline_name in {None, self.history.pipelines.get(run.pipeline)}
        return (
            states.get(run.status, run.status) in wanted.states
            and named
            and all(run.tags.get(name) == value for name, value in wanted.tags)
        )


def _storms(seeds):
    return sum(map(_storm, seeds))


def _storm(seed):
    storm = Storm(seed)
    for _ in range(60):
        storm.step()
    storm.calm()
    storm.judge()
    return sum(map(len, storm.events))


@pytest.mark.parametrize("seeds", [range(start, start + 60) for start in range(0, 300, 60)], ids=lambda r: str(r[0]))
def test_in_a_storm_each_run_is_fired_once(seeds):
    assert _storms(seeds) > 300


def test_in_a_storm_in_which_a_poll_reports_few_runs_each_run_is_fired_once(monkeypatch):
    real = ended_runs.find_endings
    monkeypatch.setattr(run_events, "find_endings", lambda *one, **other: real(*one, **other, most=2))
    assert _storms(range(300, 360)) > 300


def test_the_storm_notices_a_watcher_that_decides_runs_whose_facts_it_lacks(monkeypatch):
    monkeypatch.setattr(
        ended_runs.Endings,
        "without",
        lambda endings, unread: endings._replace(changes=tuple(run for run in endings.changes if run.id not in unread)),
    )
    with pytest.raises(AssertionError, match="lost"):
        _storms(range(50))


def test_the_storm_notices_a_window_that_passes_what_is_still_to_be_reported(monkeypatch):
    real = ended_runs.find_endings

    def passing(seen, runs, **options):
        found = real(seen, runs, **options, most=2)
        newest = max([found.cursor.floor, *found.cursor.active.values(), *found.cursor.decided.values()])
        return found._replace(cursor=found.cursor._replace(floor=max(found.cursor.floor, newest - LEAST_WINDOW)))

    monkeypatch.setattr(run_events, "find_endings", passing)
    with pytest.raises(AssertionError, match="lost"):
        _storms(range(50))


def test_the_storm_notices_a_watcher_that_goes_by_the_order_of_ends(monkeypatch):
    """A high-water mark of the latest end, as the obvious watcher would have, loses runs."""
    real = ended_runs.find_endings
    marks = {}

    def by_end(seen, runs, **options):
        found = real(seen, runs, **options)
        mark = 0.0 if seen is None else marks.get(seen.encode(), 0.0)
        ends = [run.ended.timestamp() for run in found.changes]
        marks[found.cursor.encode()] = max([mark, *ends])
        return found._replace(changes=tuple(run for run in found.changes if run.ended.timestamp() >= mark))

    monkeypatch.setattr("aml_provider.durable.run_events.find_endings", by_end)
    with pytest.raises(AssertionError, match="lost"):
        _storms(range(50))


def test_the_storm_notices_a_cursor_that_forgets_active_runs(monkeypatch):
    real = ended_runs.find_endings

    def forgetful(seen, runs, **options):
        found = real(seen, runs, **options)
        cursor = found.cursor
        young = {run_id: created for run_id, created in cursor.active.items() if created >= cursor.floor}
        return found._replace(cursor=cursor._replace(active=young))

    monkeypatch.setattr("aml_provider.durable.run_events.find_endings", forgetful)
    with pytest.raises(AssertionError, match="lost"):
        _storms(range(50))


def test_a_cursor_survives_its_text():
    seen = SeenRuns(int(START), {"b": 5, "a\"'é": 4}, {run_hash("x"): int(START), run_hash("y"): int(START) + 1})
    text = seen.encode()
    assert SeenRuns.decode(text) == seen
    turned = SeenRuns(seen.floor, dict(reversed(seen.active.items())), dict(reversed(seen.decided.items())))
    assert turned.encode() == text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: f"2{text[1:]}", "has format '2'; this version reads '1'"),
        (lambda text: f"{text[:-1]}", "damaged"),
        (lambda text: text.replace('"b":5', '"b":6'), "its checksum does not match"),
        (lambda _: "1", "damaged"),
        (lambda _: "", "has format ''"),
    ],
)
def test_a_damaged_cursor_is_not_taken_for_an_empty_one(change, message):
    text = SeenRuns(int(START), {"b": 5}, {run_hash("x"): int(START)}).encode()
    with pytest.raises(CursorUnreadable, match=message):
        SeenRuns.decode(change(text))


def test_a_run_without_a_date_waits_until_it_has_one():
    from aml_provider.client.entities import PipelineRun

    wire = {"Id": "r", "Status": {"StatusCode": "Running"}}
    endings = find_endings(None, [PipelineRun.from_wire(wire)], now=START, report_first=False)
    assert endings.cursor.active == {}
