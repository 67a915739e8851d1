"""The verdict on a storm: which promises were broken, and what Airflow itself did that looks like it.

The workspace's record decides. Where it shows a broken promise, what Airflow says of that task instance is read too:
the windows that ``docs/concepts/reliability.md`` names are told apart by facts, and counted.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from math import isinf
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.pipeline_load import TASKS, runs_jobs
from support.oracles import job_promises
from support.oracles.promises import Act, Task, Violation, task_of, violations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from chaos.blob_load import BlobLoad
    from chaos.journal import Journal
    from chaos.storm import Storm
    from chaos.witnesses import Life, Witnesses

Record = dict[str, Any]
_MARKS = ("mark_success", "mark_failed")
# The windows, as the report calls them, with their places in ``docs/concepts/reliability.md``.
_LOST = "continues after a state change that Airflow lost (15)"
_UNMARKED = "cancelled without a cancel tag, as that request failed (5)"
_STRUCK = "continues after a state change, as Airflow's API server was killed just then (15)"
_COUNTED = "takes the result of a run that had succeeded before the clear, as the task was just ending (16)"
_UNTOLD = "takes over the run that the task had at the clear, as its worker was killed just then (13)"
# Airflow kills a process that does not end within so many seconds.
_KILLED_AFTER = 6.0
# And so long the API server takes to see to a mark that it was told of.
_SEEN_TO_AFTER = 20.0
_SERVER_KILL = "kill -9 of everything"
# Of the scheduler with its workers; alone it leaves them alive. And of one task, which the journal names.
_WORKER_KILLS = {"kill -9 of scheduler", "kill -9 of everything"}
_TASK_KILLS = "kill -9 of a task"
# What our tasks say when the fate of a submission stays unknown.
_UNKNOWN = (
    "Whether a run was submitted cannot be established",
    "so its outcome is not known",
    "where that cannot be found out",
)
# What our tasks say; figures only.
_ADOPTIONS = {"Taking over run": "runs taken over", "Found run": "runs found by their key"}


class Verdict(NamedTuple):
    """What came of a storm.

    Args:
        violations: The broken promises.
        excused: What looks broken and is what the documentation says that nobody can mend, each with its window.
        seen: Figures.
        runs: The workspace's record.
        acts: What people did, and when deadlines passed.
    """

    violations: list[Violation]
    excused: list[tuple[str, Violation]]
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
    rest = check([*(act for act in acts if act not in lost), *(act._replace(kind="lost_mark") for act in lost)])
    excused = [(_LOST, violation) for violation in check(acts) if violation not in rest]
    found = []
    for violation in rest:
        its_window = _window(violation, storm, acts, requests, runs, endings)
        if its_window is None:
            found.append(violation)
        else:
            excused.append((its_window, violation))
    ours = [run for run in runs if run["id"] not in not_ours]
    found += job_promises.violations(ours, [request for request in requests if "/experiments/jobs_" in request["path"]])
    found += _unknown(storm.witnesses, endings)
    seen = {
        "pipeline task instances": sum(task.dag_id in TASKS for task in endings),
        "other task instances with runs": sum(task.dag_id not in TASKS for task in endings),
        "pipeline runs": len(ours),
        **{f"of them {status}": number for status, number in sorted(Counter(run["status"] for run in ours).items())},
        **_adoptions(storm.witnesses, endings),
        **job_promises.figures(ours, requests),
        "requests": len(requests),
        **storm.deliveries(),
        **load.figures(),
    }
    return Verdict([*found, *load.violations(storm.airflow)], excused, seen, runs, acts)


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


def _unknown(witnesses: Witnesses, tasks: Iterable[Task]) -> Iterator[Violation]:
    """The tasks with components that could not find out what became of a submission."""
    for task in filter(lambda task: runs_jobs(task.dag_id), tasks):
        for log in witnesses.logs(task):
            if any(text in log.read_text(encoding="utf-8", errors="replace") for text in _UNKNOWN):
                yield Violation("no job's fate stays unknown", task, (), log.name)


def _window(
    violation: Violation,
    storm: Storm,
    acts: Iterable[Act],
    requests: Iterable[Record],
    runs: Iterable[Record],
    endings: Mapping[Task, str | None],
) -> str | None:
    task = violation.task
    if task is None:
        return None
    own = [run for run in runs if task_of(run) == task]
    deeds = sorted(act for act in acts if act.task == task and act.kind in {"clear", *_MARKS})
    if violation.promise == "each task ends right":
        cleared = bool(deeds) and deeds[-1].kind == "clear" and not violation.runs
        return _why_it_succeeds(task, deeds, storm, own) if cleared and endings.get(task) == "success" else None
    if violation.promise == "each cancel is marked":
        marking = [
            request
            for request in requests
            if request["method"] == "PATCH" and request["path"].endswith(f"/runs/{violation.runs[0]}")
        ]
        failed = [request for request in marking if request["fault"] or (request["status"] or 500) >= 400]
        return _UNMARKED if failed and len(failed) == len(marking) else None
    if violation.promise == "no orphan":
        marks = [act for act in deeds if act.kind in _MARKS]
        return _STRUCK if marks and _server_was_killed(storm.journal, marks[-1]) else None
    return None


def _why_it_succeeds(task: Task, deeds: Sequence[Act], storm: Storm, runs: Iterable[Record]) -> str | None:
    """Why a task takes the success of a run that is older than its last clear."""
    *_, clear = deeds
    before = [act.time for act in deeds if act.kind == "clear" and act.time < clear.time]
    met = max((run for run in runs if _created(run) <= clear.time), key=_created, default=None)
    if met is None or met["status"] != "Finished" or (before and _created(met) <= before[-1]):
        return None
    witnesses = storm.witnesses
    told = [*witnesses.endings_told(task, clear.time), *witnesses.refusals(task, clear.time)]
    if any(not one.is_trigger and one.begun <= clear.time for one in told):
        return _COUNTED if _seconds(met["ended"]) <= clear.time else None
    worker = witnesses.worker(task, clear.time)
    untold = worker is not None and worker.end is None and _was_killed(worker, storm.journal, clear.time)
    return _UNTOLD if untold else None


def _was_killed(worker: Life, journal: Journal, act: float) -> bool:
    """Whether the storm killed a task's process or its supervisor before it was done with an act."""
    return any(
        entry.kind in _WORKER_KILLS or (entry.kind.startswith(_TASK_KILLS) and entry.detail == worker.try_id)
        for entry in journal.between(worker.begun, act + _KILLED_AFTER)
    )


def _server_was_killed(journal: Journal, mark: Act) -> bool:
    """Whether the storm killed Airflow's API server before it had seen to a mark."""
    done = mark.time if mark.done is None or isinf(mark.done) else mark.done
    return any(entry.kind == _SERVER_KILL for entry in journal.between(mark.time, done + _SEEN_TO_AFTER))


def _created(run: Record) -> float:
    return _seconds(run["created"])


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


def _adoptions(witnesses: Witnesses, tasks: Iterable[Task]) -> dict[str, int]:
    counts = dict.fromkeys(_ADOPTIONS.values(), 0)
    for task in tasks:
        for word in witnesses.words(task):
            for beginning, name in _ADOPTIONS.items():
                counts[name] += word.event.startswith(beginning)
    return counts
