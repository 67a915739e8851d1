"""Runs examples: DAGs as a reader copies them, with shorter waits, and with what they wait for."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def hurry(dag: Any) -> Any:
    """Let the tasks of a DAG poll more often than their authors want, without retries; returns the DAG."""
    for task in dag.tasks:
        hurried = {"retries": 0}
        if task.task_type == "AzureBlobChangeSensor":
            hurried |= {"poke_interval": 1, "settle": 0}
        elif task.task_type in {"AzureMLScheduleRunSensor", "AzureMLPipelineRunSensor"}:
            hurried |= {"poke_interval": 0.5}
        elif task.task_type in {"AzureMLRunPipelineOperator", "_AzureMLPipelineDecoratedOperator"}:
            hurried |= {"poll_interval": 0.2}
        getattr(task, "partial_kwargs", vars(task)).update(hurried)
    return dag


@contextlib.contextmanager
def started_by(dag_id: str, asset_name: str, payloads: list[Any], since: tuple[Any, ...] = ()) -> Iterator[None]:
    """Let the next run of a DAG be one that events of an asset have started, as only the scheduler makes it.

    Other events have come since.
    """
    import sqlalchemy as sa
    from airflow.models.asset import AssetEvent, AssetModel, association_table
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        asset_id = session.scalar(sa.select(AssetModel.id).where(AssetModel.name == asset_name))
        extras = [{"from_trigger": True, "payload": payload} for payload in (*payloads, *since)]
        events = [AssetEvent(asset_id=asset_id, extra=extra) for extra in extras]
        session.add_all(events)
        session.flush()
        event_ids = [event.id for event in events][: len(payloads)]

    def consume(mapper: Any, connection: Any, dag_run: Any) -> None:
        assert dag_run.dag_id == dag_id
        rows = [{"dag_run_id": dag_run.id, "event_id": event_id} for event_id in event_ids]
        connection.execute(association_table.insert(), rows)

    sa.event.listen(DagRun, "after_insert", consume)
    try:
        yield
    finally:
        sa.event.remove(DagRun, "after_insert", consume)
