"""The DAG runs of a storm whose tasks run pipelines or components, and how long each of those runs takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from support.oracles.promises import Task

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

_PIPELINES, _JOBS = "pipelines", "jobs"
#: The DAGs whose runs go on until somebody acts.
LONG = (f"{_PIPELINES}_people", f"{_JOBS}_people")
#: The DAGs whose tasks people meddle with although they would end by themselves.
DEFERRED = tuple(f"{kind}_{load}" for kind in (_PIPELINES, _JOBS) for load in ("deferred", "mapped", "worker"))
#: How long "until somebody acts" is, in seconds.
FOR_EVER = 86400
_TASKS: Mapping[str, tuple[tuple[str, int], ...]] = {
    "worker": (("one", -1), ("two", -1)),
    "deferred": (("by_id", -1), ("by_name", -1), ("by_endpoint", -1)),
    "mapped": tuple(("each", index) for index in range(6)),
    "deadline": (("deferred", -1), ("on_worker", -1)),
    "changing": (("deferred", -1), ("on_worker", -1)),
    "people": (("deferred", -1), ("on_worker", -1)),
}
#: The task instances of each DAG run, by DAG: task and map index. Each DAG is there twice, with published pipelines and
#: with components.
TASKS: Mapping[str, tuple[tuple[str, int], ...]] = {
    f"{kind}_{load}": tasks for kind in (_PIPELINES, _JOBS) for load, tasks in _TASKS.items()
}
# How many of the DAG runs run components: the seed decides which.
_SHARE = 0.4
_LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 55)
# Those that keep a worker busy, and those of which a kill makes more.
_SHORT = (1, 2, 3, 5, 8, 13)


class Start(NamedTuple):
    """A DAG run.

    Args:
        at: Seconds since the storm began.
        dag_id: Its DAG.
        run_id: Its id.
        lengths: What becomes of the pipeline runs of each task instance, one after another: seconds, with ``!`` if the
            run fails then; the last one holds for all further runs.
    """

    at: float
    dag_id: str
    run_id: str
    lengths: tuple[str, ...]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Its task instances."""
        return tuple(Task(self.dag_id, self.run_id, *task) for task in TASKS[self.dag_id])

    @property
    def conf(self) -> dict[str, Any]:
        """What the DAG run is given."""
        return {"lengths": list(self.lengths)}


def runs_jobs(dag_id: str) -> bool:
    """Whether a DAG is one that runs components."""
    return dag_id in TASKS and dag_id.startswith(_JOBS)


def with_jobs(dice: random.Random, drawn: tuple[Start, ...]) -> tuple[Start, ...]:
    """Let a share of DAG runs run components instead of published pipelines."""
    chosen = set(dice.sample(range(len(drawn)), round(_SHARE * len(drawn))))
    return tuple(
        start._replace(dag_id=start.dag_id.replace(_PIPELINES, _JOBS)) if number in chosen else start
        for number, start in enumerate(drawn)
    )


def starts(dice: random.Random, dag_runs: Mapping[str, int], seconds: float) -> tuple[Start, ...]:
    """Draw DAG runs for the first three quarters of a storm, all of published pipelines.

    Args:
        dice: What to draw with.
        dag_runs: How many of each DAG.
        seconds: How long the storm lasts.
    """
    drawn = []
    for dag_id, number in dag_runs.items():
        for index in range(number):
            # One of each is there from the beginning.
            at = 0.0 if index == 0 else round(dice.uniform(0, 0.75 * seconds), 1)
            lengths = tuple(_lengths(dice, dag_id) for _ in TASKS[dag_id])
            drawn.append(Start(at, dag_id, f"{dag_id.removeprefix('pipelines_')}-{index}", lengths))
    return tuple(sorted(drawn))


def _lengths(dice: random.Random, dag_id: str) -> str:
    if dag_id in LONG:
        return str(FOR_EVER)
    if dag_id == "pipelines_deadline":
        return dice.choice((f"{FOR_EVER},2", "2"))
    on_worker = dag_id in {"pipelines_worker", "pipelines_changing"}
    last = dice.choice(_SHORT if on_worker else _LENGTHS)
    failures = dice.choices((0, 1, 2), (6, 2, 1))[0]
    return ",".join([*(f"{dice.choice((1, 2, 3))}!" for _ in range(failures)), str(last)])
