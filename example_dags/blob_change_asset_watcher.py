"""Run a published pipeline for each new or changed blob, without a DAG run that waits for them (Airflow 3).

An asset watches the folder. When blobs arrive, the triggerer creates asset events that contain them, and these start a
DAG run. Several events can start one DAG run, so it takes the changes of all of them. If a triggerer dies, an event may
be created again. It has the same id then, and a DAG run drops the events that another DAG run has taken. A retry, or a
DAG run that somebody has cleared, takes the same events again.

Before Airflow 3.4 an event that arrives while another one waits for its DAG run may start none (apache/airflow#56050).
So on Airflow 3.3 and later the DAG run also takes later events. If such an event starts a DAG run after all, that run
drops it. Airflow 3.0 to 3.2 cannot remember which events were taken; there the DAG run only drops events that it gets
twice itself.

Since Airflow 3.3 a hundred such DAGs on one folder cost one listing. Give each asset a watcher with its own
``pattern``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow import __version__

from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.triggers.blob import AzureBlobChangeTrigger

if not __version__.startswith("2."):  # Airflow 2 has no asset watchers
    from airflow.sdk import DAG, Asset, AssetWatcher, task

    new_files = AzureBlobChangeTrigger(
        datastore="workspaceblobstore",
        path="incoming",
        pattern="*.csv",
        settle=30,  # seconds without another write, so that an upload in pieces is complete
        poll_interval=60,
    )
    incoming = Asset("azureml_incoming_files", watchers=[AssetWatcher(name="new_files", trigger=new_files)])

    with DAG(
        dag_id="azureml_blob_change_asset_watcher",
        schedule=[incoming],
        start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
        catchup=False,
        max_active_runs=1,  # two could check at the same time whether an event was taken
        default_args={"retries": 2},
        tags=["azureml", "example"],
        doc_md=__doc__,
    ):

        @task(inlets=[incoming])
        def take_changes(triggering_asset_events: Any = None, **context: Any) -> list[dict[str, Any]]:
            events = [event for of_asset in triggering_asset_events.values() for event in of_asset]
            remembers = "asset_state_store" in context  # since 3.3; before, only repeats within a run are dropped
            if events and remembers:
                events += context["inlet_events"][incoming].after(min(event.timestamp for event in events).isoformat())
            # Events that people create by hand have no payload.
            payloads = [event.extra["payload"] for event in events if "payload" in event.extra]
            # A part of an id identifies an event, and the DAG keeps many of them.
            found = {payload["id"][:16]: payload["changes"] for payload in payloads}
            if found and remembers:
                store, own = context["asset_state_store"][incoming], context["task_state_store"]
                taken = dict.fromkeys(store.get("taken", []))
                # A retry takes the same events again, and so does a DAG run that somebody has cleared.
                mine = own.get("taken") or [name for name in found if name not in taken]
                own.set("taken", mine)
                taken |= dict.fromkeys(mine)
                # Later DAG runs get no events from before this one's first. A repeat comes soon or never.
                older = [name for name in taken if name not in found]
                store.set("taken", older[-1000:] + [name for name in taken if name in found])
                found = {name: found[name] for name in mine if name in found}
            return [change for changes in found.values() for change in changes]

        AzureMLRunPipelineOperator.partial(
            task_id="score",
            pipeline_name="score-files",
            experiment_name="airflow-examples",
            deferrable=True,
            max_active_tis_per_dag=10,  # runs at the same time; before Airflow 3.2.2 only a pool limits them
            map_index_template="{{ task.data_paths['input_datapath']['name'] }}",
        ).expand(
            # A change is a valid data path. For more than 1024 changes in one DAG run, raise [core] max_map_length.
            data_paths=take_changes().map(lambda change: {"input_datapath": change}),
        )
