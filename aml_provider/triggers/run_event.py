"""The trigger that turns the ends of runs into asset events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aml_provider.client.errors import InvalidArgument
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.triggers.asset_watcher import AssetWatcherTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from aml_provider.blobs.rules import OnFirstPoll
    from aml_provider.durable.wanted_runs import RunsKey, WantedRuns
    from aml_provider.watching.outbox import Event

# At most one of these; ``experiment_name`` alone, or with one of the first three.
_OF_EXPERIMENT = ("pipeline_id", "pipeline_name", "component_name")
_OF_SCHEDULE = ("schedule_name", "job_schedule_name")
_SELECTORS = (*_OF_EXPERIMENT, "experiment_name", *_OF_SCHEDULE)


class AzureMLPipelineRunEventTrigger(AssetWatcherTrigger):
    """Watch pipeline runs for an asset, and fire when one has ended, no matter who or what started it.

    Use it in an :class:`~airflow.sdk.AssetWatcher`, on Airflow 3.0.5 or later. Its arguments are not templates.

    The payload of an event, ``event.extra["payload"]`` of the asset event, is a mapping with ``id``, ``run_id``,
    ``status``, ``pipeline_id``, ``pipeline_name``, ``experiment_name``, ``ended`` and ``link``. Each run has one event.
    After a crash an event can be fired twice, with the same ``id``, which follows from the workspace and the run's id.
    No event is lost.

    Steps, and runs within other runs, are not reported. The watcher record is stored in the asset's state store, or on
    Airflow 3.0 to 3.2 in a Variable. Since Airflow 3.3, watchers in one triggerer that have the same experiment, or
    without one the same pipeline or schedule, share one query, if their connection and ``poll_interval`` are the same
    too.

    Args:
        pipeline_id: Runs of this published pipeline.
        pipeline_name: Runs of all published pipelines of this name, active or not.
        component_name: Jobs that run any version of this component (Azure ML v2).
        experiment_name: Runs in this experiment; alone, or with one of the three above. With it, polls read the
            experiment's run history; without it, they read lists of runs that can be long.
        schedule_name: Runs that a native schedule of this name has started.
        job_schedule_name: Jobs that this job schedule (Azure ML v2) has started.
        statuses: The statuses with which a run must have ended: ``Finished``, ``Failed`` or ``Canceled``. The words of
            Azure ML v2 are accepted too, such as ``Completed``.
        tags: Tags that the run must have when it is found ended; None as a value means any value.
        poll_interval: Seconds between two polls.
        on_first_poll: ``"remember"`` or ``"report"`` the runs that have ended at the very first poll; ``"report"``
            takes those that were created in the 24 hours before. Runs that are still active then are reported when they
            end, in both cases.
        state_key: Names the watcher record. Two watchers of one asset with the same runs need different keys.
        azureml_conn_id: The connection.
        asset: The watched asset. DAG authors do not set it; this class finds it when a DAG file is read.

    Raises:
        UnsupportedAirflow: Airflow is older than 3.0.
        InvalidArgument: The names and ids of what is watched are missing, or cannot be combined; the message names
            them.
    """

    _path = "aml_provider.triggers.run_event.AzureMLPipelineRunEventTrigger"
    _stream_module = "aml_provider.triggerer.run_stream"
    _instead = "AzureMLPipelineRunSensor or AzureMLScheduleRunSensor"
    _seen = "runs"

    def __init__(
        self,
        *,
        pipeline_id: str | None = None,
        pipeline_name: str | None = None,
        component_name: str | None = None,
        experiment_name: str | None = None,
        schedule_name: str | None = None,
        job_schedule_name: str | None = None,
        statuses: str | Sequence[str] = ("Finished",),
        tags: Mapping[str, str | None] | None = None,
        poll_interval: float | timedelta = 60.0,
        on_first_poll: OnFirstPoll = "remember",
        state_key: str | None = None,
        azureml_conn_id: str = DEFAULT_CONN_ID,
        asset: str | None = None,
    ) -> None:
        self.check_airflow()
        super().__init__()  # type: ignore[no-untyped-call]
        self.pipeline_id = pipeline_id
        self.pipeline_name = pipeline_name
        self.component_name = component_name
        self.experiment_name = experiment_name
        self.schedule_name = schedule_name
        self.job_schedule_name = job_schedule_name
        self.statuses = statuses
        self.tags = tags
        self.poll_interval = poll_interval
        self.on_first_poll = on_first_poll
        self.state_key = state_key
        self.azureml_conn_id = azureml_conn_id
        self.asset = asset
        self._check_combination()

    def _check_combination(self) -> None:
        given, name = self._selectors(), type(self).__name__
        if not given:
            raise InvalidArgument(name, f"needs one of {', '.join(_SELECTORS)}; it was given none")
        others = [selector for selector in given if selector != "experiment_name"]
        if len(others) > 1:
            raise InvalidArgument(name, f"takes only one of {', '.join(others)}")
        if len(given) > 1 and others[0] in _OF_SCHEDULE:
            raise InvalidArgument(
                name, f"does not take experiment_name with {others[0]}: all runs of a schedule are watched"
            )

    def _selectors(self) -> dict[str, Any]:
        return {name: value for name in _SELECTORS if (value := getattr(self, name)) is not None}

    def _arguments(self) -> dict[str, Any]:
        from aml_provider.client.arguments import as_name
        from aml_provider.client.specs.run import as_experiment_name
        from aml_provider.client.specs.target import as_component_name

        for name, value in self._selectors().items():
            as_name(name, value)
        if self.experiment_name is not None:
            as_experiment_name("experiment_name", self.experiment_name)
        if self.component_name is not None:
            as_component_name("component_name", self.component_name)
        wanted = self._rules()
        return {
            **{name: getattr(self, name) for name in _SELECTORS},
            "statuses": sorted(wanted.states),
            "tags": dict(wanted.tags) or None,
            "on_first_poll": self.on_first_poll,
        }

    def _rules(self) -> WantedRuns:
        from aml_provider.durable.wanted_runs import WantedRuns

        return WantedRuns.of(
            statuses=self.statuses,
            tags=self.tags,
            pipeline_id=self.pipeline_id,
            pipeline_name=self.pipeline_name,
            component_name=self.component_name,
            on_first_poll=self.on_first_poll,
        )

    def _key(self) -> RunsKey:
        from aml_provider.durable.wanted_runs import RunsKey
        from aml_provider.durations import in_seconds

        interval = in_seconds("poll_interval", self.poll_interval, minimum=0.1)
        selectors = self._selectors()
        kind = "experiment_name" if "experiment_name" in selectors else next(iter(selectors))
        name = "" if kind == "component_name" else selectors[kind]
        return RunsKey(self.azureml_conn_id, kind, name, interval)

    def _place(self) -> tuple[str, str]:
        return "runs", json.dumps(self._selectors(), sort_keys=True)

    def _filters(self) -> Any:
        wanted = self._rules()
        return [sorted(wanted.states), list(wanted.tags)]

    @staticmethod
    def _read_event(stored: Any) -> Event:
        from aml_provider.durable.run_events import read_run_event

        return read_run_event(stored)

    @staticmethod
    def _summary(event: Event) -> str:
        return f"run {event['run_id']} is {event['status']}"
