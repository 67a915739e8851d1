"""Two assets that watch one folder, and DAGs that tell what came of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.sdk import DAG, Asset, AssetWatcher, task

from aml_provider.triggers.blob import AzureBlobChangeTrigger

PATTERNS = {"every": None, "csv": "*.csv"}

for name, pattern in PATTERNS.items():
    trigger = AzureBlobChangeTrigger(
        container_url=os.environ["WATCHED_CONTAINER"], path="in", pattern=pattern, poll_interval=2
    )
    asset = Asset(name, watchers=[AssetWatcher(name=name, trigger=trigger)])

    with DAG(f"consumes_{name}", schedule=[asset], start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False):

        @task
        def consume(triggering_asset_events=None):
            events = [event.extra["payload"] for found in triggering_asset_events.values() for event in found]
            return {event["id"]: [change["path"] for change in event["changes"]] for event in events}

        consume()
