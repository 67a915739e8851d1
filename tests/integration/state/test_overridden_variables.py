"""Variables that a secrets backend or the environment overrides: noticed before anything is sent."""

from __future__ import annotations

import pytest
from support.airflow.schedule_tasks import create, writes
from support.airflow.task import RunPipeline, Task

from aml_provider.compat import AirflowFailException
from aml_provider.state import variables


class OldTask(Task):
    """A task of an Airflow without a task state store."""

    def __init__(self):
        super().__init__()
        self.ti.try_number = 1

    @property
    def context(self):
        return {"ti": self.ti}


@pytest.fixture
def overridden(kept_in_memory, monkeypatch):
    """Variables whose keys begin like this read back as this value, whatever is written."""

    def override(prefix, value=None):
        monkeypatch.setattr(variables, "read", lambda key: value if key.startswith(prefix) else kept_in_memory.get(key))

    return override


def test_no_run_is_submitted_whose_record_would_be_lost(workspace, overridden):
    overridden("azureml_submission_")
    task = OldTask()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"azureml_submission_.* does not read as written: a secrets backend"):
            RunPipeline(pipeline_id="quick").execute(task.context)
        task.ti.try_number += 1
    assert not workspace.runs()


@pytest.mark.parametrize("prefix", ["azureml_submission_", "azureml_ended_"])
def test_an_invalid_record_is_noticed_before_the_submission(workspace, overridden, prefix):
    overridden(prefix, "null")
    with pytest.raises(AirflowFailException, match=f"damaged.* the Variable {prefix}"):
        RunPipeline(pipeline_id="quick").execute(OldTask().context)
    assert not workspace.runs()


def test_no_schedule_is_created_whose_intent_would_be_lost(workspace, overridden):
    overridden("azureml_schedule_intent_")
    with pytest.raises(RuntimeError, match=r"azureml_schedule_intent_.* does not read as written: a secrets backend"):
        create(OldTask())
    assert not writes(workspace)
    overridden("azureml_schedule_intent_", "null")
    with pytest.raises(AirflowFailException, match=r"damaged.* the Variable azureml_schedule_intent_"):
        create(OldTask())
    assert not writes(workspace)


@pytest.mark.parametrize("value", [None, "null"])
def test_evidence_that_cannot_be_stored_is_logged_and_costs_no_run(workspace, overridden, value):
    overridden("azureml_evidence_", value)
    operator = RunPipeline(pipeline_id="quick", wait_for_completion=False)
    assert operator.execute(OldTask().context) == workspace.only_run().id
    assert "azureml_evidence_" in str(operator.log)
    assert "does not read as written" in str(operator.log)
