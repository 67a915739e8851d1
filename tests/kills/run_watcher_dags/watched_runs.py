"""Two assets that watch the runs of one experiment, and DAGs that tell what came of it."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Asset, AssetWatcher, task

from aml_provider.triggers.run_event import AzureMLPipelineRunEventTrigger

STATUSES = {"every": ["Finished", "Failed", "Canceled"], "failed": "Failed"}

for name, statuses in STATUSES.items():
    trigger = AzureMLPipelineRunEventTrigger(experiment_name="exp", statuses=statuses, poll_interval=2)
    asset = Asset(name, watchers=[AssetWatcher(name=name, trigger=trigger)])

    with DAG(
        f"follows_{name}",
        schedule=[asset],
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
    ):

        @task(inlets=[asset])
        def follow(asset=asset, triggering_asset_events=None, **context):
            """Take what the example takes: also what has come since, and nothing again."""
            events = [event for of_asset in triggering_asset_events.values() for event in of_asset]
            events += context["inlet_events"][asset].after(min(event.timestamp for event in events).isoformat())
            found = {event.extra["payload"]["id"]: event.extra["payload"]["run_id"] for event in events}
            store, run_id = context["asset_state_store"][asset], context["run_id"]
            store.set("taken", {**dict.fromkeys(found, run_id), **store.get("taken", {})})

        follow()
