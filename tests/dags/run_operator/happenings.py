"""One task in the ways that ``test_what_happens.py`` needs it."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, task

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

COMMON = {"experiment_name": "exp", "poll_interval": 0.1, "retries": 1, "retry_delay": timedelta(0)}
# The kind of pipeline whose runs they are: a published one, or a component of the same name.
TARGET = "component_name" if os.environ.get("KIND") == "v2" else "pipeline_id"
START = datetime(2026, 1, 1)  # noqa: DTZ001


class LosesItsEnd(AzureMLRunPipelineOperator):
    """The first try ends well, and Airflow does not come to note it."""

    def post_execute(self, context, result=None):
        if context["ti"].try_number == 1:
            raise ConnectionError("the note of the success is lost")


def plain(dag_id, operator=AzureMLRunPipelineOperator, target="quick", **arguments):
    with DAG(dag_id, schedule=None, start_date=START, catchup=False):
        operator(task_id="run", **{TARGET: target} | COMMON | arguments)


for name, deferrable in (("sync", False), ("deferred", True)):
    plain(f"what_{name}", deferrable=deferrable)
    plain(f"what_fails_{name}", target="fails", deferrable=deferrable)
    plain(f"what_changes_{name}", parameters={"count": "{{ ti.try_number }}"}, deferrable=deferrable)
    plain(f"what_loses_{name}", LosesItsEnd, deferrable=deferrable)
    plain(f"what_forgets_{name}", durable=False, deferrable=deferrable)
plain("what_goes_on", target="long", wait_for_completion=False)
plain("what_is_left", target="long", retries=0)
plain("what_times_out", target="long", retries=0, deferrable=True, execution_timeout=timedelta(seconds=4))
plain("what_is_left_alone", target="long", retries=0, cancel_on_kill=False)


@task
def counts():
    """A list that may be another one after a clear."""
    return os.environ["COUNTS"].split()


with DAG("what_mapped", schedule=None, start_date=START, catchup=False):
    AzureMLRunPipelineOperator.partial(task_id="run", **{TARGET: "quick"}, **COMMON).expand(
        parameters=counts().map(lambda count: {"count": count})
    )

# Whoever tests a task may have edited its DAG.
with DAG("what_is_edited", schedule=None, start_date=START, catchup=False):
    AzureMLRunPipelineOperator.partial(
        task_id="run",
        **{TARGET: "long"},
        wait_for_completion=False,
        on_timeout=os.environ.get("ON_TIMEOUT", "cancel"),
        **COMMON,
    ).expand(tags=[{"a": "b"}])
