"""Whether tasks submit and find their jobs by ids of their choice, judged by the workspace's record and request log.

That there is one job for each submission, and that none is an orphan or cancelled without a reason, is the same for
jobs and for runs of published pipelines: see :mod:`support.oracles.promises`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from support.oracles.promises import Violation, key_of, task_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Record = Mapping[str, Any]

# The faults after which the client has a reply that it cannot read.
_UNREADABLE = {"broken_json", "content_type", "cut", "empty", "malformed_json"}


def violations(runs: Iterable[Record], requests: Iterable[Record]) -> list[Violation]:
    """Find every broken promise.

    Args:
        runs: Runs of the workspace, as ``/_emulator/runs`` returns them, jobs among them.
        requests: The logged requests of tasks that run components.
    """
    found = [
        Violation("a job has the id of its key", task_of(run), (run["id"],), f"{run['id']} carries the key {key}")
        for run in runs
        if run["job"] is not None
        and (key := key_of(run)) is not None
        and not re.fullmatch(f"airflow-{key}-[0-9]+", run["id"])
    ]
    found += [
        Violation("no job is looked up by its key", None, (), f"{request['time']} {request['path']}")
        for request in requests
        if request["path"].endswith("/runs:query") and "airflow.key" in str(request["body"])
    ]
    return found


def figures(runs: Iterable[Record], requests: Iterable[Record]) -> dict[str, int]:
    """How much there was of what makes jobs different, by the report's words."""
    puts: dict[str, int] = {}
    doubted: set[str] = set()
    read = 0
    for request, job_id in _of_jobs(requests):
        if request["method"] == "PUT":
            puts[job_id] = puts.get(job_id, 0) + 1
            (doubted.add if _leaves_doubt(request) else doubted.discard)(job_id)
        elif request["method"] == "GET":
            read += job_id in doubted
            doubted.discard(job_id)
    return {
        "jobs": sum(run["job"] is not None for run in runs),
        "PUTs repeated": sum(number - 1 for number in puts.values()),
        "ids read after a doubt": read,
    }


def _of_jobs(requests: Iterable[Record]) -> Iterator[tuple[Record, str]]:
    for request in requests:
        if (match := re.search("/jobs/([^/]+)$", request["path"])) is not None:
            yield request, match[1]


def _leaves_doubt(put: Record) -> bool:
    return put["status"] is None or put["status"] >= 300 or put["fault"] in _UNREADABLE
