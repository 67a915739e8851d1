"""What a storm will do and when, drawn from a seed: the same seed and scale are the same plan.

Pure. What is drawn is what to hit and when, not whom: which process that is depends on what runs at that moment.
"""

from __future__ import annotations

import hashlib
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.pipeline_load import DEFERRED, LONG, Start, starts, with_jobs
from chaos.scales import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chaos.scales import Scale
    from support.oracles.promises import Task

#: Kills of a task's processes; the others are kills of components.
TASK_KILLS = ("task", "supervisor", "both")
# For how many seconds a database is away: a failover takes so long.
_AWAY = 30.0


class Kill(NamedTuple):
    """SIGKILL.

    Args:
        at: Seconds since the storm began.
        what: ``task`` (the process that runs an operator), ``supervisor``, ``both``, a component such as
            ``triggerer``, ``scheduler alone`` (its workers live on), ``everything``, or the ``broker`` of a cluster,
            which comes back empty.
        dice: Picks one of those that there are, from 0 to 1.
        pause: Seconds until a component is started again.
    """

    at: float
    what: str
    dice: float
    pause: float = 0.0


class Freeze(NamedTuple):
    """SIGSTOP of a component, and SIGCONT when it counts as dead.

    Args:
        at: Seconds since the storm began.
        what: ``triggerer``, or ``worker`` of a cluster.
        dice: Picks one of those that there are, from 0 to 1.
        seconds: For how long it stands still.
    """

    at: float
    what: str
    dice: float
    seconds: float


class Shutdown(NamedTuple):
    """A worker of a cluster is asked to end, killed if it does not end in time, and started again.

    Args:
        at: Seconds since the storm began.
        what: ``warm`` (Celery waits for its tasks) or ``cold`` (Celery interrupts them).
        dice: Picks one of those that there are, from 0 to 1.
        seconds: The time that it has.
    """

    at: float
    what: str
    dice: float
    seconds: float


class Outage(NamedTuple):
    """What a cluster is connected to fails.

    Args:
        at: Seconds since the storm began.
        what: ``database`` (it is away) or ``connections`` (all that are open to the database and the broker break).
        seconds: For how long the database is away.
    """

    at: float
    what: str
    seconds: float


Break = Kill | Freeze | Shutdown | Outage


class Trouble(NamedTuple):
    """A fault that waits in the workspace for its request.

    Args:
        at: Seconds since the storm began.
        kind: A kind of :mod:`aml_provider.emulator.faults`.
        where: Which requests it is for; see ``REQUESTS``.
        details: The fault's other fields.
    """

    at: float
    kind: str
    where: str
    details: Mapping[str, Any]


class Story(NamedTuple):
    """What a person does to one task instance, step by step.

    Args:
        at: Seconds since the storm began.
        task: The task instance.
        steps: ``clear``, ``clear_dag_run``, ``mark_success``, ``mark_failed``; ``cancel`` of its run in the workspace.
        patience: For how many seconds the person waits for the moment that a step is meant for.
    """

    at: float
    task: Task
    steps: tuple[str, ...]
    patience: float


#: Which requests a fault may be for: method and path.
REQUESTS = {
    "submit": ("POST", "*/PipelineRuns/*Submit/*"),
    "look": ("GET", "*/PipelineRuns/*"),
    "query": ("POST", "*/runs:query"),
    "find": ("GET", "*/Pipelines*"),
    "explain": ("GET", "*/experiments/*/runs/*"),
    "mark": ("PATCH", "*/experiments/*/runs/*"),
    "cancel": ("DELETE", "*/PipelineRuns/*/Execution"),
    "schedule": ("*", "*/Schedules*"),
    "datastore": ("GET", "*/datastores/*"),
    "submit job": ("PUT", "*/jobs/*"),
    "read job": ("GET", "*/jobs/*"),
    "find component": ("GET", "*/components/*"),
    "find deployment": ("GET", "*/batchEndpoints/*"),
    "cancel job": ("POST", "*/jobs/*/cancel"),
    "job schedule": ("*", "*/schedules/*"),
}
# How often each kind of request is meant; those for schedules and datastores are few.
_WHERE = {
    "submit": 30,
    "look": 25,
    "query": 25,
    "find": 6,
    "explain": 4,
    "mark": 3,
    "cancel": 3,
    "schedule": 2,
    "datastore": 2,
}
_WHERE_JOBS = {
    "submit job": 40,
    "read job": 36,
    "find component": 6,
    "find deployment": 4,
    "cancel job": 6,
    "job schedule": 8,
}
# What can go wrong with each request, and how often.
_TROUBLES: tuple[tuple[int, str, Mapping[str, Any]], ...] = (
    (6, "drop", {}),
    (3, "refuse", {}),
    (3, "cut", {}),
    (3, "broken_json", {}),
    (2, "malformed_json", {}),
    (2, "empty", {}),
    (1, "content_type", {}),
    (1, "redirect", {}),
    (3, "delay", {"seconds": 4}),
    (1, "slow", {"seconds": 3}),
    (4, "status", {"status": 503}),
    (2, "status", {"status": 500}),
    (3, "status", {"status": 503, "after_commit": True}),
    (2, "html", {"status": 502}),
    (2, "html", {"status": 504, "after_commit": True}),
    (4, "status", {"status": 429, "retry_after": 1}),
    (1, "status", {"status": 429}),
)
# A right that is missing for a while. A submission that is refused so fails its task for good, and rightly.
_DENIED: tuple[tuple[int, str, Mapping[str, Any]], ...] = (
    (3, "status", {"status": 401}),
    (3, "status", {"status": 403, "times": 3}),
)
_READING = ("look", "query", "explain", "read job")
# One of these holds for the whole storm.
_QUIRKS = (
    (),
    ("history_lag=2s",),
    ("history_lag=1s", "slow_cancel=2s"),
    ("slow_cancel=3s",),
    ("drop_tags",),
    ("drop_properties", "history_lag=1s"),
    ("int_enums", "list_envelope=value", "page_size=50"),
    ("history_late=1s", "late_cancel_refused"),
)
# One more of these: whether the same PUT of a job again is accepted, or refused, as users have seen it.
_JOB_QUIRKS = ((), ("put_again=400",), ("put_again=409",))
# What people do to tasks whose runs do not end by themselves; the last step ends each.
_ENDINGS = (("mark_success",), ("mark_failed",), ("cancel",))
_BEGINNINGS = ((), (), ("clear",), ("clear", "clear"), ("mark_failed", "clear"), ("cancel", "clear"))


class Plan(NamedTuple):
    """A whole storm.

    Args:
        seed: What it was drawn from.
        scale: The name of its scale.
        quirks: Those of the workspace.
        starts: The DAG runs.
        task_kills: Kills of processes that belong to tasks, in order.
        breaks: What happens to Airflow's components, in order.
        troubles: The faults, in order.
        stories: What people do, in order.
    """

    seed: int
    scale: str
    quirks: tuple[str, ...]
    starts: tuple[Start, ...]
    task_kills: tuple[Kill, ...]
    breaks: tuple[Break, ...]
    troubles: tuple[Trouble, ...]
    stories: tuple[Story, ...]

    @property
    def size(self) -> Scale:
        """How much is done."""
        return SCALES[self.scale]

    @property
    def fingerprint(self) -> str:
        """Equal for equal plans."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    @classmethod
    def draw(cls, seed: int, scale: str) -> Plan:
        """The plan of a seed.

        Raises:
            KeyError: There is no such scale.
        """
        size = SCALES[scale]
        # Each part has dice of its own: a change of one leaves the others as they were.
        parts = ("quirks", "starts", "kills", "troubles", "stories", "jobs", "job quirks", "job troubles", "cluster")
        dice = {part: random.Random(f"{seed}/{part}") for part in parts}
        begun = with_jobs(dice["jobs"], starts(dice["starts"], size.dag_runs, size.seconds))
        breaks = sorted([*_kills(dice["kills"], size), *_cluster(dice["cluster"], size)], key=lambda act: act.at)
        return cls(
            seed=seed,
            scale=scale,
            quirks=dice["quirks"].choice(_QUIRKS) + dice["job quirks"].choice(_JOB_QUIRKS),
            starts=begun,
            task_kills=tuple(act for act in breaks if isinstance(act, Kill) and act.what in TASK_KILLS),
            breaks=tuple(act for act in breaks if act.what not in TASK_KILLS),
            troubles=_in_order(
                *_troubles(dice["troubles"], size, size.faults, _WHERE),
                *_troubles(dice["job troubles"], size, size.job_faults, _WHERE_JOBS),
            ),
            stories=_stories(dice["stories"], size, begun),
        )


def _kills(dice: random.Random, size: Scale) -> Iterator[Kill | Freeze]:
    for what, number in size.kills.items():
        for _ in range(number):
            yield Kill(_moment(dice, size, begin=0.1), what, dice.random(), round(dice.uniform(0, 4), 1))
    for what, number in size.freezes.items():
        for _ in range(number):
            yield Freeze(_moment(dice, size, begin=0.2), what, dice.random(), size.frozen)


def _cluster(dice: random.Random, size: Scale) -> Iterator[Shutdown | Outage]:
    for what, number in size.shutdowns.items():
        for _ in range(number):
            yield Shutdown(_moment(dice, size, begin=0.1), what, dice.random(), round(dice.uniform(2, 30), 1))
    for what, number in size.outages.items():
        for _ in range(number):
            yield Outage(_moment(dice, size, begin=0.1), what, _AWAY)


def _troubles(dice: random.Random, size: Scale, number: int, weights: Mapping[str, int]) -> Iterator[Trouble]:
    for _ in range(number):
        where = dice.choices(list(weights), list(weights.values()))[0]
        possible = _TROUBLES + (_DENIED if where in _READING else ())
        (_, kind, details) = dice.choices(possible, [weight for weight, *_ in possible])[0]
        yield Trouble(_moment(dice, size), kind, where, details)


def _in_order(*troubles: Trouble) -> tuple[Trouble, ...]:
    return tuple(sorted(troubles, key=lambda trouble: trouble.at))


def _stories(dice: random.Random, size: Scale, begun: tuple[Start, ...]) -> tuple[Story, ...]:
    drawn = [
        Story(start.at + dice.uniform(5, 15), task, dice.choice(_BEGINNINGS) + dice.choice(_ENDINGS), 60)
        for start in begun
        if start.dag_id in LONG
        for task in start.tasks
    ]
    others = [(start, task) for start in begun if start.dag_id in DEFERRED for task in start.tasks]
    for start, task in dice.sample(others, size.stories):
        step = dice.choice(("clear", "clear", "clear_dag_run", "mark_success", "mark_failed", "cancel"))
        drawn.append(Story(start.at + dice.uniform(2, 40), task, (step,), 20))
    return tuple(sorted(drawn))


def _moment(dice: random.Random, size: Scale, begin: float = 0.0) -> float:
    return round(dice.uniform(begin * size.seconds, size.seconds), 1)
