"""How much a storm does: small, full, or on a cluster."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Scale(NamedTuple):
    """How much is done.

    Args:
        seconds: Until the last act is due; the storm takes longer if the machine does.
        dag_runs: Of each DAG; of some of them, with components instead of published pipelines.
        kills: Of each kind.
        freezes: Of each kind.
        frozen: For how many seconds.
        faults: How many, without those of the next line.
        job_faults: At requests that only tasks with components and job schedules make.
        stories: Of tasks that would end by themselves, beside those of all tasks that would not.
        deadline: ``execution_timeout`` of tasks that have one, in seconds.
        parallelism: How many tasks may be on a worker.
        at_least: What a storm must have done and seen to be worth its name, by the report's words.
        engine: What Airflow runs on: ``SQLite``, ``PostgreSQL``, or ``cluster``.
        shutdowns: Of each kind.
        outages: Of each kind.
    """

    seconds: float
    dag_runs: Mapping[str, int]
    kills: Mapping[str, int]
    freezes: Mapping[str, int]
    frozen: float
    faults: int
    job_faults: int
    stories: int
    deadline: float
    parallelism: int
    at_least: Mapping[str, int]
    engine: str
    shutdowns: Mapping[str, int] = MappingProxyType({})
    outages: Mapping[str, int] = MappingProxyType({})


SCALES = {
    "small": Scale(
        seconds=55,
        dag_runs={
            "pipelines_worker": 2,
            "pipelines_deferred": 3,
            "pipelines_mapped": 1,
            "pipelines_deadline": 1,
            "pipelines_changing": 1,
            "pipelines_people": 2,
        },
        kills={"task": 3, "supervisor": 2, "both": 2, "triggerer": 2, "scheduler": 1, "execution-api": 1},
        freezes={"triggerer": 1},
        frozen=18,
        faults=40,
        job_faults=25,
        stories=3,
        deadline=15,
        parallelism=8,
        at_least={
            "pipeline task instances": 25,
            "jobs": 5,
            "blob versions in watched folders": 300,
            "kills": 8,
            "faults": 25,
        },
        engine="SQLite",
    ),
    "full": Scale(
        seconds=1800,
        dag_runs={
            "pipelines_worker": 25,
            "pipelines_deferred": 60,
            "pipelines_mapped": 30,
            "pipelines_deadline": 12,
            "pipelines_changing": 8,
            "pipelines_people": 30,
        },
        kills={
            "task": 65,
            "supervisor": 45,
            "both": 50,
            "triggerer": 30,
            "scheduler": 8,
            "scheduler alone": 4,
            "execution-api": 8,
            "everything": 2,
        },
        freezes={"triggerer": 10},
        frozen=34,
        faults=620,
        job_faults=300,
        stories=60,
        deadline=25,
        parallelism=10,
        at_least={
            "pipeline task instances": 500,
            "runs taken over": 10,
            "runs found by their key": 10,
            "jobs": 150,
            "PUTs repeated": 10,
            "ids read after a doubt": 20,
            "blob versions in watched folders": 5000,
            "kills": 200,
            "faults": 650,
        },
        engine="PostgreSQL",
    ),
    "cluster": Scale(
        seconds=360,
        dag_runs={
            "pipelines_worker": 5,
            "pipelines_deferred": 10,
            "pipelines_mapped": 4,
            "pipelines_deadline": 2,
            "pipelines_changing": 2,
            "pipelines_people": 5,
        },
        kills={
            "task": 8,
            "supervisor": 6,
            "both": 6,
            "worker": 4,
            "triggerer": 3,
            "scheduler": 3,
            "execution-api": 1,
            "broker": 2,
        },
        freezes={"triggerer": 1, "worker": 2},
        frozen=45,
        faults=160,
        job_faults=80,
        stories=10,
        deadline=25,
        parallelism=10,
        at_least={
            "pipeline task instances": 80,
            "jobs": 20,
            "blob versions in watched folders": 1000,
            "tasks that Celery delivered again": 3,
            "kills": 25,
            "faults": 100,
        },
        engine="cluster",
        shutdowns={"warm": 1, "cold": 2},
        outages={"database": 1, "connections": 3},
    ),
}
