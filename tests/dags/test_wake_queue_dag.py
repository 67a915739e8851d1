"""The blob sensor with a wake queue in whole DAG runs, in three modes: it lists after an event."""

from __future__ import annotations

import pytest
from support.airflow.blob_dags import DONE, MODES, pipeline, run
from support.services.wake_queue import AzuriteQueues, event

from aml_provider.sensors.blob import AzureBlobChangeSensor


@pytest.fixture(scope="module")
def queues():
    with AzuriteQueues() as running:
        yield running


@pytest.mark.parametrize("mode", MODES)
def test_a_run_takes_a_blob_whose_event_arrives_while_the_sensor_waits(mode, write, landing, queues):
    queue = queues.queue()

    def arrive():
        write("incoming/late.csv")
        queue.put(event("incoming/late.csv", container=landing.container_name))

    class Arrives(AzureBlobChangeSensor):
        """A blob and its event arrive after the first poll."""

        def _defer(self, wait):
            arrive()
            super()._defer(wait)

        def poke(self, context):
            answer = super().poke(context)
            arrive()
            return answer

    # Without the event, the blob would wait for the resync, an hour.
    dag = pipeline(Arrives, **MODES[mode], timeout=60, wake_queue=queue.url)
    assert run(dag) == (DONE, [["incoming/late.csv"]])
