"""A DAG that starts when blobs change."""

from __future__ import annotations

from datetime import datetime

from aml_provider.compat import TRIGGERS_WRITE_VARIABLES
from aml_provider.triggers.blob import AzureBlobChangeTrigger

# Airflow 2 has no asset watchers, and before 3.0.5 they cannot store what they have seen.
if TRIGGERS_WRITE_VARIABLES:
    from airflow.sdk import DAG, Asset, AssetWatcher, task

    trigger = AzureBlobChangeTrigger(
        datastore="workspaceblobstore", path="watched", on_first_poll="report", poll_interval=1
    )
    asset = Asset("watched", watchers=[AssetWatcher(name="changes", trigger=trigger)])

    with DAG("watcher", schedule=[asset], start_date=datetime(2025, 1, 1), catchup=False):  # noqa: DTZ001

        @task(task_id="task")
        def paths(triggering_asset_events=None):
            """Return the paths of the blobs that changed."""
            events = [event for of_asset in triggering_asset_events.values() for event in of_asset]
            return [change["path"] for event in events for change in event.extra["payload"]["changes"]]

        paths()
