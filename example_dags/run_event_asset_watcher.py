"""Start the next stage whenever a pipeline run has finished, no matter who started it (Airflow 3).

An asset watches the runs of a published pipeline in an experiment. When a run has finished, because a person, a native
schedule or another system had started it, the triggerer creates an asset event with the run, and that starts a DAG run.
No task waits, and no DAG run is there between two runs.

Several events can start one DAG run, so it takes the runs of all of them. If a triggerer dies, an event may be created
again. It has the same id then, and a DAG run drops the events that another DAG run has taken. A retry, or a DAG run
that somebody has cleared, takes the same events again.

Before Airflow 3.4 an event that arrives while another one waits for its DAG run may start none (apache/airflow#56050).
So on Airflow 3.3 and later the DAG run also takes later events. Airflow 3.0 to 3.2 cannot remember which events were
taken; there the DAG run only drops events that it gets twice itself.

Since Airflow 3.3 a thousand such DAGs on one experiment cost one query for each interval.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow import __version__

from aml_provider.triggers.run_event import AzureMLPipelineRunEventTrigger

if not __version__.startswith("2."):  # Airflow 2 has no asset watchers
    from airflow.sdk import DAG, Asset, AssetWatcher, task

    scoring_runs = AzureMLPipelineRunEventTrigger(
        pipeline_name="score-files",
        experiment_name="airflow-examples",
        statuses=["Finished", "Failed"],
        poll_interval=60,
    )
    scored = Asset("azureml_scoring_runs", watchers=[AssetWatcher(name="scoring_runs", trigger=scoring_runs)])

    with DAG(
        dag_id="azureml_run_event_asset_watcher",
        schedule=[scored],
        start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow reads it in its own time zone
        catchup=False,
        max_active_runs=1,  # two could check at the same time whether an event was taken
        default_args={"retries": 2},
        tags=["azureml", "example"],
        doc_md=__doc__,
    ):

        @task(inlets=[scored])
        def take_runs(triggering_asset_events: Any = None, **context: Any) -> list[dict[str, Any]]:
            events = [event for of_asset in triggering_asset_events.values() for event in of_asset]
            remembers = "asset_state_store" in context  # since 3.3; before, only repeats within a run are dropped
            if events and remembers:
                events += context["inlet_events"][scored].after(min(event.timestamp for event in events).isoformat())
            # Events that people create by hand have no payload.
            payloads = [event.extra["payload"] for event in events if "payload" in event.extra]
            # A part of an id identifies an event, and the DAG keeps many of them.
            found = {payload["id"][:16]: payload for payload in payloads}
            if found and remembers:
                store, own = context["asset_state_store"][scored], context["task_state_store"]
                taken = dict.fromkeys(store.get("taken", []))
                # A retry takes the same events again, and so does a DAG run that somebody has cleared.
                mine = own.get("taken") or [name for name in found if name not in taken]
                own.set("taken", mine)
                taken |= dict.fromkeys(mine)
                # Later DAG runs get no events from before this one's first. A repeat comes soon or never.
                older = [name for name in taken if name not in found]
                store.set("taken", older[-1000:] + [name for name in taken if name in found])
                found = {name: found[name] for name in mine if name in found}
            return list(found.values())

        @task(map_index_template="{{ task.op_kwargs['run']['run_id'] }}")
        def next_stage(run: dict[str, Any]) -> str:
            """Load the results of a run that has finished, or send a message about one that has failed."""
            return f"{run['pipeline_name']} {run['status']}: {run['link']}"

        next_stage.expand(run=take_runs())
