"""Trigger rows that another version of this package wrote, through Airflow's own database and triggerer."""

from __future__ import annotations

import pytest
from airflow import __version__
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from support.samples.inflated import inflated

from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger
from aml_provider.triggers.schedule import AzureMLScheduleProvisioningTrigger


def stored(trigger, **unknown):
    """The row of a trigger, written by a version that knows more, as the triggerer reads it."""
    path, arguments = trigger.serialize()
    with create_session() as session:
        row = Trigger(classpath=path, kwargs={**arguments, **unknown})
        session.add(row)
        session.flush()
        number = row.id
    return number, Trigger.bulk_fetch({number})[number]


@pytest.mark.parametrize(
    "trigger",
    [
        AzureMLPipelineRunTrigger("run-1", "exp", deadline=5.0),
        AzureMLScheduleProvisioningTrigger("schedule-1", 5.0),
        AzureMLScheduleProvisioningTrigger("nightly", 5.0, is_job_schedule=True),
    ],
    ids=lambda trigger: type(trigger).__name__,
)
def test_an_argument_of_a_newer_version_fails_no_trigger(trigger, caplog):
    again, _ = inflated(*stored(trigger, new_option=["a"], other={"b": 1}))
    assert again.serialize() == trigger.serialize()
    assert "new_option, other" in caplog.text


@pytest.mark.skipif(__version__.startswith("2."), reason="no asset watchers")
@pytest.mark.parametrize("kind", ["blob", "run"])
def test_an_unknown_argument_does_not_fail_a_stored_watcher(kind, caplog):
    from aml_provider.triggers.blob import AzureBlobChangeTrigger
    from aml_provider.triggers.run_event import AzureMLPipelineRunEventTrigger

    trigger = AzureBlobChangeTrigger(datastore="landing", pattern=["*.csv"])
    if kind == "run":
        trigger = AzureMLPipelineRunEventTrigger(experiment_name="e", statuses=["Failed"], tags={"a": None})
    again, _ = inflated(*stored(trigger, new_option=1))
    assert again.serialize() == trigger.serialize()
    assert type(trigger).__name__ in caplog.text
