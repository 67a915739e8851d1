"""Watchers of a run history in memory, whose triggerer can die."""

from __future__ import annotations

import json

from support.models.crashes import Fuse
from support.models.run_history import RunHistory

from aml_provider.durable.ended_runs import SeenRuns
from aml_provider.durable.run_events import SharedRuns, read_run_event, watch_runs
from aml_provider.durable.run_sources import ExperimentRuns
from aml_provider.durable.wanted_runs import WantedRuns
from aml_provider.watching.outbox import WatcherRecord


class World:
    """A history, the triggerer's shared poll, and what Airflow has stored for each watcher.

    Args:
        wanted: What each watcher wants.
        source: Makes the source of runs.
        one: The arguments of the only watcher, if none is in ``wanted``.
    """

    def __init__(self, *wanted, source=lambda: ExperimentRuns("exp"), **one):
        self.history = RunHistory()
        self.make_source = source
        self.wanted = wanted or (WantedRuns.of(**one),)
        self.records = [WatcherRecord() for _ in self.wanted]
        self.events = [[] for _ in self.wanted]
        self.polls = []
        self.restart()

    def restart(self):
        """A new triggerer: only what is stored remains."""
        self.shared = SharedRuns(self.make_source())
        self.watchers = [self._join(index) for index in range(len(self.wanted))]
        self.polls = []

    def _join(self, index):
        record = self.records[index]
        if record.cursor_text is not None:
            record = WatcherRecord.from_json(json.loads(json.dumps(record.to_json())), read_run_event)
        return watch_runs(self.shared, self.wanted[index], record, self.history.now)

    def poll(self, fuse=None):
        """Poll once; the fuse burns at each step at which a triggerer can die."""
        fuse = fuse or Fuse()
        poll = self.history.drive(self.shared.poll(self.history.now), fuse)
        for index, watcher in enumerate(self.watchers):
            fuse.burn()
            events = watcher.take(poll, self.history.now)
            if watcher.must_save:
                self.records[index] = watcher.record
                fuse.burn()
            for event in events:
                self.events[index].append(event)
                fuse.burn()
        for earlier in self.polls:
            earlier.is_stored = True
        self.polls.append(poll)

    def fired(self, index=0):
        return [event["run_id"] for event in self.events[index]]

    def distinct(self, index=0):
        """The runs that were fired, after a check that repeats are equal."""
        by_run = {}
        for event in self.events[index]:
            assert by_run.setdefault(event["run_id"], event) == event
        assert len({event["id"] for event in by_run.values()}) == len(by_run)
        return set(by_run)

    def detection(self):
        """What the last poll found."""
        (step,) = self.polls[-1].steps.values()
        return step.detection

    @property
    def seen(self):
        return SeenRuns.decode(self.records[0].cursor_text)
