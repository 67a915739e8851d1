"""Whose submission it is, and the key that says so in the workspace."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.state import variables

if TYPE_CHECKING:
    from aml_provider.state.ledger import Record

_DEPLOYMENT_VARIABLE = "azureml_deployment_id"


class TaskIdentity(NamedTuple):
    """Whose submission it is.

    Args:
        deployment: Names this Airflow, so that two of them on one workspace never take each other's runs.
        dag_id: The DAG.
        run_id: The DAG run.
        task_id: The task.
        map_index: The index of a mapped task, else -1.
        max_tries: The task instance's ``max_tries``.
        retries: The task's ``retries``.
    """

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    max_tries: int
    retries: int

    def key(self, generation: str, ordinal: int) -> str:
        """The key of one submission: 32 hexadecimal digits."""
        text = json.dumps([*self[:5], generation, ordinal])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def began_anew(self, record: Record) -> bool:
        """Whether the task was cleared since this record.

        A clear sets ``max_tries`` to the tries so far plus ``retries``, a retry leaves it alone. Only when the DAG's
        ``retries`` were changed in between can the sum be the same as before; then a task that had ended was cleared.
        """
        return record.max_tries != self.max_tries or (record.finished and record.retries != self.retries)


def deployment_id(configured: str | None) -> str:
    """The name of this Airflow: the configured one, else a random one that is kept in a Variable."""
    if configured:
        return configured
    stored = variables.read(_DEPLOYMENT_VARIABLE)
    if stored is None:
        variables.write(
            _DEPLOYMENT_VARIABLE,
            uuid.uuid4().hex[:12],
            "Azure ML: names this Airflow in its runs' keys; never change it",
        )
        # Two first tasks may both write: what counts is what stayed.
        stored = variables.read(_DEPLOYMENT_VARIABLE)
    assert stored is not None
    return stored
