"""A task and a workspace for the operators for schedules."""

from __future__ import annotations

import pytest
from support.airflow.task import Task, TaskStateStore
from support.services.local_workspace import serving


class Store(TaskStateStore):
    """Airflow's task state store, as far as it is needed here."""

    def delete(self, key):
        self.pop(key, None)


@pytest.fixture
def task(kept_in_memory):
    made = Task()
    made.store = Store()
    return made


@pytest.fixture
def workspace(monkeypatch):
    with serving(monkeypatch) as running:
        yield running
