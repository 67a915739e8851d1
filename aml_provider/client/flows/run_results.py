"""Flows that read the lists, logs, outputs and metrics of runs, and tag runs."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from aml_provider.client import calls
from aml_provider.client.calls.filters import PIPELINE_RUNS, TOP_LEVEL, all_of, status_is, tag_equals
from aml_provider.client.entities import PipelineRun, RunState
from aml_provider.client.errors import AzureMLError, InvalidArgument, MalformedReply, NotFound, ServiceError
from aml_provider.client.flows.finding import EXPERIMENT, advised
from aml_provider.client.flows.runs import list_steps
from aml_provider.client.flows.runs_or_jobs import get_run
from aml_provider.client.http.exchange import MOST_OF_A_LOG, MOST_OF_A_TEXT
from aml_provider.client.http.messages import Request
from aml_provider.client.specs.recurrence import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aml_provider.client.calls import Call
    from aml_provider.client.entities import Artifact, Experiment, HistoryRun, MetricValue, Output, RunDetails
    from aml_provider.client.http.messages import Flow

T = TypeVar("T")

# The status names of both services.
_STATES: dict[str, RunState] = {word.lower(): state for state in RunState for word in state.history_words}
_STATES |= {state.value.lower(): state for state in RunState if state is not RunState.UNKNOWN}
_EARLIEST = datetime.min.replace(tzinfo=UTC)
# Where the artifact service keeps logs, besides those that a run's details name.
_LOG_PREFIXES = ("user_logs", "system_logs")


def list_runs(
    *,
    experiment_name: str | None = None,
    pipeline_id: str | None = None,
    schedule_id: str | None = None,
    status: str | None = None,
    tags: Mapping[str, str | None] | None = None,
    limit: int | None = None,
) -> Flow[tuple[PipelineRun, ...]]:
    """List the pipeline runs of an experiment, of a published pipeline or of a schedule, newest first.

    Args:
        experiment_name: The experiment; or
        pipeline_id: the published pipeline; or
        schedule_id: the native schedule.
        status: Only runs with this status, in either service's vocabulary.
        tags: Only runs that have all of these tags; None as a value means any value.
        limit: The most runs to return; None: all.

    Raises:
        InvalidArgument: Not exactly one of experiment, pipeline and schedule is given, there is no such status, or a
            tag cannot be searched for.
    """
    given = [item for item in (experiment_name, pipeline_id, schedule_id) if item is not None]
    if len(given) != 1:
        raise InvalidArgument("experiment_name", "give exactly one of experiment_name, pipeline_id and schedule_id")
    state = None if status is None else _state(status)
    if limit is not None:
        whole_number("limit", limit, 1, None)
    if experiment_name is not None:
        return (yield from _runs_of_experiment(experiment_name, state, tags or {}, limit))
    if pipeline_id is not None:
        runs: tuple[PipelineRun, ...] = yield calls.list_runs_of_pipeline(pipeline_id)
    else:
        assert schedule_id is not None
        runs = yield calls.list_runs_of_schedule(schedule_id)
    found = [run for run in runs if (state is None or run.state is state) and _has(run.tags, tags or {})]
    # The services list them in no documented order.
    found.sort(key=lambda run: run.created or _EARLIEST, reverse=True)
    return tuple(found[:limit])


def _has(tags: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    return all(name in tags and value in {None, tags[name]} for name, value in wanted.items())


def _state(status: str) -> RunState:
    state = _STATES.get(status.lower()) if isinstance(status, str) else None
    if state is None:
        known = ", ".join(item.value for item in RunState if item is not RunState.UNKNOWN)
        raise InvalidArgument("status", f"is {status!r}; use one of {known}")
    return state


def _runs_of_experiment(
    experiment_name: str, state: RunState | None, tags: Mapping[str, str | None], limit: int | None
) -> Flow[tuple[PipelineRun, ...]]:
    terms = [PIPELINE_RUNS]
    if state is not None:
        terms.append(status_is(state.history_words))
    terms += [tag_equals(name, value) for name, value in tags.items()]
    terms.append(TOP_LEVEL)
    query = calls.query_runs(experiment_name, all_of(terms), limit=limit)
    found: tuple[HistoryRun, ...] = yield from advised(query, EXPERIMENT, experiment_name)
    return tuple(PipelineRun.from_history(run, experiment_name) for run in found if not run.hidden)


def in_experiment(run_id: str, experiment_name: str | None, call_of: Callable[[str], Call[T]]) -> Flow[T]:
    """Carry out a call that needs the experiment of a run or step; looks the experiment up if the name is None."""
    if experiment_name is None:
        experiment_name = yield from _experiment_of(run_id)
    result: T = yield call_of(experiment_name)
    return result


def _experiment_of(run_id: str) -> Flow[str]:
    try:
        run = yield from get_run(run_id)
    except (NotFound, MalformedReply):
        # A step: the pipelines service does not know it by its own id, and Azure Resource Manager knows nothing of it.
        known: HistoryRun = yield calls.find_history_run(run_id)
        experiment: Experiment = yield calls.get_experiment_by_id(known.experiment_id)
        return experiment.name
    return run.experiment_name


def list_steps_of(run: PipelineRun | str) -> Flow[tuple[HistoryRun, ...]]:
    """List the steps of a run, or of the run with this id, in the order of their creation."""
    if not isinstance(run, PipelineRun):
        run = yield from get_run(run)
    return (yield from list_steps(run.experiment_name, run.id))


def _steps(run: PipelineRun, step: str | None) -> Flow[dict[str, HistoryRun]]:
    """A run's steps, or the requested one, by unique names.

    Raises:
        InvalidArgument: There is no such step.
    """
    steps = yield from list_steps(run.experiment_name, run.id)
    times = Counter(item.name for item in steps)
    named = {item.name if times[item.name] == 1 else item.id: item for item in steps}
    if step is None:
        return named
    found = {name: item for name, item in named.items() if step in {item.name, item.id}}
    if not found:
        raise InvalidArgument(
            "step", f"is {step!r}, and run {run.id} has no such step; it has {', '.join(named) or 'none yet'}"
        )
    return found


def read_logs(
    run_id: str, step: str | None = None, *, max_bytes: int | None = None, warn: Callable[[str], None]
) -> Flow[dict[str, str]]:
    """Read the logs of a run's steps.

    Args:
        run_id: The pipeline run.
        step: Only this step: its name, or the id of its run.
        max_bytes: The bytes to read from the end of each file; None: all.
        warn: Called with a line about each log that could not be read.

    Returns:
        Texts by ``step/file``.

    Raises:
        InvalidArgument: There is no such step.
        AzureMLError: Nothing could be read.
    """
    if max_bytes is not None:
        whole_number("max_bytes", max_bytes, 1, None)
    run = yield from get_run(run_id)
    steps = yield from _steps(run, step)
    texts: dict[str, str] = {}
    problem: AzureMLError | None = None
    for name, item in steps.items():
        if item.status in {"NotStarted", "Queued"}:
            continue
        try:
            files = yield from log_files(run.experiment_name, item, warn)
        except AzureMLError as error:
            problem = error
            warn(f"The names of the log files of step {name!r} could not be read: {error.text}")
            files = {}
        for file, url in files.items():
            try:
                texts[f"{name}/{file}"] = yield from _fetch(f"read {file} of step {name!r}", url, max_bytes)
            except AzureMLError as error:
                problem = error
                warn(f"A log is left out: {error.text}")
        if item.node_id and not any(f"{name}/{file}" in texts for file in files):
            try:
                text: str = yield calls.get_step_log(run.id, item.node_id, "STDOUT")
            except AzureMLError as error:
                problem = error
                warn(f"A log is left out: {error.text}")
            else:
                texts[f"{name}/STDOUT"] = text if max_bytes is None else _tail(text, max_bytes)
    if problem is not None and not texts:
        raise problem
    return texts


def log_files(experiment_name: str, step: HistoryRun, warn: Callable[[str], None]) -> Flow[dict[str, str]]:
    """Links to a step's log files, by name: from the run's details and from the artifact service."""
    details: RunDetails = yield calls.get_run_details(experiment_name, step.id)
    files = details.log_files
    for prefix in _LOG_PREFIXES if step.container_id else ():
        try:
            found: tuple[Artifact, ...] = yield calls.list_artifact_links(step.container_id, prefix)
        except NotFound:
            continue
        except AzureMLError as error:
            warn(f"The log files of step {step.name!r} that its details do not name could not be read: {error.text}")
            break
        files |= {item.path: item.url for item in found if item.url}
    return dict(sorted(files.items()))


def _fetch(operation: str, url: str, max_bytes: int | None) -> Flow[str]:
    """Fetch a file with a link that carries its own signature: no token is sent, and the link is never shown."""
    # Requested once: retries do not help if the storage is in a closed network.
    reply = yield Request(
        operation,
        "GET",
        url,
        repeatable=False,
        tail=max_bytes,
        most=MOST_OF_A_TEXT if max_bytes is None else MOST_OF_A_LOG,
        is_link=True,
    )
    if reply.status != 200:
        raise ServiceError(
            operation,
            status=reply.status,
            hint="The storage account refuses. One in a closed network serves only clients in that network.",
        )
    text: str = reply.body.decode("utf-8", "replace")
    return text


def _tail(text: str, size: int) -> str:
    return text.encode("utf-8", "replace")[-size:].decode("utf-8", "replace")


def read_metrics(run_id: str, step: str | None = None) -> Flow[dict[str, tuple[MetricValue, ...]]]:
    """Read the metrics that a run and its steps have logged.

    Returns:
        Values by ``metric`` for the run itself, and by ``step/metric`` for its steps.

    Raises:
        InvalidArgument: There is no such step.
    """
    run = yield from get_run(run_id)
    steps = yield from _steps(run, step)
    loggers = {f"{name}/": item.id for name, item in steps.items()}
    if step is None:
        loggers = {"": run.id, **loggers}
    metrics: dict[str, tuple[MetricValue, ...]] = {}
    for prefix, logger in loggers.items():
        names: tuple[str, ...] = yield calls.list_metrics(logger)
        for name in names:
            metrics[f"{prefix}{name}"] = yield calls.get_metric(logger, name)
    return metrics


def read_outputs(run_id: str, step: str | None = None) -> Flow[dict[str, Output]]:
    """Read the places of the outputs of a run's steps.

    Returns:
        Outputs by ``step/output``.

    Raises:
        InvalidArgument: There is no such step.
    """
    run = yield from get_run(run_id)
    steps = yield from _steps(run, step)
    outputs: dict[str, Output] = {}
    for name, item in steps.items():
        if not item.node_id:
            continue
        found: dict[str, Output] = yield calls.list_step_outputs(run.id, item.node_id)
        outputs |= {f"{name}/{output}": place for output, place in found.items()}
    return outputs
