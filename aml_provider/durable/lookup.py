"""Finding a run again by the key that it carries."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, NotFound
from aml_provider.client.http.messages import ON_ITS_WAY, Flow, Pause

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import HistoryRun, PipelineRun

T = TypeVar("T")

#: The tag and the property that carry a submission's key.
KEY = "airflow.key"

#: The ways to look up a key, the best one first. Another product relies on the tag (``workspace-rest`` 5.4).
WAYS = ("tag", "property", "pipeline")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 10.0
# Seconds by which the clocks of two machines may differ.
_SKEW = 900.0


class Search(NamedTuple):
    """The result of a search.

    Args:
        run_ids: The ids of the runs that carry the key, newest first.
        way: The way that found them; empty if no way did.
        answered: The ways that answered in the last round, whether they found a run or not.
        error: The reason why a way did not answer in the last round; None if all ways answered.
    """

    run_ids: tuple[str, ...]
    way: str
    answered: frozenset[str]
    error: AzureMLError | None = None


def look_up(way: str, key: str, experiment: str, pipeline_id: str | None) -> Flow[tuple[str, ...]]:
    """Look up, in one way, the runs that carry a key.

    Raises:
        AzureMLError: This way did not answer.
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
        # The service creates an experiment with its first run, so without the experiment there is no run.
        return ()
    found = tuple(run.id for run in matches if key in {run.tags.get(KEY), run.properties.get(KEY)})
    if matches and not found:
        # These are other people's runs: the service ignored the filter, and our run may be on another page.
        raise AzureMLError(f"the run history does not filter by {field}")
    return found


def search(
    key: str,
    experiment: str,
    pipeline_id: str | None,
    *,
    timeout: float,
    now: Callable[[], float] = time.monotonic,
    keep: Callable[[float], None] | None = None,
) -> Flow[Search]:
    """Look up a key in every way, in rounds, as in :func:`repeat_until_found`."""
    last = Search((), "", frozenset())

    def look_up_in_every_way() -> Flow[Search | None]:
        nonlocal last
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
        last = Search((), "", frozenset(answered), problem)
        return None

    found = yield from repeat_until_found(look_up_in_every_way, timeout=timeout, now=now, keep=keep)
    return last if found is None else found


def repeat_until_found(
    look_up: Callable[[], Flow[T | None]],
    *,
    timeout: float,
    now: Callable[[], float],
    keep: Callable[[float], None] | None,
) -> Flow[T | None]:
    """Repeat a look-up until it finds something or ``timeout`` seconds have passed.

    There is at least one round. If nothing is found, the last round does not begin before the ``timeout`` has passed.
    The time that replies take counts too. After each round except the last, ``keep`` is called with the seconds since
    the first round began.
    """
    start = now()
    end = start + timeout
    pause = _FIRST_PAUSE
    while True:
        began = now()
        found = yield from look_up()
        if found is not None or began >= end:
            return found
        if keep is not None:
            keep(now() - start)
        yield Pause(min(pause, max(0.0, end - now())))
        pause = min(2 * pause, _LONGEST_PAUSE)


def arrival_timeout(sent_at: float, lookup_timeout: float, now: float, looked_up: float) -> float:
    """The time for which to look up a request that another process may have sent at any time until it died.

    The other process's clock may be ahead, so there is an upper bound. Or it may be behind, so a request counts as
    recent for longer than it can take to arrive: a look-up that ends too early leads to a second submission.

    Args:
        sent_at: The time just before the request, by the other clock, in seconds since the epoch.
        lookup_timeout: Seconds for which something is looked up before it counts as absent.
        now: The time by our clock.
        looked_up: Seconds for which other tries have looked it up. They are durations, so clocks that differ do not
            matter.

    Returns:
        Seconds. 0 means that one look-up is enough: the request was looked up for the full time (``lookup_timeout`` and
        a minute), or is older than the full time plus a quarter of an hour.
    """
    longest = lookup_timeout + ON_ITS_WAY
    return max(0.0, min(longest - looked_up, sent_at + longest + _SKEW - now))
