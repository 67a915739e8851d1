"""How a run is found again by the key that it carries, and what not finding it proves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, NotFound
from aml_provider.client.http.messages import Flow, Pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import HistoryRun, PipelineRun

#: The tag and the property that carry a submission's key.
KEY = "airflow.key"

#: The ways of looking, best first: by tag is the one that a product in the field relies on (``workspace-rest`` 5.4).
WAYS = ("tag", "property", "pipeline")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 10.0


class Search(NamedTuple):
    """What a search found.

    Args:
        run_ids: Runs that carry the key; newest first.
        way: The way that found them; empty when none did.
        answered: The ways that answered in the last round, found or not.
        error: Why a way gave no answer in the last round; None when all did.
    """

    run_ids: tuple[str, ...]
    way: str
    answered: frozenset[str]
    error: AzureMLError | None = None


def look_up(way: str, key: str, experiment: str, pipeline_id: str | None) -> Flow[tuple[str, ...]]:
    """Look for runs that carry a key, in one way.

    Raises:
        AzureMLError: This way gave no answer.
    """
    if way == "pipeline":
        if pipeline_id is None:
            raise AzureMLError("the published pipeline behind the endpoint is not known")
        runs: tuple[PipelineRun, ...] = yield calls.list_runs_of_pipeline(pipeline_id)
        return tuple(run.id for run in runs if key in {run.tags.get(KEY), run.properties.get(KEY)})
    field = {"tag": "Tags", "property": "Properties"}[way]
    try:
        matches: tuple[HistoryRun, ...] = yield calls.query_runs(experiment, f'({field}/{KEY} eq "{key}")', limit=10)
    except NotFound:
        # The service makes an experiment with its first run: none, no run.
        return ()
    found = tuple(run.id for run in matches if key in {run.tags.get(KEY), run.properties.get(KEY)})
    if matches and not found:
        # Other people's runs: the filter was ignored, and ours may be on another page.
        raise AzureMLError(f"the run history does not filter by {field}")
    return found


def search(
    key: str,
    experiment: str,
    pipeline_id: str | None,
    *,
    timeout: float,
    now: Callable[[], float] = time.monotonic,
) -> Flow[Search]:
    """Look for a key in every way, again and again until it is found.

    Args:
        key: What the run carries.
        experiment: The run's experiment.
        pipeline_id: The published pipeline, where it is known.
        timeout: Seconds after which to stop; the last round begins no earlier, and there is at least one.
        now: A clock; answers that take their time count too.
    """
    end = now() + timeout
    pause = _FIRST_PAUSE
    while True:
        began = now()
        answered = set()
        problem: AzureMLError | None = None
        for way in WAYS:
            try:
                found = yield from look_up(way, key, experiment, pipeline_id)
            except AzureMLError as error:
                problem = error
                continue
            answered.add(way)
            if found:
                return Search(found, way, frozenset(answered))
        if began >= end:
            return Search((), "", frozenset(answered), problem)
        yield Pause(min(pause, max(0.0, end - now())))
        pause = min(2 * pause, _LONGEST_PAUSE)
