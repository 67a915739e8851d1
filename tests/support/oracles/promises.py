"""Whether a workspace has exactly one run for each task instance and generation, judged by its own state.

Pure functions over the answer of ``/_emulator/runs`` and the list of people's acts. Our own logs and Airflow's database
are not used as evidence.
"""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

#: The kinds of acts. Only ``clear`` begins a generation; each kind is a reason to cancel a run.
KINDS = ("clear", "mark_success", "mark_failed", "mark_skipped", "cancel", "deadline", "lost_mark")
#: The most seconds that a submission takes.
_ON_ITS_WAY = 10.0
_KEY, _MARK, _FINGERPRINT = "airflow.key", "airflow.cancel", "airflow.fingerprint"


class Task(NamedTuple):
    """A task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    def __str__(self) -> str:
        return "/".join(map(str, self[:3])) + ("" if self.map_index < 0 else f"[{self.map_index}]")


class Act(NamedTuple):
    """An act of a person, or of a deadline, on a task instance or its run.

    Args:
        time: When, in seconds of the workspace's clock, or a little before.
        kind: One of :data:`KINDS`; ``cancel`` is a cancellation in the workspace; ``lost_mark`` a manual state change
            that Airflow lost (``docs/concepts/reliability.md``).
        task: The task instance.
        done: When it had certainly taken effect, or never would; None: at ``time``.
    """

    time: float
    kind: str
    task: Task
    done: float | None = None


class Violation(NamedTuple):
    """A broken promise.

    Args:
        promise: The promise.
        task: The task instance; None for a run that names no task.
        runs: The runs that show the violation.
        detail: How they show it.
    """

    promise: str
    task: Task | None
    runs: tuple[str, ...]
    detail: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.task}: {self.detail}"


class _Run(NamedTuple):
    id: str
    key: str | None
    fingerprint: str | None
    marked: bool
    status: str
    created: float
    ended: float
    canceled: float | None

    @property
    def span(self) -> str:
        return f"{self.id} {self.status} {self.created:.1f} to {self.ended:.1f}"


def violations(
    runs: Iterable[Mapping[str, Any]],
    acts: Iterable[Act] = (),
    *,
    endings: Mapping[Task, str | None] | None = None,
    may_go_on: Collection[Task] = (),
    not_ours: Collection[str] = (),
) -> list[Violation]:
    """Find every broken promise.

    Args:
        runs: All runs of the workspace, as ``/_emulator/runs`` returns them, in any order.
        acts: The acts of people.
        endings: The final state of each task instance; then no run may still be active, and each task must have ended
            like its runs. None while tasks still run.
        may_go_on: Task instances whose run may stay active, because the documentation says so.
        not_ours: Ids of runs that no task submitted.
    """
    by_task: dict[Task, list[_Run]] = defaultdict(list)
    found: list[Violation] = []
    for record in runs:
        task = task_of(record)
        if task is not None:
            by_task[task].append(_read(record))
        elif record["id"] not in not_ours:
            found.append(Violation("each run names its task", None, (record["id"],), f"{record['id']} names none"))
    acts_of: dict[Task, list[Act]] = defaultdict(list)
    for act in sorted(acts):
        assert act.kind in KINDS, act
        acts_of[act.task].append(act)
    for task, own in by_task.items():
        own.sort(key=lambda run: run.created)
        found += _at_most_one_active(task, own)
        found += _no_key_twice(task, own)
        found += _at_most_one_success(task, own, acts_of[task])
        found += _no_cancel_without_reason(task, own, acts_of[task])
        if endings is not None and task not in may_go_on:
            found += _no_orphan(task, own)
    for task, state in (endings or {}).items():
        found += _right_ending(task, state, by_task.get(task, []), acts_of[task])
    return found


def _at_most_one_active(task: Task, runs: Sequence[_Run]) -> Iterable[Violation]:
    # Across all generations: a new one waits until the older one's run has ended.
    latest: _Run | None = None
    for run in runs:
        if latest is not None and run.created < latest.ended:
            yield Violation("at most one run active", task, (latest.id, run.id), f"{latest.span}; {run.span}")
        if latest is None or run.ended > latest.ended:
            latest = run


def _no_key_twice(task: Task, runs: Sequence[_Run]) -> Iterable[Violation]:
    by_key: dict[str | None, list[str]] = defaultdict(list)
    for run in runs:
        by_key[run.key].append(run.id)
    for key, ids in by_key.items():
        if key is not None and len(ids) > 1:
            yield Violation("no submission twice", task, tuple(ids), f"{', '.join(ids)} carry the key {key}")


def _at_most_one_success(task: Task, runs: Sequence[_Run], acts: Sequence[Act]) -> Iterable[Violation]:
    clears = [act for act in acts if act.kind == "clear"]
    latest: tuple[int, str] | None = None
    for run in runs:
        if run.status != "Finished":
            continue
        # A run that was created while a clear took effect may belong to the generation before the clear or after it.
        first = sum(_done(act) <= run.created for act in clears)
        last = sum(act.time <= run.created for act in clears)
        generation = first if latest is None else max(first, latest[0] + 1)
        if latest is not None and generation > last:
            yield Violation(
                "at most one success", task, (latest[1], run.id), f"{latest[1]}, {run.id} in one generation"
            )
        latest = (min(generation, last), run.id)


def _no_cancel_without_reason(task: Task, runs: Sequence[_Run], acts: Sequence[Act]) -> Iterable[Violation]:
    earlier: Sequence[Act] = ()  # the acts on the previous run
    for before, run, after in zip([None, *runs[:-1]], runs, [*runs[1:], None], strict=True):
        if run.canceled is None:
            earlier = ()
            continue
        # A submission that was under way at the time of the act is cancelled too. The first act that found the previous
        # run active was about that run.
        begin = run.created - _ON_ITS_WAY
        alone = -math.inf if before is None else min(before.ended, run.created)
        about = [
            act
            for act in acts
            if act.time <= run.canceled and begin <= _done(act) and (alone <= _done(act) or act in earlier[1:])
        ]
        reasons = {act.kind for act in about}
        earlier = about
        exactly = any(act.kind == "cancel" and act.time <= run.canceled <= _done(act) for act in acts)
        if (reasons == {"cancel"} or exactly) and not run.marked:
            continue
        changed = after is not None and after.fingerprint != run.fingerprint
        if not changed and not reasons - {"cancel"}:
            detail = f"{run.span}, cancelled at {run.canceled:.1f}; acts: {', '.join(map(_shown, acts)) or 'none'}"
            yield Violation("no cancel without a person's act", task, (run.id,), detail)
        elif not run.marked:
            yield Violation("each cancel is marked", task, (run.id,), run.span)


def _no_orphan(task: Task, runs: Sequence[_Run]) -> Iterable[Violation]:
    for run in runs:
        if run.ended == math.inf:
            yield Violation("no orphan", task, (run.id,), f"{run.id} is {run.status} though its task has ended")


def _right_ending(task: Task, state: str | None, runs: Sequence[_Run], acts: Sequence[Act]) -> Iterable[Violation]:
    marks = [act for act in acts if act.kind in {"clear", "mark_success", "mark_failed", "mark_skipped"}]
    if marks and marks[-1].kind != "clear":
        wanted = marks[-1].kind.removeprefix("mark_")
        if state != wanted:
            yield Violation("each task ends right", task, (), f"it was marked {wanted} and is {state}")
        return
    last = [run for run in runs if not marks or run.created >= marks[-1].time]
    good = [run for run in last if run.status == "Finished"]
    # A run that was created while the clear took effect may belong to the generation before it.
    surely_good = [run for run in good if not marks or run.created >= _done(marks[-1])]
    if not (state == "success" and good) and not (state == "failed" and not surely_good):
        shown = "; ".join(run.span for run in last) or "none"
        yield Violation("each task ends right", task, tuple(run.id for run in last), f"it is {state}; runs: {shown}")


def _done(act: Act) -> float:
    return act.time if act.done is None else act.done


def _shown(act: Act) -> str:
    return f"{act.kind} at {act.time:.1f}"


def task_of(record: Mapping[str, Any]) -> Task | None:
    """The task instance that a run names."""
    names = _names(record)
    if _KEY not in names:
        return None
    return Task(
        names["airflow.dag_id"], names["airflow.run_id"], names["airflow.task_id"], int(names["airflow.map_index"])
    )


def key_of(record: Mapping[str, Any]) -> str | None:
    """The submission key that a run carries."""
    return _names(record).get(_KEY)


def _names(record: Mapping[str, Any]) -> dict[str, str]:
    # Some workspaces drop the tags, some the properties.
    return {**record["properties"], **record["tags"]}


def _read(record: Mapping[str, Any]) -> _Run:
    names = _names(record)
    return _Run(
        id=record["id"],
        key=names.get(_KEY),
        fingerprint=names.get(_FINGERPRINT),
        marked=_MARK in record["tags"],
        status=record["status"],
        created=_seconds(record["created"]),
        ended=_seconds(record["ended"]) if record["ended"] else math.inf,
        canceled=_seconds(record["canceled"]) if record["canceled"] else None,
    )


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
