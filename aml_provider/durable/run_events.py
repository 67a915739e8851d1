"""Runs that have ended, as asset events: the shared polls of a source of runs, and its watchers."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from aml_provider.client.errors import AzureMLError
from aml_provider.client.help import text_of
from aml_provider.client.http.messages import Work
from aml_provider.client.text import some_of
from aml_provider.durable.attempts import Attempts
from aml_provider.durable.ended_runs import Endings, SeenRuns, find_endings, first_floor
from aml_provider.watching.outbox import Watcher
from aml_provider.watching.shared import SharedSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.durable.run_facts import EndedRun, RunSource
    from aml_provider.durable.wanted_runs import WantedRuns
    from aml_provider.watching.outbox import Event, WatcherRecord
    from aml_provider.watching.shared import SharedPoll

# More runs are compared in a thread, if the caller has an event loop.
_MANY = 1000


class RunEvent(TypedDict):
    """The payload of an asset event.

    Attributes:
        id: The same for the same run, in every process and at any time.
        run_id: The run.
        status: ``Finished``, ``Failed`` or ``Canceled``, for runs of v1 and jobs of v2 alike.
        pipeline_id: The published pipeline, or the component's version; None if the workspace does not say.
        pipeline_name: Its name; None if the workspace does not say.
        experiment_name: The experiment.
        ended: When the run ended, by the service's clock: ISO 8601, UTC. None if the service does not say.
        link: The run's page in the studio.
    """

    id: str
    run_id: str
    status: str
    pipeline_id: str | None
    pipeline_name: str | None
    experiment_name: str
    ended: str | None
    link: str


class RunRules(NamedTuple):
    """The decisions that watchers of a source have in common.

    Attributes:
        report_first: Whether the first poll reports runs that have ended.
    """

    report_first: bool


class _State:
    def __init__(self, rules: RunRules, seen: SeenRuns | None) -> None:
        self.rules = rules
        self.seen = seen

    def accept(self, detection: Endings) -> None:
        self.seen = detection.cursor


class SharedRuns(SharedSource):
    """One source of runs and its watchers.

    Args:
        source: The source.
    """

    def __init__(self, source: RunSource) -> None:
        super().__init__()
        self.source = source
        self._attempts = Attempts()

    def poll(self, now: float) -> Flow[SharedPoll]:
        """Read the source once and compare.

        Args:
            now: The time, in seconds since the epoch; see :func:`~aml_provider.durable.ended_runs.find_endings`.

        Raises:
            AzureMLError: The poll is discarded and nothing changes.
        """
        self.source.begin(now)
        everybody = list(self._all)
        runs = yield from self._read([one.state.seen for one in everybody], now)
        tried = self._attempts.failed

        def compare() -> list[Endings]:
            return [
                find_endings(one.state.seen, runs, now=now, report_first=one.state.rules.report_first, tried=tried)
                for one in everybody
            ]

        found: list[Endings] = (yield Work(compare)) if len(runs) > _MANY else compare()
        complete = yield from self._complete({run.id: run for endings in found for run in endings.changes})
        detections = [_completed(endings, complete) for endings in found]
        self._attempts.keep({run_id for endings in detections for run_id in endings.cursor.active})
        return self._advanced(everybody, detections)

    def _complete(self, ended: Mapping[str, PipelineRun]) -> Flow[dict[str, EndedRun | None]]:
        """Add what lists lack to runs that have ended; those of which it cannot be read are left out."""
        complete: dict[str, EndedRun | None] = {}
        waiting: list[str] = []
        self._attempts.begin()
        for run_id in self._attempts.ordered(ended):
            if self._attempts.is_over:
                break
            try:
                complete[run_id] = yield from self.source.complete(ended[run_id])
            except AzureMLError as error:
                if self._attempts.note(run_id, error):
                    waiting.append(f"{run_id} ({text_of(error)})")
                self.source.errors.append(error)
            else:
                self._attempts.forget(run_id)
        if waiting:
            self.source.problems.append(
                f"These runs have ended; their events follow when all facts about them can be read: {some_of(waiting)}"
            )
        return complete

    def _state_of(self, rules: Any, cursor_text: str | None) -> _State:
        return _State(rules, None if cursor_text is None else SeenRuns.decode(cursor_text))

    def _read(self, seen: Sequence[SeenRuns | None], now: float) -> Flow[Sequence[PipelineRun]]:
        since = min(first_floor(now) if one is None else one.floor for one in seen)
        active = sorted({run_id for one in seen if one is not None for run_id in one.active})
        runs = yield from self.source.read(since, active)
        if None in seen:
            runs = [*runs, *(yield from self.source.read_active())]
        return runs


def _completed(endings: Endings, complete: Mapping[str, EndedRun | None]) -> Endings:
    """The endings with complete runs; the others are left for later polls, and runs of other runs are left out."""
    endings = endings.without({run.id for run in endings.changes} - complete.keys())
    full = [complete[run.id] for run in endings.changes]
    return endings._replace(changes=tuple(run for run in full if run is not None))


def watch_runs(shared: SharedRuns, wanted: WantedRuns, record: WatcherRecord, now: float) -> Watcher:
    """Make a watcher of a source of runs.

    Args:
        shared: The source.
        wanted: The runs that are fired.
        record: The stored record.
        now: The time in seconds, by the same clock as in :meth:`~aml_provider.watching.outbox.Watcher.take`.

    Raises:
        CursorUnreadable: The record's cursor is damaged, or of a newer format.
    """
    knowledge = shared.join(RunRules(wanted.report_first), record.cursor_text)

    def events_of(found: Sequence[EndedRun]) -> list[Any]:
        return [event_of(ended) for ended in found if wanted.wants(ended)]

    return Watcher(knowledge, shared.polls, record, events_of, now)


def event_of(ended: EndedRun) -> RunEvent:
    """The event for a run that has ended. Its id is the SHA-256 of the workspace and the run's id."""
    run = ended.run
    return RunEvent(
        id=sha256(json.dumps([ended.workspace, run.id]).encode()).hexdigest(),
        run_id=run.id,
        status=run.state.value,
        pipeline_id=run.pipeline_id or None,
        pipeline_name=ended.pipeline_name or None,
        experiment_name=run.experiment_name,
        ended=None if run.ended is None else run.ended.isoformat(),
        link=ended.link,
    )


def read_run_event(stored: Any) -> Event:
    """Check the payload of an event that was stored.

    Raises:
        TypeError: It is something else.
        LookupError: A part is missing.
    """
    event = {name: stored[name] for name in RunEvent.__annotations__}
    for name, value in event.items():
        may_be_none = name in {"pipeline_id", "pipeline_name", "ended"}
        if not isinstance(value, str) and not (value is None and may_be_none):
            raise TypeError(f"{name} of an event is {value!r:.80}")
    return event
