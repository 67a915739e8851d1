"""What one task gets from the hook, the next one uses: through Airflow's database."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from support.airflow.dags import run, states

from aml_provider.hooks.azure_ml import AzureMLHook

SCORE = "10000000-0000-4000-8000-000000000001"
SEEN: dict[str, object] = {}


@pytest.mark.usefixtures("azureml_default")
def test_results_pass_from_task_to_task():
    SEEN.clear()
    with DAG("hook_results", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task
        def pipeline():
            return AzureMLHook().get_pipeline(SCORE)

        @task
        def submitted(found):
            return AzureMLHook().submit_pipeline(
                found.id, experiment_name="handed-on", tags={"__type": "x", "__var": "y"}
            )

        @task
        def state(found):
            return found.state

        @task
        def interface(found):
            return {"of": found, "accepts": AzureMLHook().get_pipeline_interface(found.id)}

        @task
        def store():
            return AzureMLHook().get_default_datastore()

        @task
        def listed():
            return AzureMLHook().list_pipelines()

        @task
        def nothing():
            return None

        @task
        def use(**found):
            SEEN.update(found)

        first = pipeline()
        sent = submitted(first)
        use(
            pipeline=first,
            run=sent,
            state=state(sent),
            interface=interface(first),
            store=store(),
            listed=listed(),
            nothing=nothing(),
        )
    result = run(dag, datetime(2026, 1, 2, tzinfo=UTC))
    assert set(states(result).values()) == {"success"}, states(result)
    hook = AzureMLHook()
    again = hook.get_run(SEEN["run"].id)
    assert (again.tags, again.created) == (SEEN["run"].tags, SEEN["run"].created)
    assert SEEN["pipeline"] == hook.get_pipeline(SCORE)
    assert SEEN["state"] is SEEN["run"].state
    assert SEEN["interface"] == {"of": SEEN["pipeline"], "accepts": hook.get_pipeline_interface(SCORE)}
    assert tuple(SEEN["listed"]) == hook.list_pipelines()
    assert SEEN["nothing"] is None
    assert SEEN["store"].container == hook.get_default_datastore().container
    with pytest.raises(ValueError, match="is not passed between tasks"):
        _ = SEEN["store"].account_key
