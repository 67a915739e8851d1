"""The verdict on a storm: which promises were broken, and what Airflow itself did that looks like it.

The workspace's record decides. Where it shows a broken promise, what Airflow says of that task instance is read too:
the windows that ``docs/reliability.md`` names are told apart by facts, and counted.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.pipeline_load import TASKS
from support.promises import Act, Task, Violation, task_of, violations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chaos.blob_load import BlobLoad
    from chaos.journal import Journal
    from chaos.storm import Storm
    from chaos.witnesses import Told, Witnesses

Record = dict[str, Any]
_MARKS = ("mark_success", "mark_failed")
#: The windows, as the report calls them, with their places in ``docs/reliability.md``.
_WINDOWS = {
    "given_up": "cancelled as Airflow gave up a worker that lives (12)",
    "moved": "cancelled by a triggerer that woke up late (7)",
    "lost_mark": "goes on although it was marked, as Airflow lost the mark (15)",
}
_UNMARKED = "cancelled without a mark, as that request failed (5)"
_UNHEARD = "goes on after a mark that no process heard of (by Airflow version)"
_REFUSED = "goes on as Airflow refused the deferral of a task that was just marked (15)"
_STRUCK = "goes on after a mark, as what was to cancel it was killed just then (by Airflow version)"
_TOO_EARLY = "goes on after a mark that met a try which had not come to it yet (6)"
_COUNTED = "takes the success that a clear met in its last moment (16)"
_UNTOLD = "takes over the run that a clear met, as its worker was killed just then (13)"
# Airflow kills a process that does not end within so many seconds.
_KILLED_AFTER = 6.0
_TRIGGERER_KILLS = ("kill -9 of triggerer", "kill -9 of everything")
_WORKER_KILLS = ("kill -9 of a task", "kill -9 of scheduler", "kill -9 of everything")
# What our tasks say; figures only.
_ADOPTIONS = {"Taking over run": "runs taken over", "Found the run": "runs found by their key"}


class Verdict(NamedTuple):
    """What came of a storm.

    Args:
        violations: The broken promises.
        excused: How often Airflow did what the documentation says that nobody can mend, by window.
        seen: Figures.
        runs: The workspace's record.
        acts: What people did, and when deadlines passed.
    """

    violations: list[Violation]
    excused: Mapping[str, int]
    seen: Mapping[str, int]
    runs: list[Record]
    acts: list[Act]


def judge(storm: Storm, load: BlobLoad) -> Verdict:
    """Judge a storm after which all is calm."""
    runs = storm.workspace.record()
    not_ours = load.not_ours()
    endings = _endings(storm.witnesses, storm.dag_ids(), runs)
    acts = [*storm.people.acts, *load.acts, *storm.witnesses.deadlines(endings)]
    requests = storm.workspace.requests()

    def check(acts: Sequence[Act]) -> list[Violation]:
        return violations(runs, acts, endings=endings, not_ours=not_ours)

    suspects = {violation.task for violation in check(acts) if violation.task is not None}
    lost = [act for act in acts if act.task in suspects and act.kind in _MARKS and storm.witnesses.is_lost(act, acts)]
    excuses = [act._replace(kind="lost_mark") for act in lost]
    for task in suspects:
        excuses += [*storm.witnesses.given_up(task, acts), *storm.witnesses.moved(task, acts)]
    others = [act for act in acts if act not in lost]
    rest = check([*others, *excuses])
    excused: Counter[str] = Counter()
    for kind, window in _WINDOWS.items():
        without = [act for act in excuses if act.kind != kind] + (lost if kind == "lost_mark" else [])
        excused[window] = len(check([*others, *without])) - len(rest)
    found = []
    for violation in rest:
        window = _window(violation, storm, acts, requests, runs)
        if window is None:
            found.append(violation)
        else:
            excused[window] += 1
    ours = [run for run in runs if run["id"] not in not_ours]
    seen = {
        "pipeline task instances": sum(task.dag_id in TASKS for task in endings),
        "other task instances with runs": sum(task.dag_id not in TASKS for task in endings),
        "pipeline runs": len(ours),
        **{f"of them {status}": number for status, number in sorted(Counter(run["status"] for run in ours).items())},
        **_adoptions(storm.witnesses, endings),
        "requests": len(requests),
        **load.figures(),
    }
    return Verdict([*found, *load.violations(storm.airflow)], +excused, seen, runs, acts)


def _endings(witnesses: Witnesses, dag_ids: Iterable[str], runs: Iterable[Record]) -> dict[Task, str | None]:
    """The states of our own task instances, and of the others that came to a run."""
    names = [run["properties"] | run["tags"] for run in runs]
    with_runs = {
        (name["airflow.dag_id"], name["airflow.run_id"], name["airflow.task_id"], int(name["airflow.map_index"]))
        for name in names
        if "airflow.key" in name
    }
    found = witnesses.endings(dag_ids)
    return {task: state for task, state in found.items() if task.dag_id in TASKS or tuple(task) in with_runs}


def _window(
    violation: Violation, storm: Storm, acts: Iterable[Act], requests: Iterable[Record], runs: Iterable[Record] = ()
) -> str | None:
    task, witnesses = violation.task, storm.witnesses
    if task is None:
        return None
    if violation.promise == "each task ends right" and not violation.runs:
        clear = max((act.time for act in acts if act.task == task and act.kind == "clear"), default=None)
        return None if clear is None else _why_it_succeeds(task, clear, storm, runs)
    if violation.promise == "each cancel is marked":
        marking = [
            request
            for request in requests
            if request["method"] == "PATCH" and request["path"].endswith(f"/runs/{violation.runs[0]}")
        ]
        failed = [request for request in marking if request["fault"] or (request["status"] or 500) >= 400]
        return _UNMARKED if failed and len(failed) == len(marking) else None
    if violation.promise == "no orphan":
        marks = [act.time for act in acts if act.task == task and act.kind in _MARKS]
        if not marks:
            return None
        told = [one for one in witnesses.endings_told(task, max(marks)) if _may_know(one, violation.runs[0])]
        if not told and any(witnesses.refusals(task, max(marks))):
            return _REFUSED
        if told and all(_was_struck(one, storm.journal) for one in told):
            return _STRUCK
        return _why_it_goes_on(violation, told, requests)
    return None


def _why_it_succeeds(task: Task, clear: float, storm: Storm, runs: Iterable[Record]) -> str | None:
    """Why a task takes a success whose run is older than the clear."""
    good = [run for run in runs if run["status"] == "Finished" and task_of(run) == task]
    told = [*storm.witnesses.endings_told(task, clear), *storm.witnesses.refusals(task, clear)]
    workers = [one for one in told if not one.is_trigger and one.begun <= clear]
    if workers:
        had_ended = any(datetime.fromisoformat(run["ended"]).timestamp() <= clear for run in good)
        return _COUNTED if had_ended else None
    begun = storm.witnesses.unfinished(task, clear)
    if not good or begun is None:
        return None
    kills = storm.journal.between(begun, clear + _KILLED_AFTER)
    return _UNTOLD if any(entry.kind.startswith(_WORKER_KILLS) for entry in kills) else None


def _may_know(told: Told, run_id: str) -> bool:
    """Whether what was told to end could cancel a run: each trigger has one run only."""
    return not told.is_trigger or not told.runs or run_id in told.runs


def _was_struck(told: Told, journal: Journal) -> bool:
    """Whether what was told to end, and so to cancel the run, was killed with -9 while it did so."""
    kinds = _TRIGGERER_KILLS if told.is_trigger else _WORKER_KILLS
    kills = journal.between(told.time, told.time + _KILLED_AFTER)
    return not told.ended and any(entry.kind.startswith(kinds) for entry in kills)


def _why_it_goes_on(violation: Violation, told: Sequence[Told], requests: Iterable[Record]) -> str | None:
    if not told:
        return _UNHEARD
    if any(one.is_trigger for one in told):
        # A trigger knows its run from its first moment on.
        return None
    (run_id,) = violation.runs
    about = [datetime.fromisoformat(request["time"]).timestamp() for request in requests if run_id in request["path"]]
    early = not any(one.begun <= time <= one.time + _KILLED_AFTER for one in told for time in about)
    return _TOO_EARLY if early else None


def _adoptions(witnesses: Witnesses, tasks: Iterable[Task]) -> dict[str, int]:
    counts = dict.fromkeys(_ADOPTIONS.values(), 0)
    for task in tasks:
        for word in witnesses.words(task):
            for beginning, name in _ADOPTIONS.items():
                counts[name] += word.event.startswith(beginning)
    return counts
