"""Tasks that are mapped over what the blob sensor finds, as Airflow's scheduler expands them."""

from __future__ import annotations

import itertools
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import DAG, task_group
from support.airflow.blob_dags import DAY, DONE, MODES, Consume, pipeline, run
from support.airflow.stepped_run import SteppedRun
from support.drivers.watching import Said

from aml_provider.compat import conf
from aml_provider.sensors.blob import AzureBlobChangeSensor

modes = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def said(caplog, capsys):
    return Said(caplog, capsys)


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_a_name_that_looks_like_a_template_arrives_as_it_is(mode, write):
    dag = pipeline(**MODES[mode], mapped=True, on_first_poll="report")
    write("incoming/{{ 1+1 }}.csv", "incoming/{% raw %}")
    _, got = run(dag)
    assert sorted(got) == [["incoming/{% raw %}"], ["incoming/{{ 1+1 }}.csv"]]


@modes
def test_a_mapped_task_takes_what_airflow_lets_it(mode, write, monkeypatch, said):
    """Airflow refuses a longer list when the batch is already committed; what is beyond it comes at once."""
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "3")
    dag = pipeline(**MODES[mode], mapped=True, on_first_poll="report", max_changes=5000, timeout=60)
    write(*(f"incoming/{number}" for number in range(7)))
    taken = []
    for day in range(3):
        states, got = run(dag, day)
        assert set(states.values()) == {"success"}
        taken.append(sorted(path for [path] in got))
    assert [len(batch) for batch in taken] == [3, 3, 1]
    assert sorted(itertools.chain(*taken)) == [f"incoming/{number}" for number in range(7)]
    assert "it takes at most 3 of them" in str(said)


def test_what_is_not_mapped_over_may_be_longer(write, monkeypatch, said):
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "3")
    dag = pipeline(on_first_poll="report", max_changes=5000)
    names = [f"incoming/{number}" for number in range(7)]
    write(*names)
    assert run(dag) == (DONE, [names])
    assert "at most" not in str(said)


def test_a_task_group_that_is_mapped_counts_too(write, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "3")
    with DAG(f"blobs_{uuid.uuid4().hex[:8]}", schedule=None, start_date=DAY) as dag:
        watch = AzureBlobChangeSensor(
            task_id="watch", datastore="landing", path="incoming", on_first_poll="report", max_changes=5000
        )

        @task_group
        def each(change):
            Consume(task_id="consume", changes=change)

        each.expand(change=watch.output)
    write(*(f"incoming/{number}" for number in range(5)))
    states, got = run(dag)
    assert set(states.values()) == {"success"}
    assert len(got) == 3


def test_three_thousand_files_at_once_reach_three_runs_with_a_thousand_mapped_tasks_each(landing):
    """The first two runs look once: none waits for a poke_interval while there is more."""
    assert conf.getint("core", "max_map_length") == 1024
    names = [f"incoming/{number:04}" for number in range(3000)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: landing.upload_blob(name, b"x"), names))
    dag = pipeline(mapped=True, on_first_poll="report", poke_interval=3600, timeout=7200)
    batches = []
    for day in range(3):
        dag_run = SteppedRun(dag, DAY + timedelta(days=day))
        (watch,) = dag_run.schedule()
        dag_run.run(watch)
        batch = [change["path"] for change in dag_run.result("watch")]
        mapped = {instance.map_index: instance for instance in dag_run.schedule()}
        assert sorted(mapped) == list(range(1000))
        # To run all of them would take minutes.
        Consume.got = []
        for index in (0, 500, 999):
            dag_run.run(mapped[index])
        assert Consume.got == [[batch[0]], [batch[500]], [batch[999]]]
        batches.append(batch)
    assert [len(batch) for batch in batches] == [1000] * 3
    assert sorted(itertools.chain(*batches)) == names
