"""What a sensor logs while it waits: one line about the wait, then news."""

from __future__ import annotations

import json
import logging
import re

import pytest
from support.airflow.task import TaskStateStore
from support.drivers.ending import MODES
from support.drivers.watching import context_of, variables_in_memory

from aml_provider.client.errors import AzureMLError
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, TaskDeferred
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.sensors.schedule import AzureMLScheduleRunSensor

_MODES = {**MODES, "reschedule": {"mode": "reschedule"}}


@pytest.fixture(autouse=True)
def _workspace(workspace, kept_in_memory, monkeypatch):
    variables_in_memory(monkeypatch)


@pytest.fixture
def run_id(workspace):
    # The run stays as it is now.
    workspace.clock.hold()
    return AzureMLHook().submit_pipeline("long", experiment_name="others").id


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "tests.sensor")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "tests.sensor"]


def sensor(kind, mode="poke", **arguments):
    # Airflow 3 logs past the standard library.
    logged = type(kind.__name__, (kind,), {"log": logging.getLogger("tests.sensor")})
    defaults = {"task_id": "watch", "poke_interval": 0.1, "timeout": 60}
    return logged(**{**defaults, **_MODES.get(mode, {}), **arguments})


def first_line(lines):
    waits = [line for line in lines() if line.startswith("Waiting for ")]
    assert len(waits) == 1
    return waits[0]


def test_a_wait_for_a_run_names_the_run_its_experiment_its_page_and_its_end(run_id, lines):
    assert not sensor(AzureMLPipelineRunSensor, run_id=run_id).poke(context_of())
    assert re.fullmatch(
        rf"Waiting for the end of run {run_id} of experiment 'others'\. Polls every 0\.1 s, until "
        rf"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC at the latest\. See http\S+{run_id}\S*",
        first_line(lines),
    )


def test_polls_that_find_the_same_are_logged_once(run_id, lines, workspace):
    task, context = sensor(AzureMLPipelineRunSensor, run_id=run_id), context_of()
    for _ in range(5):
        assert not task.poke(context).is_done
    assert first_line(lines)
    assert len([line for line in lines() if line.startswith(f"Run {run_id}: ")]) == 1
    assert len(workspace.requests("GET", run_id)) >= 5


def test_a_deferred_wait_is_logged_before_and_not_after(run_id, lines):
    task = sensor(AzureMLPipelineRunSensor, "deferrable", run_id=run_id)
    context = context_of()
    with pytest.raises(TaskDeferred):
        task.execute(context)
    assert "Polls every 0.1 s in the triggerer, until" in first_line(lines)
    with pytest.raises(TaskDeferred) as again:
        sensor(AzureMLPipelineRunSensor, "deferrable", run_id=run_id).execute_complete(context, {}, 9e9)
    assert again.value.method_name == "execute_complete"
    assert first_line(lines)


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 counts reschedules in its database")
class TestReschedule:
    """Each poll is a process of its own, with a new sensor."""

    @pytest.fixture
    def poke(self, run_id):
        def poke(polls_before, store=None):
            context = {**context_of(), "task_reschedule_count": polls_before}
            context["ti"].get_first_reschedule_date = lambda _: None
            if store is not None:
                context["task_state_store"] = store
            return sensor(AzureMLPipelineRunSensor, "reschedule", run_id=run_id).poke(context)

        return poke

    def test_the_wait_is_logged_by_the_first_process_of_a_try(self, poke, lines):
        for polls_before in range(3):
            assert not poke(polls_before)
        assert first_line(lines)
        poke(0)
        assert len([line for line in lines() if line.startswith("Waiting for ")]) == 2

    def test_only_news_are_logged_where_airflow_remembers_them(self, poke, lines, run_id, workspace):
        store = TaskStateStore()
        for polls_before in range(4):
            assert not poke(polls_before, store)
        assert [line for line in lines() if line.startswith("Run ")] == [f"Run {run_id}: NotStarted"]
        AzureMLHook().cancel_run(run_id)
        workspace.clock.advance(3600)
        with pytest.raises(AzureMLError, match="cancel"):
            poke(4, store)
        assert len([line for line in lines() if line.startswith("Run ")]) == 2

    def test_a_later_try_begins_again(self, poke, lines, workspace):
        store = TaskStateStore()
        for polls_before in (0, 1, 0, 1):
            assert not poke(polls_before, store)
        assert len([line for line in lines() if line.startswith("Run ")]) == 2

    def test_each_poll_is_logged_where_airflow_does_not_remember(self, poke, lines):
        for polls_before in range(3):
            assert not poke(polls_before)
        assert len([line for line in lines() if line.startswith("Run ")]) == 3

    def test_a_wait_continues_if_its_lines_cannot_be_stored(self, poke, lines, run_id):
        class Broken(TaskStateStore):
            def get(self, key):
                raise RuntimeError("the API server is unreachable")

            def set(self, key, value):
                raise RuntimeError("the API server is unreachable")

        for polls_before in range(2):
            assert not poke(polls_before, Broken())
        assert len([line for line in lines() if line.startswith(f"Run {run_id}")]) == 2


def test_a_wait_for_a_schedule_names_it_its_cursor_and_what_counts(lines):
    schedule = AzureMLHook().create_schedule(
        "nightly", experiment_name="exp", pipeline_id="quick", recurrence={"frequency": "Day", "interval": 7}
    )
    AzureMLHook().disable_schedule(schedule.id)
    since = "2099-01-01T00:00:00+00:00"
    assert not sensor(AzureMLScheduleRunSensor, schedule_name="nightly", since=since).poke(context_of())
    line = first_line(lines)
    assert f"the next run that schedule 'nightly' {schedule.id} starts; each run that began after {since}" in line
    assert "Cursor: Variable azureml_" in line or "Cursor: the Variable azureml_" in line


def test_a_wait_for_blobs_names_the_folder_the_rules_and_the_cursor(lines, azurite, workspace, monkeypatch):
    container = azurite.container()
    connection = workspace.connection()
    connection["extra"]["blob_endpoint"] = azurite.blob_endpoint
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
    monkeypatch.setenv(
        "AIRFLOW_CONN_STORE",
        json.dumps({"conn_type": "wasb", "login": azurite.account_name, "password": azurite.account_key}),
    )
    task = sensor(
        AzureBlobChangeSensor,
        container_url=container.url,
        wasb_conn_id="store",
        path="incoming",
        pattern=["*.csv", "*.json"],
        settle=30,
    )
    context = context_of()
    for _ in range(3):
        assert not task.poke(context)
    line = first_line(lines)
    assert f"new or modified blobs directly in {container.url}/incoming/; names like '*.csv' or '*.json' count" in line
    assert "empty blobs do not count, a blob counts 30 s after its last change. Cursor: " in line
    assert len([text for text in lines() if "listed 0" in text]) == 1
