"""Functions that compute the arguments of runs, for ``test_decorated_dag.py``."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task

START = datetime(2026, 1, 1)  # noqa: DTZ001
TARGET = {"component_name" if os.environ.get("KIND") == "v2" else "pipeline_name": "quick"}
COMMON = {
    **TARGET,
    "experiment_name": "exp-{{ ti.task_id }}",
    "poll_interval": 0.1,
    "retries": 1,
    "retry_delay": timedelta(0),
}


def called(what):
    """Write down that a function was called."""
    if path := os.environ.get("CALLS"):
        with Path(path).open("a") as calls:
            calls.write(f"{what}\n")


def lose_the_end(context, result=None):
    """The first try ends well, and Airflow does not come to note it."""
    if context["ti"].try_number == 1:
        raise ConnectionError("the note of the success is lost")


@task
def numbers():
    return [int(number) for number in os.environ.get("COUNTS", "1 2").split()]


def double(number, folder="in", *, ti=None, ds=None):
    """The arguments of a run; what is between braces is not a template here."""
    called(f"{ti.task_id}[{ti.map_index}] try {ti.try_number}")
    return {
        "parameters": {"count": 2 * number},
        "data_paths": {"input": {"datastore": "store", "path": f"{folder}/{ds}/{{{{ 1+1 }}}}.csv"}},
        "tags": {"both": "function"},
    }


for shape, deferrable in (("sync", False), ("deferred", True)):
    decorator = task.azureml_pipeline(
        parameters={"count": "{{ 1 + 1 }}"},
        tags={"both": "decorator", "date": "{{ dag.dag_id }}"},
        deferrable=deferrable,
        **COMMON,
    )
    run = decorator(double).override(task_id="run")
    with DAG(f"decorated_{shape}", schedule=None, start_date=START, catchup=False):
        run(21, folder="{{ ti.task_id }}")
    with DAG(f"decorated_loses_{shape}", schedule=None, start_date=START, catchup=False):
        run.override(post_execute=lose_the_end)(1)
    with DAG(f"decorated_mapped_{shape}", schedule=None, start_date=START, catchup=False):
        run.partial(folder="{{ ti.task_id }}").expand(number=numbers())
