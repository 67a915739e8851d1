"""The task instance that owns a submission, and the key that names it in the workspace."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from aml_provider.client.errors import ForeignRun

if TYPE_CHECKING:
    from aml_provider.client.entities import PipelineRun
    from aml_provider.durable.record import SubmissionRecord

_NAME, _URL = "airflow.deployment", "airflow.url"


class TaskIdentity(NamedTuple):
    """The task instance that owns a submission.

    Args:
        deployment: Names this Airflow, so that two Airflows in one workspace never take each other's runs.
        map_index: The index of a mapped task, else -1.
        url: That Airflow's address; see :class:`Deployment`.
        try_number: The number of this try, if Airflow counts tries.
    """

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    max_tries: int
    retries: int
    url: str | None = None
    try_number: int | None = None

    def key(self, generation: str, ordinal: int) -> str:
        """The key of one submission: 32 hexadecimal digits."""
        text = json.dumps([*self[:5], generation, ordinal])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def wrote(self, record: SubmissionRecord) -> bool:
        """Whether this task has written a submission record; in a copied database, another Airflow may have."""
        return record.key == self.key(record.generation, record.ordinal)

    def was_cleared_since(self, record: SubmissionRecord) -> bool:
        """Whether the task was cleared since this submission record was written.

        A clear sets ``max_tries`` to the tries so far plus ``retries``, a retry does not change it. The sum can be the
        same as before only if the DAG's ``retries`` were changed in between. In that case the task counts as cleared
        if the record says that the task had ended.
        """
        return record.max_tries != self.max_tries or (record.finished and record.retries != self.retries)


class Deployment(NamedTuple):
    """One Airflow: the facts by which its runs can be recognised.

    Args:
        name: The deployment id.
        url: Its address, if the id is random: a copy of the database has the same id, but usually another address.
            None: the address is not known, or not needed because somebody has chosen the id.
    """

    name: str
    url: str | None = None

    def tags(self) -> dict[str, str]:
        """The tags that identify a run as this Airflow's."""
        return {_NAME: self.name} | ({} if self.url is None else {_URL: self.url})

    def submitted(self, run: PipelineRun) -> bool:
        """Whether a run may be this Airflow's; the service may have dropped some of its tags and properties."""
        url = _tag(run, _URL)
        same_place = url is None or self.url is None or place_of(url) in {None, place_of(self.url)}
        return _tag(run, _NAME) in {None, self.name} and same_place

    def check(self, run: PipelineRun) -> None:
        """Make sure that a run is this Airflow's, before it is cancelled.

        Raises:
            ForeignRun: The run belongs to another Airflow.
        """
        if self.submitted(run):
            return
        name = _tag(run, _NAME)
        if name != self.name:
            raise ForeignRun(
                f"Run {run.id} was submitted by another Airflow (deployment_id {name!r}; this Airflow has "
                f"{self.name!r}), so it is not cancelled. If it is not wanted, cancel it in the studio."
            )
        error = ForeignRun(
            f"Run {run.id} was submitted by the Airflow at {_tag(run, _URL)}. This Airflow has the same deployment id, "
            f"but its address is {self.url}, so the run is not cancelled. If this database is a copy, set [azureml] "
            "deployment_id to a name of its own. If Airflow has moved and the run is not wanted, cancel it in the "
            "studio; a retry can proceed when the run has ended."
        )
        error.permanent = False
        raise error


def place_of(url: str) -> tuple[str, int | None, str] | None:
    """The parts of an address that distinguish two Airflows: host, unusual port, path; None if it has no such part.

    An Airflow that changes from http to https stays the same.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").rstrip(".")
    if not host or host == "localhost" or host.startswith("127.") or host in {"0.0.0.0", "::1"}:  # noqa: S104
        return None
    return host, None if port in {80, 443} else port, parts.path.strip("/").lower()


def _tag(run: PipelineRun, name: str) -> str | None:
    return run.tags.get(name) or run.properties.get(name)
