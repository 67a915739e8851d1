"""In storms of late rows, late ends and crashes, each run that ends is fired once."""

from __future__ import annotations

import random

import pytest
from support.models.crashes import Crash, Fuse
from support.models.run_world import World

from aml_provider.client.errors import ServerFault
from aml_provider.durable import ended_runs, run_events
from aml_provider.durable.ended_runs import LEAST_WINDOW, WINDOW
from aml_provider.durable.wanted_runs import WantedRuns

HOUR = 3600.0


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
