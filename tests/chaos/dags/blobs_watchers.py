"""Two assets that watch one folder, and one pipeline run for all events that a DAG run takes, with what they told.

What reads the events does as ``example_dags/blob_change_asset_watcher.py`` shows: also those that have come since, and
none that another DAG run has taken.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from airflow.exceptions import AirflowSkipException
from airflow.sdk import DAG, Asset, AssetWatcher, task

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.triggers.blob import AzureBlobChangeTrigger

PATTERNS = {"every": None, "csv": "*.csv"}


def events(found):
    """Events as the text of a parameter."""
    return json.dumps(found or {}, ensure_ascii=False)


for name, pattern in PATTERNS.items():
    trigger = AzureBlobChangeTrigger(
        datastore="landing",
        path="watched",
        pattern=pattern,
        on_first_poll="report",
        poll_interval=2,
        azureml_conn_id="azureml_blobs",
    )
    asset = Asset(f"blobs_{name}", watchers=[AssetWatcher(name=name, trigger=trigger)])

    with DAG(
        f"blobs_{name}",
        schedule=[asset],
        start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
        catchup=False,
        max_active_runs=1,
        default_args={"retries": 50, "retry_delay": timedelta(seconds=1)},
        user_defined_macros={"events": events},
    ):

        @task(inlets=[asset])
        def wait(asset=asset, triggering_asset_events=None, **context):
            """Take the events, and remember them."""
            found = [event for of_asset in triggering_asset_events.values() for event in of_asset]
            if found:
                found += context["inlet_events"][asset].after(min(event.timestamp for event in found).isoformat())
            payloads = [event.extra["payload"] for event in found]
            store, run_id = context["asset_state_store"][asset], context["run_id"]
            taken = store.get("taken", {})
            new = {
                payload["id"]: [[change["path"], change["etag"]] for change in payload["changes"]]
                for payload in payloads
                if taken.get(payload["id"], run_id) == run_id
            }
            store.set("taken", dict([*taken.items(), *((event, run_id) for event in new)][-500:]))
            if not new:
                raise AirflowSkipException("other DAG runs have taken all of it")
            return new

        hand_over = AzureMLRunPipelineOperator(
            task_id="hand_over",
            pipeline_name="blobs-take",
            experiment_name=f"blobs-{name}",
            parameters={
                "reader": "{{ dag.dag_id }}",
                "consumer": "{{ run_id }}",
                "events": "{{ events(ti.xcom_pull(task_ids='wait')) }}",
            },
            deferrable=True,
            poll_interval=2,
            azureml_conn_id="azureml_blobs",
        )
        wait() >> hand_over
