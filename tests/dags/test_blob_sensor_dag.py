"""The blob sensor in whole DAG runs: three modes, and who gets a batch when runs fail, are cleared or overlap."""

from __future__ import annotations

import json
import os
import uuid
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG
from support.airflow import dags
from support.airflow.blob_dags import DAY, DONE, MODES, NOTHING, Consume, pipeline, run
from support.drivers.watching import Said, context_of
from support.services.folder import ContainerServer

from aml_provider.compat import AirflowTaskTimeout
from aml_provider.sensors.blob import AzureBlobChangeSensor

modes = pytest.mark.parametrize("mode", MODES)


class DiesOnce(AzureBlobChangeSensor):
    """Dies after its batch was committed and before anybody has it."""

    deaths = 0

    def poke(self, context):
        answer = super().poke(context)
        if answer.is_done and DiesOnce.deaths < 1:
            DiesOnce.deaths += 1
            raise OSError("killed")
        return answer


@pytest.fixture(autouse=True)
def alive():
    DiesOnce.deaths = 0


@pytest.fixture
def said(caplog, capsys):
    return Said(caplog, capsys)


@modes
def test_only_blobs_directly_in_the_folder_start_anything(mode, write):
    dag = pipeline(**MODES[mode], on_first_poll="report")
    elsewhere = ("incoming/sub/a.csv", "incoming/a.csv/deep", "incoming-old/a.csv", "incoming", "a.csv", "in/a.csv")
    write(*elsewhere)
    assert run(dag, 0) == (NOTHING, [])
    write("incoming/a.csv")
    assert run(dag, 1) == (DONE, [["incoming/a.csv"]])
    write(*elsewhere)
    assert run(dag, 2) == (NOTHING, [])
    write("incoming/a.csv", "incoming/sub/b.csv")
    assert run(dag, 3) == (DONE, [["incoming/a.csv"]])


@modes
def test_what_arrives_while_the_sensor_waits_is_taken(mode, write):
    class Arrives(AzureBlobChangeSensor):
        """A blob arrives after the first look."""

        def _defer(self, watch):
            write("incoming/late.csv")
            super()._defer(watch)

        def poke(self, context):
            answer = super().poke(context)
            write("incoming/late.csv")
            return answer

    dag = pipeline(Arrives, **MODES[mode], timeout=60)
    write("incoming/old.csv")
    assert run(dag) == (DONE, [["incoming/late.csv"]])


@pytest.mark.parametrize("mode", ["reschedule", "deferrable"])
def test_a_retry_after_the_commit_gets_the_same_batch(mode, write):
    dag = pipeline(DiesOnce, **MODES[mode], on_first_poll="report", retries=1, retry_delay=timedelta(0))
    write("incoming/a.csv", "incoming/b.csv")
    assert run(dag) == (DONE, [["incoming/a.csv", "incoming/b.csv"]])
    assert DiesOnce.deaths == 1
    assert run(dag, 1) == (NOTHING, [])


def test_a_cleared_run_gets_its_batch_again_and_not_what_is_new(write):
    dag = pipeline(on_first_poll="report")
    write("incoming/a.csv")
    assert run(dag) == (DONE, [["incoming/a.csv"]])
    write("incoming/b.csv")
    assert run(dag) == (DONE, [["incoming/a.csv"]])
    assert run(dag, 1) == (DONE, [["incoming/b.csv"]])


def test_a_run_that_is_cleared_after_a_later_batch_gets_what_is_new_since(write):
    dag = pipeline(on_first_poll="report")
    for day, name in enumerate(("incoming/a.csv", "incoming/b.csv", "incoming/c.csv")):
        write(name)
        if day < 2:
            run(dag, day)
    assert run(dag, 0) == (DONE, [["incoming/c.csv"]])


def test_the_batch_of_a_run_that_failed_is_handed_to_the_next(write, said):
    dag = pipeline(DiesOnce, on_first_poll="report")
    write("incoming/a.csv")
    assert run(dag) == ({"watch": "failed", "consume": "upstream_failed"}, [])
    write("incoming/b.csv")
    assert run(dag, 1) == (DONE, [["incoming/a.csv", "incoming/b.csv"]])
    assert "Taking over 1 change that" in str(said)
    assert run(dag, 2) == (NOTHING, [])


@modes
@pytest.mark.parametrize("flag", ["soft_fail", "never_fail"])
def test_a_death_that_airflow_calls_a_skip_loses_nothing(flag, mode, write, said):
    """Between the commit and the result: the task's state does not tell it from one that found nothing."""

    class OutOfTime(AzureBlobChangeSensor):
        def poke(self, context):
            answer = super().poke(context)
            if answer.is_done and not DiesOnce.deaths:
                DiesOnce.deaths += 1
                raise AirflowTaskTimeout("the time of the task is up")
            return answer

    flags = {"soft_fail": False, flag: True}
    dag = pipeline(OutOfTime, **MODES[mode], on_first_poll="report", **flags)
    write("incoming/a.csv")
    assert run(dag, 0) == (NOTHING, [])
    write("incoming/b.csv")
    assert run(dag, 1) == (DONE, [["incoming/a.csv", "incoming/b.csv"]])
    assert "that task instance is skipped" in str(said)
    write("incoming/c.csv")
    assert run(dag, 2) == (DONE, [["incoming/c.csv"]])


def test_a_run_that_found_nothing_hands_nothing_on(write, said):
    dag = pipeline(on_first_poll="report")
    write("incoming/a.csv")
    assert run(dag, 0) == (DONE, [["incoming/a.csv"]])
    assert [run(dag, day) for day in (1, 2)] == [(NOTHING, [])] * 2
    assert "Taking over" not in str(said)


@pytest.mark.parametrize(
    ("state", "taken"),
    [
        ("skipped", ["incoming/a.csv"]),
        ("upstream_failed", ["incoming/a.csv"]),
        ("removed", ["incoming/a.csv"]),
    ],
)
def test_a_batch_follows_the_state_that_its_owner_was_left_in(state, taken, write):
    dag = pipeline(on_first_poll="report")
    write("incoming/a.csv")
    first = dags.run(dag, DAY)
    dags.set_state(first, "watch", state)
    write("incoming/b.csv")
    assert run(dag, 1) == (DONE, [[*taken, "incoming/b.csv"]])


@pytest.mark.parametrize(
    ("mode", "state"), [("poke", "running"), ("reschedule", "scheduled"), ("deferrable", "up_for_retry")]
)
def test_while_the_owner_is_still_at_it_the_next_run_waits_and_says_for_whom(mode, state, write, said):
    dag = pipeline(**MODES[mode], on_first_poll="report")
    write("incoming/a.csv")
    first = dags.run(dag, DAY)
    dags.set_state(first, "watch", state)
    write("incoming/b.csv")
    assert run(dag, 1) == (NOTHING, [])
    assert f"taken by {dag.dag_id}.watch of run {first.run_id}, which is {state}" in str(said)

    dags.set_state(first, "watch", "failed")
    assert run(dag, 2) == (DONE, [["incoming/a.csv", "incoming/b.csv"]])


@modes
def test_a_cleared_run_that_is_queued_behind_the_next_one_is_not_waited_for(mode, write, said):
    """With max_active_runs=1 it begins only when the next one has ended: both would wait for ever."""
    dag = pipeline(**MODES[mode], on_first_poll="report")
    write("incoming/a.csv")
    dags.set_state(dags.run(dag, DAY), "watch", None)
    write("incoming/b.csv")
    assert run(dag, 1) == (DONE, [["incoming/a.csv", "incoming/b.csv"]])
    assert "that task instance is cleared, and cannot begin before this one has ended" in str(said)
    write("incoming/c.csv")
    assert run(dag, 0) == (DONE, [["incoming/c.csv"]])


@modes
def test_a_cleared_sensor_after_this_one_in_the_same_run_is_not_waited_for(mode, write, said):
    """It begins only when this one has ended: with one cursor for both, both would wait for ever."""
    settings = {"datastore": "landing", "path": "incoming", "poke_interval": 0.1, "timeout": 0.3, "soft_fail": True}
    settings |= {"cursor_key": uuid.uuid4().hex, "on_first_poll": "report", "max_changes": 1, **MODES[mode]}
    with DAG(f"blobs_{uuid.uuid4().hex[:8]}", schedule=None, start_date=DAY) as dag:
        early, late = (AzureBlobChangeSensor(task_id=name, **settings) for name in ("early", "late"))
        Consume(task_id="first", changes=early.output) >> late
        Consume(task_id="second", changes=late.output)
    write("incoming/a.csv")
    write("incoming/b.csv")
    states, got = run(dag)
    assert sorted(got) == [["incoming/a.csv"], ["incoming/b.csv"]]
    assert set(states.values()) == {"success"}
    last = got[-1]
    # The same run again, from its beginning: as after a clear.
    states, got = run(dag)
    assert got == [last]
    assert (states["early"], states["late"]) == ("success", "skipped")
    assert "that task instance is cleared, and cannot begin before this one has ended" in str(said)


@pytest.mark.parametrize("seen", [True, False])
def test_a_run_that_is_deleted_takes_only_what_nobody_saw_arrive(seen, write, said):
    """Old runs are deleted as a matter of course; what they took must not come again then."""
    dag = pipeline(on_first_poll="report")
    write("incoming/a.csv")
    first = dags.run(dag, DAY)
    if seen:
        assert run(dag, 1) == (NOTHING, [])
    dags.delete(first)
    assert run(dag, 2) == ((NOTHING, []) if seen else (DONE, [["incoming/a.csv"]]))
    assert ("that task instance is gone" in str(said)) is not seen


def test_mapped_sensors_have_a_record_each_and_share_nothing(write):
    with DAG(f"blobs_{uuid.uuid4().hex[:8]}", schedule=None, start_date=DAY) as dag:
        watch = AzureBlobChangeSensor.partial(
            task_id="watch", datastore="landing", on_first_poll="report", poke_interval=0.1, timeout=0.3, soft_fail=True
        ).expand(path=["one", "two", "one"])
        Consume.partial(task_id="consume").expand(changes=watch.output)
    write("one/a.csv", "two/b.csv")
    states, got = run(dag)
    assert sorted(got) == [["one/a.csv"], ["one/a.csv"], ["two/b.csv"]]
    assert len(dags.variables(f"azureml_cursor_{dag.dag_id}_")) == 3
    write("two/c.csv")
    states, got = run(dag, 1)
    assert {name: state for name, state in states.items() if name.startswith("watch")} == {
        "watch[0]": "skipped",
        "watch[1]": "success",
        "watch[2]": "skipped",
    }


@modes
@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_says_later_is_asked_later(status, mode, azureml_default, monkeypatch, said):
    """And not after poke_interval; the look itself is over at once, so that no worker is held meanwhile."""
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "1")
    with ContainerServer() as server:
        container = server.container("landing")
        container.write("incoming/a.csv")
        container.failures, container.retry_after = [status], "2"
        connection = json.loads(os.environ["AIRFLOW_CONN_AZUREML_DEFAULT"])
        connection["extra"]["blob_endpoint"] = server.url
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        where = {"datastore": None, "container_url": f"{server.url}/landing"}
        dag = pipeline(**MODES[mode], **where, on_first_poll="report", timeout=60)
        assert run(dag) == (DONE, [["incoming/a.csv"]])
    refused, again = container.moments
    assert again - refused >= 2.0
    assert f"the service answered {status}" in str(said)


def test_arguments_are_templates(write):
    dag = pipeline(
        datastore="{{ 'land' }}ing",
        path="incoming/{{ ds }}",
        pattern=["{{ ds_nodash }}*", "*.json"],
        cursor_key="{{ dag.dag_id }}-of-everybody",
        on_first_poll="report",
    )
    write("incoming/2026-01-01/20260101.csv", "incoming/2026-01-01/x.csv", "incoming/2026-01-01/x.json")
    assert run(dag) == (DONE, [["incoming/2026-01-01/20260101.csv", "incoming/2026-01-01/x.json"]])
    [key] = dags.variables(f"azureml_cursor_{dag.dag_id}")
    assert "of-everybody" in key


def test_two_active_runs_share_the_changes_and_lose_none(write, said):
    """Another run takes what this one is about to take, and comes to nothing."""

    class Overlaps(AzureBlobChangeSensor):
        def poke(self, context):
            if self._wait is None:
                super().poke(context)
                mine, self._wait = self._wait, None
                write("incoming/a.csv")
                taken = super().poke(context_of("another", dag_id=context["ti"].dag_id)).xcom_value
                Consume.got.append([change["path"] for change in taken])
                self._wait = mine
                write("incoming/b.csv")
            return super().poke(context)

    states, got = run(pipeline(Overlaps, timeout=60))
    assert states == DONE
    # No such run exists when this one asks for its state, so its batch is handed on.
    assert got == [["incoming/a.csv"], ["incoming/a.csv", "incoming/b.csv"]]
    assert "Does more than one DAG run wait for this folder? Starting over." in str(said)
    assert "that task instance is gone" in str(said)
