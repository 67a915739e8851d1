"""How the blob sensor ends, on a worker and deferred: time, flags, faults."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from support.drivers.ending import FLAGS, MODES, end, modes
from support.drivers.watching import context_of, sensor, variables_in_memory
from support.services.folder import connected_container

from aml_provider.compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from aml_provider.state.cursor_stores import VariableCursorStore


@pytest.fixture
def folder(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")
    variables_in_memory(monkeypatch)
    with connected_container(monkeypatch) as container:
        yield container


def watch(folder, **arguments):
    return sensor(**{"container_url": folder.url, "timeout": 0.3, **arguments})


def nothing(folder, monkeypatch):
    """Time passes, and nothing arrives."""


def refused(folder, monkeypatch):
    folder.failures = [200] + [403] * 1000


def store_away(folder, monkeypatch):
    def read(store):
        raise RuntimeError("the database is away")

    monkeypatch.setattr(VariableCursorStore, "_read", read)


ENDINGS = {
    (nothing, "plain"): AirflowSensorTimeout,
    (nothing, "soft_fail"): AirflowSkipException,
    (nothing, "never_fail"): AirflowSkipException,
    (refused, "plain"): AirflowFailException,
    (refused, "soft_fail"): AirflowSkipException,
    (refused, "never_fail"): AirflowSkipException,
    (store_away, "plain"): RuntimeError,
    (store_away, "soft_fail"): RuntimeError,
    (store_away, "never_fail"): AirflowSkipException,
}


@modes
@pytest.mark.parametrize(("cause", "flag"), ENDINGS, ids=lambda part: getattr(part, "__name__", part))
def test_a_cause_ends_the_sensor_in_the_same_way_in_both_modes(cause, flag, mode, folder, monkeypatch):
    cause(folder, monkeypatch)
    with pytest.raises(ENDINGS[cause, flag]):
        # Only where nothing else ends it, time does: a slow machine must not be faster than the cause.
        end(watch(folder, **FLAGS[flag], **MODES[mode], timeout=0.3 if cause is nothing else 60))


@modes
@pytest.mark.parametrize("interval", [0.2, timedelta(milliseconds=200)], ids=["seconds", "timedelta"])
def test_a_blob_that_arrives_in_time_is_taken(mode, interval, folder):
    task = watch(folder, timeout=60, poke_interval=interval, **MODES[mode])
    folder.arrivals = {2: "incoming/a"}
    taken, deferrals = end(task)
    assert [change["name"] for change in taken] == ["a"]
    assert len(deferrals) == (mode == "deferrable")


def test_a_timeout_of_zero_polls_once(folder):
    with pytest.raises(AirflowSensorTimeout):
        end(watch(folder, timeout=0, deferrable=True))
    # An empty folder costs one more request, for names that are like its own.
    assert [asked.query["prefix"] for asked in folder.asked if asked.query.get("prefix")] == ["incoming/"]


def test_the_timeout_spans_all_deferrals(folder):
    """The first poll fails again and again, so the trigger wakes the worker again and again."""
    folder.failures = [503] * 20
    folder.arrivals = {24: "incoming/a"}
    _, deferrals = end(watch(folder, timeout=600, poke_interval=0.1, deferrable=True))
    assert len(deferrals) > 1
    assert len({deferral.trigger.deadline for deferral in deferrals}) == 1


def test_airflow_ends_a_deferral_well_after_the_deadline(folder):
    begin = time.time()
    with pytest.raises(TaskDeferred) as caught:
        watch(folder, timeout=1000, deferrable=True).execute(context_of())
    assert begin + 1000 <= caught.value.trigger.deadline <= time.time() + 1000
    assert 1600 < caught.value.timeout.total_seconds() < 2000


def test_a_poke_interval_too_short_for_a_trigger_is_named(folder):
    with pytest.raises(AirflowFailException, match=r"poke_interval: is 0\.01 s; it must be at least 0.1 s"):
        watch(folder, poke_interval=0.01, deferrable=True).execute(context_of())
