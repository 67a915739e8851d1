"""The cursor of a native schedule: the runs that were delivered already. It finds the next run, without any I/O."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.stored import damaged, parse, reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.client.entities import PipelineRun

#: A run that appears late in the schedule's list is delivered if it began at most this long before the latest delivered
#: run.
LATENESS = timedelta(hours=1)


class RunCursor(NamedTuple):
    """The runs that were delivered.

    Args:
        since: Runs that began earlier are ignored.
        latest: When the latest delivered run began; None before the first one.
        seen: The id and begin of each delivered run that began within :data:`LATENESS` before ``latest``.
    """

    since: datetime
    latest: datetime | None = None
    seen: tuple[tuple[str, datetime], ...] = ()

    def next_run(self, runs: Iterable[PipelineRun], since: datetime | None = None) -> PipelineRun | None:
        """Find the first run that was not delivered yet, in the order in which the runs began.

        Args:
            runs: The schedule's runs, in any order.
            since: Runs that began earlier are ignored too, if this is later than the cursor's own ``since``.
        """
        floor = self.since if since is None else max(self.since, since)
        if self.latest is not None:
            floor = max(floor, self.latest - LATENESS)
        known = {run_id for run_id, _ in self.seen}
        # A run without a date has only just begun: the service will set the date.
        left = [run for run in runs if run.created is not None and run.created >= floor and run.id not in known]
        return min(left, key=lambda run: (run.created, run.id), default=None)

    def after(self, run: PipelineRun) -> RunCursor:
        """The cursor after this run is delivered."""
        assert run.created is not None
        latest = run.created if self.latest is None else max(self.latest, run.created)
        seen = [(known, began) for known, began in self.seen if began >= latest - LATENESS]
        return self._replace(latest=latest, seen=(*seen, (run.id, run.created)))

    def encode(self) -> str:
        """Encode as text."""
        return json.dumps(
            {
                "since": self.since.isoformat(),
                "latest": None if self.latest is None else self.latest.isoformat(),
                "seen": [[run_id, began.isoformat()] for run_id, began in self.seen],
            }
        )

    @classmethod
    def decode(cls, text: str) -> RunCursor:
        """Read the result of :meth:`encode`.

        Raises:
            CursorUnreadable: The text is something else.
        """
        with reading(damaged):
            stored = parse(text)
            latest = stored["latest"]
            return cls(
                _moment(stored["since"]),
                None if latest is None else _moment(latest),
                tuple((_text(run_id), _moment(began)) for run_id, began in stored["seen"]),
            )


def undone(cursor_text: str, undo_text: str) -> tuple[str, str]:  # noqa: ARG001 - the signature of all kinds of cursors
    """Take the last run out of a stored cursor: the undo text is the cursor before that run.

    Returns:
        The cursor without the run, and the same text as its undo text.
    """
    return undo_text, undo_text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a run id is {value!r:.80}")
    return value


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment
