"""Parses the DAG files of a page as Airflow does, and runs their DAGs."""

from __future__ import annotations

import contextlib
import fnmatch
import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from support.airflow.dags import run, states, sync
from support.airflow.example_runs import hurry, started_by
from support.airflow.moved import DagBag

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.documents.workspace import PageBlobs, Visitor

_NAMES = ("new.csv", "new.json", "new.parquet", "new.txt", "new.jsonl", "new.xlsx")
# Each DAG run of a process has a logical date of its own on this day.
_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTES = itertools.count()


class DagError(Exception):
    """A DAG file cannot be parsed, or a DAG run does not end as it should."""


def load(file: Path) -> dict[str, Any]:
    """Parse a DAG file.

    Raises:
        DagError: Airflow shows an import error or a warning for it, or it has no DAG.
    """
    from airflow.sdk.definitions._internal.contextmanager import DagContext

    try:
        bag = DagBag(str(file))
    finally:
        # Around a block that has only tasks, a DAG is entered; if the block fails, nothing else leaves it.
        while DagContext.get_current() is not None:
            DagContext.pop()
    if bag.import_errors:
        raise DagError("\n".join(bag.import_errors.values()))
    if bag.captured_warnings:
        raise DagError(f"warnings: {bag.captured_warnings}")
    if not bag.dags:
        raise DagError("Airflow finds no DAG in it")
    for dag in bag.dags.values():
        # One may trigger another one.
        sync(dag)
    return dict(bag.dags)


def run_dag(dag: Any, visitor: Visitor, blobs: PageBlobs, *, ends: str = "success") -> Any:
    """Run a DAG once, give its tasks what they wait for, and return the DAG run.

    Raises:
        DagError: It ends in another state.
    """
    with contextlib.ExitStack() as happening:
        kinds = {task.task_type for task in dag.tasks}
        if "AzureBlobChangeSensor" in kinds:
            happening.enter_context(visitor.delivering(_name_for(dag)))
        if "AzureMLScheduleRunSensor" in kinds:
            happening.enter_context(visitor.passing_time())
        hurry(dag)
        events = list(_events(dag, blobs))
        if events:
            # A person may start it too; then there are no events.
            _run(dag, ends)
        for name, payload in events:
            happening.enter_context(started_by(dag.dag_id, name, [payload]))
        return _run(dag, ends)


def _run(dag: Any, ends: str) -> Any:
    dag_run = run(dag, _DAY + timedelta(minutes=next(_MINUTES)))
    if str(dag_run.state) != ends:
        raise DagError(f"the DAG run of {dag.dag_id} ended as {dag_run.state}, not as {ends}: {states(dag_run)}")
    return dag_run


def _name_for(dag: Any) -> str:
    """A file name that every blob sensor of the DAG accepts."""
    for name in _NAMES:
        if all(_accepts(_argument(task, "pattern"), name) for task in dag.tasks):
            return name
    raise DagError(f"its patterns accept none of {_NAMES}")


def _argument(task: Any, name: str) -> Any:
    return getattr(task, "partial_kwargs", {}).get(name, getattr(task, name, None))


def _accepts(pattern: Any, name: str) -> bool:
    patterns = [pattern] if isinstance(pattern, str) else pattern
    return not isinstance(patterns, (list, tuple)) or any(fnmatch.fnmatchcase(name, item) for item in patterns)


def _events(dag: Any, blobs: PageBlobs) -> Iterator[tuple[str, Any]]:
    """What the watchers of the DAG's assets send for one change, by the names of the assets."""
    for asset in _assets(getattr(dag.timetable, "asset_condition", None)):
        for watcher in asset.watchers:
            kind = type(watcher.trigger).__name__
            if kind == "AzureBlobChangeTrigger":
                yield asset.name, _changed_blob(watcher.trigger, blobs)
            elif kind == "AzureMLPipelineRunEventTrigger":
                yield asset.name, _ended_run(watcher.trigger)


def _assets(condition: Any) -> Iterator[Any]:
    """The assets of a condition, which may consist of conditions."""
    if hasattr(condition, "watchers"):
        yield condition
    for part in getattr(condition, "objects", ()):
        yield from _assets(part)


def _changed_blob(trigger: Any, blobs: PageBlobs) -> Any:
    from support.documents.workspace import CSV

    from aml_provider.blobs.events import split

    name = next(name for name in _NAMES if _accepts(trigger.pattern, name))
    path = f"{trigger.path}/{name}" if trigger.path else name
    blobs.write(path, CSV)
    blob = blobs.client.get_blob_client(path).get_blob_properties()
    place = {"datastore": trigger.datastore, "container_url": blobs.client.url, "path": path, "name": name}
    more = {"last_modified": blob.last_modified.isoformat(), "size": blob.size, "change": "added"}
    (event,) = split([{**place, "etag": blob.etag, **more}])
    return event


def _ended_run(trigger: Any) -> Any:
    from aml_provider.durable.run_events import RunEvent
    from aml_provider.hooks.azure_ml import AzureMLHook

    hook = AzureMLHook()
    name = trigger.pipeline_name or "score-files"
    experiment = trigger.experiment_name or "scoring"
    pipeline = hook.find_pipeline(name)
    run = hook.wait_for_run(hook.submit_pipeline(pipeline.id, experiment_name=experiment).id, poll_interval=0.1)
    return RunEvent(
        id=run.id,
        run_id=run.id,
        status=run.state.value,
        pipeline_id=pipeline.id,
        pipeline_name=name,
        experiment_name=experiment,
        ended=datetime.now(UTC).isoformat(),
        link=f"https://ml.azure.com/runs/{run.id}",
    )
