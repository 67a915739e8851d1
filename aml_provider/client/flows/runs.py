"""Calls composed into what a user wants done; each flow is a generator that any driver can run."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client import calls
from aml_provider.client.entities import (
    HistoryRun,
    PipelineEndpoint,
    PipelineInterface,
    PipelineRun,
    PublishedPipeline,
    RunState,
)
from aml_provider.client.errors import (
    AmbiguousName,
    AzureMLError,
    BadRequest,
    Conflict,
    NotFound,
    PipelineDisabled,
    PipelineError,
    ends_a_wait,
)
from aml_provider.client.flows.endpoints import find_endpoint
from aml_provider.client.flows.finding import ENDPOINT, PIPELINE, advice, advice_on_missing, how_many, with_advice
from aml_provider.client.http.protocol import MOST_OF_A_LOG, Flow, Pause, Request, RetryPolicy, may_pass
from aml_provider.client.text import LONGEST, masked, one_line, quoted, some_of
from aml_provider.client.trouble import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

#: As the client's own.
DEFAULT_POLICY = RetryPolicy()

#: The tag that marks a run whose end was asked for; a run that carries it is never taken for a task's own again.
CANCEL_MARK = "airflow.cancel"

# For so many seconds a mark is tried again, so often: Airflow 3 kills a process that does not end within five.
_MARK_PATIENCE, _MARK_PAUSE = 3.0, 1.0
_LOG_TAIL_LINES = 20
_LOG_TAIL_BYTES = 16_384
_LOG_TRIES = 3
# Where a step's own output is, best first (names as the service uses them on its different compute targets).
_LOG_NAMES = ("user_logs/std_log.txt", "azureml-logs/70_driver_log.txt", "logs/azureml/driver/stdout")


class Target(NamedTuple):
    """What is to be run.

    Args:
        kind: ``pipeline`` or ``endpoint``.
        id: Its id.
        version: The endpoint's version; None: its default one.
        pipeline_id: The published pipeline behind it, where that is known.
    """

    kind: str
    id: str
    version: str | None = None
    pipeline_id: str | None = None

    def __str__(self) -> str:
        version = f" version {self.version}" if self.version is not None else ""
        return f"{self.kind} {self.id}{version}"


class Progress(NamedTuple):
    """How far a run is: its status and that of each step, by name."""

    status: str
    steps: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        steps = ", ".join(f"{one_line(name, 100)} {status}" for name, status in self.steps)
        return f"{self.status} ({steps})" if steps else self.status


def find_pipeline(name: str) -> Flow[PublishedPipeline]:
    """Find the one active published pipeline of this name.

    Raises:
        AmbiguousName: There are several; the message lists their ids, versions and dates.
        PipelineDisabled: It is not active; the message says how to enable it.
        PipelineError: There is none; the message names similar ones.
    """
    pipelines: tuple[PublishedPipeline, ...] = yield calls.list_pipelines()
    found = [pipeline for pipeline in pipelines if pipeline.name == name and pipeline.is_active]
    if len(found) == 1:
        return found[0]
    if found:
        named = [
            f"{item.id} (version {item.version or 'none'}, created {item.created:%Y-%m-%d %H:%M} UTC)"
            if item.created
            else f"{item.id} (version {item.version or 'none'})"
            for item in found
        ]
        raise AmbiguousName(
            f"pipeline_name: {len(found)} active published pipelines are named {name!r}: {some_of(named)}. Give "
            "pipeline_id, or disable those that are no longer wanted."
        )
    # Those that are not active are listed only where the name is not found among the others.
    everything: tuple[PublishedPipeline, ...] = yield PIPELINE.listing()
    disabled = [pipeline for pipeline in everything if pipeline.name == name and not pipeline.is_active]
    if disabled:
        raise PipelineDisabled(f"pipeline_name: {how_to_enable(disabled)}")
    count = len({pipeline.name for pipeline in everything if pipeline.is_active})
    hint = advice(PIPELINE, name, everything, otherwise=how_many(count))
    raise PipelineError(f"pipeline_name: the workspace has no active published pipeline named {name!r}; {hint}")


def how_to_enable(pipelines: Sequence[PublishedPipeline]) -> str:
    """Say that the published pipelines of a name, or the one of an id, are not active, and how to change that."""
    name, last = pipelines[0].name, pipelines[-1].id
    if len(pipelines) == 1:
        said = f"published pipeline {name!r} ({last}) is {pipelines[0].status}"
    else:
        named = some_of([f"{item.id} ({item.status})" for item in pipelines], ", ")
        said = f"none of the published pipelines named {name!r} is active: {named}"
    return (
        f"{said}; enable it with AzureMLEnablePipelineOperator(pipeline_id={last!r}) or the command `pipelines enable "
        f"{last}`, or give another one."
    )


def find_pipeline_of_id(pipeline_id: str, subject: str = "pipeline_id") -> Flow[PublishedPipeline]:
    """Read the published pipeline of this id, active or not.

    Args:
        pipeline_id: The id.
        subject: What an error begins with: the argument, or what led to the pipeline.

    Raises:
        PipelineError: There is none; the message says if it is a name, and names similar ids.
    """
    try:
        found: PublishedPipeline = yield calls.get_pipeline(pipeline_id)
    except NotFound as error:
        hint = yield from advice_on_missing(PIPELINE, pipeline_id)
        missing = with_advice(f"{subject}: the workspace has no published pipeline {pipeline_id!r}", hint)
        raise PipelineError(f"{missing} [{', '.join(error.request_ids)}]") from error
    return found


def find_target(
    *,
    pipeline_id: str | None = None,
    pipeline_name: str | None = None,
    endpoint_id: str | None = None,
    endpoint_name: str | None = None,
    endpoint_version: str | None = None,
) -> Flow[Target]:
    """Turn whichever name or id was given into a target, with no more requests than that needs.

    Raises:
        PipelineError: There is no such pipeline or endpoint, or several.
    """
    if pipeline_id is not None:
        return Target("pipeline", pipeline_id, pipeline_id=pipeline_id)
    if pipeline_name is not None:
        pipeline = yield from find_pipeline(pipeline_name)
        return Target("pipeline", pipeline.id, pipeline_id=pipeline.id)
    if endpoint_id is not None:
        return Target("endpoint", endpoint_id, endpoint_version)
    assert endpoint_name is not None
    endpoint = yield from find_endpoint(endpoint_name)
    _check_active("endpoint_name", endpoint)
    return Target("endpoint", endpoint.id, endpoint_version, _pipeline_behind(endpoint, endpoint_version))


def _check_active(argument: str, endpoint: PipelineEndpoint) -> None:
    if not endpoint.is_active:
        raise PipelineDisabled(
            f"{argument}: pipeline endpoint {endpoint.name!r} ({endpoint.id}) is {endpoint.status}; enable it with "
            f"AzureMLHook().enable_endpoint({endpoint.id!r}), or give another one. Nothing was submitted."
        )


def _pipeline_behind(endpoint: PipelineEndpoint, version: str | None) -> str:
    wanted = endpoint.default_version if version is None else version
    if wanted not in endpoint.versions:
        which = f"version {wanted!r}" if version is not None else f"version {wanted!r}, which is its default one"
        *earlier, last = sorted(endpoint.versions, key=lambda name: (len(name), name)) or ["none"]
        known = ", ".join([*earlier[-9:], last])
        more = f"{len(earlier) - 9} earlier ones and " if len(earlier) > 9 else ""
        raise PipelineError(f"endpoint_version: endpoint {endpoint.name!r} has no {which}; it has {more}{known}")
    return endpoint.versions[wanted]


def inspect_target(
    target: Target, interfaces: dict[str, PipelineInterface]
) -> Flow[tuple[Target, PublishedPipeline, PipelineInterface]]:
    """Read what a target accepts, and make sure that it can be run.

    Args:
        target: What is to be run.
        interfaces: Interfaces already read, by graph id; a graph never changes, so they may be kept.

    Raises:
        PipelineDisabled: It is not active.
        PipelineError: There is no such pipeline or endpoint.
    """
    pipeline_id = target.pipeline_id
    if pipeline_id is None:
        try:
            endpoint: PipelineEndpoint = yield calls.get_endpoint(target.id)
        except NotFound as error:
            hint = yield from advice_on_missing(ENDPOINT, target.id)
            raise PipelineError(
                with_advice(f"endpoint_id: the workspace has no pipeline endpoint {target.id!r}", hint)
            ) from error
        _check_active("endpoint_id", endpoint)
        pipeline_id = _pipeline_behind(endpoint, target.version)
    # What an endpoint runs was not named by its author, so no argument is at fault.
    subject = "pipeline_id" if target.kind == "pipeline" else f"{target} runs a pipeline that cannot be run"
    pipeline = yield from find_pipeline_of_id(pipeline_id, subject)
    if not pipeline.is_active:
        raise PipelineDisabled(f"{subject}: {how_to_enable([pipeline])} Nothing was submitted.")
    if pipeline.graph_id not in interfaces:
        interfaces[pipeline.graph_id] = yield calls.get_interface(pipeline.graph_id)
    interface = interfaces[pipeline.graph_id].with_defaults(pipeline.defaults)
    return target._replace(pipeline_id=pipeline_id), pipeline, interface


def read_interface(pipeline_id: str) -> Flow[PipelineInterface]:
    """Read what a published pipeline accepts, active or not."""
    pipeline: PublishedPipeline = yield calls.get_pipeline(pipeline_id)
    interface: PipelineInterface = yield calls.get_interface(pipeline.graph_id)
    return interface.with_defaults(pipeline.defaults)


def list_steps(experiment: str, run_id: str) -> Flow[tuple[HistoryRun, ...]]:
    """List all steps of a run, in the order of their creation."""
    steps: tuple[HistoryRun, ...] = yield calls.list_steps(experiment, run_id)
    return tuple(sorted(steps, key=lambda step: (step.created is None, step.created, step.name)))


def wait_for_run(
    run_id: str,
    experiment: str,
    *,
    poll_interval: float,
    deadline: float | None = None,
    report: Callable[[Progress], None],
    policy: RetryPolicy = DEFAULT_POLICY,
    now: Callable[[], float] = time.time,
) -> Flow[PipelineRun]:
    """Poll a run until it is final or its deadline has passed.

    Args:
        run_id: The pipeline run.
        experiment: Its experiment.
        poll_interval: Seconds between two looks.
        deadline: Seconds since the epoch (a monotonic clock means nothing to the next process); None: wait for ever.
        report: Called with the progress whenever it has changed.
        policy: How long a run that cannot be read is tried again, and who is told of that.
        now: The wall clock.

    Returns:
        The run as it was seen last: final, unless the deadline has passed.

    Raises:
        AzureMLError: The run could not be read within the retry budget. It goes on all the same.
    """
    last: Progress | None = None
    while True:
        run: PipelineRun = yield from read_run(run_id, policy=policy)
        progress = Progress(run.status, (yield from _step_states(experiment, run_id)))
        if progress != last:
            report(progress)
            last = progress
        if run.state.is_final:
            return run
        pause = poll_interval
        if deadline is not None:
            left = deadline - now()
            if left <= 0:
                return run
            pause = min(pause, left)
        yield Pause(pause)


def read_run(run_id: str, *, policy: RetryPolicy = DEFAULT_POLICY) -> Flow[PipelineRun]:
    """Read a run that exists, as a wait for it does, on a worker and in a triggerer alike.

    What may pass by itself is tried again within the retry budget, also where one request alone would not be repeated:
    a refused token, a conflict, an answer that cannot be read.

    Args:
        run_id: The pipeline run.
        policy: The budget, in all, and who is told of the trouble.

    Raises:
        AzureMLError: The run could not be read. It goes on all the same.
    """
    waited = 0.0
    tries = 0
    troubles = Troubles()
    while True:
        try:
            run: PipelineRun = yield calls.get_run(run_id)
        except AzureMLError as error:
            pause = policy.pause(tries, None)
            # What each request is repeated for has used the budget up already.
            if ends_a_wait(error) or may_pass(error) or waited + pause > policy.budget:
                raise
            if (text := troubles.failed(run_id, error, policy.budget - waited, policy.now())) is not None:
                policy.tell(logging.WARNING, f"Run {run_id}: {text}")
        else:
            if (text := troubles.over(run_id, policy.now())) is not None:
                policy.tell(logging.INFO, f"Run {run_id}: {text}")
            return run
        yield Pause(pause)
        waited += pause
        tries += 1


def _step_states(experiment: str, run_id: str) -> Flow[tuple[tuple[str, str], ...]]:
    try:
        steps = yield from list_steps(experiment, run_id)
    except AzureMLError:
        # Progress is a courtesy: without it the run is watched all the same.
        return ()
    return tuple((step.name, step.status) for step in steps)


def cancel_run(
    run_id: str,
    experiment: str,
    *,
    reason: str,
    patience: float = 60.0,
    poll_interval: float = 2.0,
    note: Callable[[str], None] = lambda _: None,
    check: Callable[[PipelineRun], None] = lambda _: None,
) -> Flow[PipelineRun]:
    """Mark a run as unwanted, cancel it and watch it end. Doing it twice does no harm.

    Args:
        run_id: The pipeline run.
        experiment: Its experiment, in case the service does not say.
        reason: Goes into the mark, for people who look at the run.
        patience: Seconds to wait for its end.
        poll_interval: Seconds between two looks.
        note: Called with what was not as expected.
        check: Called with a run that goes on; what it raises leaves the run alone.

    Returns:
        The run as it was seen last: final, unless patience ran out.
    """
    run: PipelineRun = yield calls.get_run(run_id)
    if run.state.is_final:
        return run
    check(run)
    mark = calls.tag_run(run.experiment_name or experiment, run_id, {CANCEL_MARK: reason})
    unknown = False
    try:
        yield mark
    except AzureMLError as error:
        # The cancel matters more than its mark. Run history may not know a run yet that was submitted just now.
        unknown = isinstance(error, NotFound)
        note(f"could not mark run {run_id} before cancelling it: {error}")
    try:
        yield calls.cancel_run(run_id)
    except (BadRequest, Conflict):
        # It may have ended by itself in between, and what has ended cannot be cancelled.
        run = yield calls.get_run(run_id)
        if not run.state.is_final:
            raise
        return run
    waited = 0.0
    while True:
        run = yield calls.get_run(run_id)
        if unknown:
            try:
                yield mark
                unknown = False
            except AzureMLError as error:
                unknown = isinstance(error, NotFound) and waited < _MARK_PATIENCE
        if (run.state.is_final or waited >= patience) and not unknown:
            return run
        pause = min(poll_interval, _MARK_PAUSE) if unknown else poll_interval
        yield Pause(pause)
        waited += pause


def explain_failure(run: PipelineRun) -> Flow[str]:
    """Say why a run failed: its failed steps, their errors and the tail of the first one's log.

    Never raises because of what it cannot read: the failure itself matters more.
    """
    try:
        steps = yield from list_steps(run.experiment_name, run.id)
    except AzureMLError as error:
        return f"{_said(run.detail)} (Its steps could not be read: {error})".lstrip()
    failed = [step for step in steps if step.status == "Failed"]
    if not failed:
        return _said(run.detail)
    parts = []
    if len(failed) > 1:
        parts.append(f"{len(failed)} steps failed: {', '.join(one_line(step.name, 100) for step in failed)}.")
    for step in failed[:1]:
        error_text, log = yield from _explain_step(run, step)
        parts.append(f"Step {step.name!r} failed: {_said(error_text or run.detail) or 'the service gives no reason.'}")
        if log:
            parts.append(f"\nThe end of its log:\n{quoted(masked(log))}\n")
    return " ".join(parts)


def _said(text: str) -> str:
    """What somebody's program says, as it may be shown."""
    return one_line(masked(text[: 4 * LONGEST]))


def _explain_step(run: PipelineRun, step: HistoryRun) -> Flow[tuple[str, str]]:
    error_text = ""
    files: dict[str, str] = {}
    try:
        details = yield calls.get_run_details(run.experiment_name, step.id)
        error_text, files = details.error, details.log_files
    except AzureMLError:
        pass
    for name in _by_usefulness(files)[:_LOG_TRIES]:
        try:
            # A log's URL carries its own signature: no token goes along, and the URL is shown nowhere. Asked once: the
            # storage of a closed network cannot be reached from here, and the failure has to be told all the same.
            reply = yield Request(
                f"read the log of step {step.name!r}",
                "GET",
                files[name],
                repeatable=False,
                tail=_LOG_TAIL_BYTES,
                most=MOST_OF_A_LOG,
                is_link=True,
            )
        except AzureMLError:
            continue
        if reply.status == 200:
            return error_text, _last_lines(reply.body.decode("utf-8", "replace"))
    if step.node_id:
        try:
            text = yield calls.get_step_log(run.id, step.node_id, "STDOUT")
        except AzureMLError:
            return error_text, ""
        return error_text, _last_lines(text)
    return error_text, ""


def _by_usefulness(names: Iterable[str]) -> list[str]:
    def rank(name: str) -> tuple[int, str]:
        return next((place for place, known in enumerate(_LOG_NAMES) if name.startswith(known)), len(_LOG_NAMES)), name

    return sorted(
        (name for name in names if name.endswith((".txt", ".log")) or rank(name)[0] < len(_LOG_NAMES)), key=rank
    )


def _last_lines(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-_LOG_TAIL_LINES:])


def check_connection(say: Callable[[str], None]) -> Flow[str]:
    """Walk from the workspace's record to its pipelines; ``say`` is told each step before it is taken.

    Returns:
        What was found, in a sentence.
    """
    say("workspace")
    workspace = yield calls.get_workspace()
    say("pipelines")
    pipelines = yield calls.list_pipelines()
    return f"workspace {workspace.name!r} in {workspace.location}, {len(pipelines)} active published pipelines"


def succeeded(run: PipelineRun) -> bool:
    """Whether a run ended well; anything unknown has not."""
    return run.state is RunState.FINISHED
