"""Helpers for several tests."""

from __future__ import annotations

from azureml.pipeline.core import PublishedPipeline, Schedule, ScheduleRecurrence
from seeded import SCORE

HOURLY = {"frequency": "Hour", "interval": 1}


def submit(workspace, pipeline_id, experiment="nightly"):
    """Submit a pipeline with its defaults."""
    return PublishedPipeline.get(workspace, id=pipeline_id).submit(workspace, experiment)


def step(run, name):
    """The only step with a name."""
    (found,) = run.find_step_run(name)
    return found


def create(workspace, name="nightly", *, pipeline_id=SCORE, recurrence=None, **arguments):
    """Create a schedule, hourly by default."""
    if recurrence is None and "datastore" not in arguments:
        recurrence = HOURLY
    if isinstance(recurrence, dict):
        recurrence = ScheduleRecurrence(**recurrence)
    return Schedule.create(workspace, name, pipeline_id, "scheduled", recurrence=recurrence, **arguments)


def facts(recurrence):
    """The fields of a recurrence that are set."""
    names = ("frequency", "interval", "start_time", "time_zone", "hours", "minutes", "week_days")
    return {name: value for name in names if (value := getattr(recurrence, name)) not in (None, [])}
