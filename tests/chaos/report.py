"""What a storm did and saw, and each broken promise with its trace."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from chaos.journal import told
from task_log import tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from chaos.judge import Verdict
    from chaos.plan import Plan
    from chaos.storm import Storm
    from support.oracles.promises import Violation

# How many seconds before a run began and after it ended what was done may have mattered to it.
_NEARBY = 30.0
_LINES = 30


class Report:
    """What there is to say about a storm.

    Args:
        storm: The storm.
        verdict: What came of it.
        seconds: How long it took, from nothing to the verdict.
    """

    def __init__(self, storm: Storm, verdict: Verdict, seconds: float) -> None:
        self._storm = storm
        self._verdict = verdict
        self._seconds = seconds
        met = Counter(request["fault"] for request in storm.workspace.requests() if request["fault"])
        self._faults = dict(sorted(met.items()))
        self._counts = storm.journal.counts()
        kills = storm.journal.kills()
        figures = {"kills": kills, "faults": sum(met.values()), **verdict.seen}
        self._short = {
            name: (figures.get(name, 0), least)
            for name, least in storm.plan.size.at_least.items()
            if figures.get(name, 0) < least
        }
        self._excused = Counter(window for window, _ in verdict.excused)
        self._totals = {"kills": kills, "faults met by a request": sum(met.values())}

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept, by a storm as strong as its scale wants it."""
        return not self._verdict.violations and not self._short

    def lines(self) -> Iterator[str]:
        """For people."""
        plan = self._storm.plan
        yield f"The storm: {_named(plan)}, {self._seconds:.0f} s"
        yield from _table("done", {**self._counts, **self._totals})
        yield from _table("faults that met a request", self._faults)
        yield from _table("seen", self._verdict.seen)
        yield from _table("what Airflow did by itself (docs/concepts/reliability.md)", self._excused)
        for window, violation in self._verdict.excused:
            yield f"  {window}: {violation}"
        for name, (figure, least) in self._short.items():
            yield f"TOO WEAK: {name}: {figure}, not {least}"
        violations = self._verdict.violations
        for violation in violations:
            yield f"\n=== {violation}"
            yield from self._trace(violation)
        # What matters most comes last: often only the end of a log is kept.
        yield f"broken promises: {len(violations)}"
        yield from (f"  {violation}" for violation in violations)

    def save(self, file: Path) -> None:
        """Write all of it, with everything that was done, as JSON."""
        plan, verdict = self._storm.plan, self._verdict
        content = {
            "seed": plan.seed,
            "scale": plan.scale,
            "plan": plan.fingerprint,
            "quirks": plan.quirks,
            "seconds": round(self._seconds),
            "done": self._counts,
            "faults": self._faults,
            "seen": dict(verdict.seen),
            "excused": [{"window": window, **violation._asdict()} for window, violation in verdict.excused],
            "too weak": self._short,
            "violations": [violation._asdict() for violation in verdict.violations],
            "journal": [str(entry) for entry in self._storm.journal.between(0, float("inf"))],
            "acts": [act._asdict() for act in verdict.acts],
            "runs": verdict.runs,
        }
        file.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")

    def _trace(self, violation: Violation) -> Iterator[str]:
        task = violation.task
        names = None if task is None else [str(part) for part in task]
        own = [run for run in self._verdict.runs if run["id"] in violation.runs or _task_of(run) == names]
        for run in own:
            marks = {name: text for name, text in run["tags"].items() if name == "airflow.cancel"}
            yield (
                f"run {run['id']} {run['status']} {run['created'][11:23]} to {(run['ended'] or '...')[11:23]}, "
                f"cancelled {(run['canceled'] or 'never')[11:23]}, {marks or 'no mark'}"
            )
        for act in sorted(act for act in self._verdict.acts if act.task == task):
            yield f"act {told(act.time)} {act.kind}"
        for run in own:
            for request in self._storm.workspace.requests(path_contains=run["id"]):
                if request["fault"] or request["method"] != "GET":
                    yield f"request {request['time'][11:23]} {request['method']} {request['status']} {request['fault']}"
            begin = datetime.fromisoformat(run["created"]).timestamp()
            end = datetime.fromisoformat(run["ended"]).timestamp() if run["ended"] else begin
            for entry in self._storm.journal.between(begin - _NEARBY, end + _NEARBY):
                yield f"nearby {entry}"
        if task is not None:
            for log in self._storm.witnesses.logs(task):
                yield f"--- {log.name}\n{tail(log, _LINES)}"


def _task_of(run: dict) -> list[str] | None:
    names = run["properties"] | run["tags"]
    parts = [names.get(f"airflow.{part}") for part in ("dag_id", "run_id", "task_id", "map_index")]
    return None if None in parts else parts


def _table(title: str, figures: Mapping[str, int]) -> Iterator[str]:
    if figures:
        yield f"{title}:"
        yield from (f"  {number:>6} {name}" for name, number in figures.items())


def _named(plan: Plan) -> str:
    quirks = f", quirks {' '.join(plan.quirks)}" if plan.quirks else ""
    return f"SEED={plan.seed} SCALE={plan.scale}, plan {plan.fingerprint}{quirks}"
