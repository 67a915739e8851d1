"""Other task instances, as the sensors for what schedules start see them."""

from __future__ import annotations

import pytest

from aml_provider.worker import poke_schedule


@pytest.fixture
def owners(monkeypatch, kept_in_memory):
    """The states of other task instances, by DAG run; the real ones need a database or a supervisor."""
    states = {}
    monkeypatch.setattr(poke_schedule, "owner_state", lambda owner: states.get(owner.run_id))
    return states
