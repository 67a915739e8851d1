"""One try of the run operator. It loads on the worker, never with a DAG file."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, conf
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from aml_provider.client import calls
from aml_provider.client.entities import PipelineInterface, RunState
from aml_provider.client.errors import (
    AzureMLError,
    InvalidArgument,
    RunCanceled,
    RunFailed,
    RunTimedOut,
    RunUnwatched,
)
from aml_provider.client.flows import (
    CANCEL_MARK,
    Target,
    cancel_run,
    explain_failure,
    find_target,
    inspect_target,
    wait_for_run,
)
from aml_provider.client.protocol import RetryPolicy
from aml_provider.client.run_request import RunRequest
from aml_provider.client.transport import Client
from aml_provider.connection import airflow_errors
from aml_provider.deadlines import backstop, clock_ahead, has_passed, was_late
from aml_provider.durations import in_seconds
from aml_provider.hooks.azure_ml import AzureMLHook, retry_policy
from aml_provider.hooks.workspace import lookup_grace
from aml_provider.state.identity import TaskIdentity, deployment_id
from aml_provider.state.ledger import open_ledger
from aml_provider.state.lookup import Evidence, search
from aml_provider.state.submission import Submission
from aml_provider.triggers.guard import RUN_ID_XCOM
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.providers.common.compat.sdk import Context

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.protocol import Flow
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

# By graph id: a published graph never changes, so a worker process reads each interface once.
_INTERFACES: dict[str, PipelineInterface] = {}

# Airflow 2 kills a task that does not end within killed_task_cleanup_time, 60 seconds by default.
_KILL_PATIENCE = 15.0
# Airflow 3 does so after 5 seconds, but until then the task goes on where it was when on_kill returns.
_SHORT_KILL_PATIENCE = 1.0
_KILLED = "the task was killed in Airflow"
# Where the run matters more than the answer: in on_kill, and in learning about the workspace.
_BRIEF = RetryPolicy(budget=3.0)


class PipelineExecution:
    """What one try does: come to the run, wait for it, turn its end into the task's.

    Args:
        operator: The operator, rendered.
        context: Airflow's context.
        killed: The task was killed before this began: it may see to runs of before, and submits none.
    """

    def __init__(self, operator: AzureMLRunPipelineOperator, context: Context, *, killed: bool = False) -> None:
        self._operator = operator
        self._ti: Any = context["ti"]
        self._log = operator.log
        self._hook = AzureMLHook(operator.azureml_conn_id)
        self._ledger = open_ledger(context) if operator.durable else None
        self._submission: Submission | None = None
        self._settings: WorkspaceSettings | None = None
        self._run_id: str | None = None
        self._killed = killed
        self._timed_out = False
        self._leave_run = False

    def start(self) -> str:
        """Come to the run and wait for it; returns its id."""
        operator = self._operator
        with airflow_errors():
            request = self._request()
            poll_interval = self._poll_interval()
        with self._timeout_noticed(), self._client() as client:
            evidence = Evidence(client.settings) if operator.durable else None
            run_id = self._run_id = self._obtain_run(client, request, evidence)
            self._heed_kill(client, run_id)
            self._announce(client, run_id)
            if evidence is not None:
                self._learn(client, evidence)
            if not operator.wait_for_completion:
                self._close(run_id)
                return run_id
            if not operator.deferrable:
                return self._conclude(client, self._wait(client, run_id, poll_interval))
            self._heed_kill(client, run_id)
            if self._submission is not None and not self._submission.submitted:
                # A run that was taken over may have ended long ago: then there is nothing to wait for.
                with self._watching(run_id):
                    run = client.call(calls.get_run(run_id))
                if run.state.is_final:
                    return self._conclude(client, run)
        return self._defer(run_id, poll_interval)

    def resume(self, event: Mapping[str, Any] | None) -> str:
        """Take up the wait where the trigger left it; returns the run's id."""
        if not event or "run_id" not in event or event.get("outcome") not in {"ended", "deadline", "unwatched"}:
            raise ValueError(f"Not an event of AzureMLPipelineRunTrigger: {event!r}")
        run_id = self._run_id = str(event["run_id"])
        known = self._known_run()
        if known not in {None, run_id}:
            # SQLite gives a new trigger the number of a deleted one, and Airflow then delivers that one's late event.
            self._log.warning("The trigger's event is about run %s, not this task's run %s; waiting on.", run_id, known)
            self._run_id = known
            self._defer(known, self._poll_interval())
        if event["outcome"] == "unwatched":
            raise self._unwatched(run_id, event.get("message"))
        with self._timeout_noticed(), self._client() as client:
            with self._watching(run_id):
                run = client.call(calls.get_run(run_id))
            if run.state.is_final or (event["outcome"] == "deadline" and (was_late(event) or not self._has_time())):
                return self._conclude(client, run)
            self._heed_kill(client, run_id)
        if event["outcome"] == "deadline":
            self._warn_of_clocks("triggerer")
        else:
            # The service has changed its mind about the run's end; unknown is not success.
            self._log.warning("Run %s is %s again; waiting on.", run_id, run.status)
        return self._defer(run_id, self._poll_interval(), clock_ahead(event))

    def end_abandoned_wait(self) -> str | None:
        """Airflow ended the wait: do to the run what the deadline asks for.

        Returns:
            The run's id if it has ended well, since there was time left; None if Airflow is to say how the wait ended.
        """
        run_id = self._run_id = self._known_run()
        if run_id is None:
            return None
        with self._timeout_noticed(), self._client() as client:
            with self._watching(run_id):
                run = client.call(calls.get_run(run_id))
            if run.state.is_final:
                return None
            if self._has_time():
                self._warn_of_clocks("scheduler")
                # Here: another deferral would end as soon as this one did, by the same clock.
                return self._conclude(client, self._wait(client, run_id, self._poll_interval()))
            return self._end_at_deadline(client, run)

    def _has_time(self) -> bool:
        deadline = self._deadline()
        return deadline is not None and not has_passed(deadline)

    def _warn_of_clocks(self, component: str) -> None:
        left = (self._deadline() or 0.0) - time.time()
        self._log.warning(
            "By the clock of Airflow's %s execution_timeout has passed, by this worker's it has not for %.0f s. "
            "Waiting on. Is one of the two clocks wrong?",
            component,
            left,
        )

    def kill(self) -> None:
        """Cancel the run, and the one of a submission that is under way; bounded, and harmless when repeated.

        It is called in a signal handler, wherever the task is: perhaps in the middle of a request to the service or to
        Airflow. So it asks Airflow for nothing (its client's lock would never come free), has a client of its own, and
        raises nothing. Airflow 3 lets the task go on afterwards; what cannot be done here is done there.
        """
        self._killed = True
        if not self._operator.cancel_on_kill or self._leave_run:
            return
        if self._submission is not None:
            self._submission.stop()
        record = self._submission.record if self._submission is not None else None
        run_id = self._run_id or (record.run_id if record is not None else None)
        if self._settings is None or (run_id is None and record is None):
            return
        try:
            with Client(self._settings, policy=_BRIEF) as client:
                if run_id is None and record is not None and record.sent and self._ledger is not None:
                    goes_on = AIRFLOW_V_3_0_PLUS and not self._timed_out
                    patience = _SHORT_KILL_PATIENCE if goes_on else _KILL_PATIENCE
                    result = client.run(search(record.key, record.experiment, record.pipeline_id, patience=patience))
                    run_id = result.run_ids[0] if result.run_ids else None
                if run_id is None:
                    return
                self._log.info("The task is being killed; cancelling run %s.", run_id)
                run = self._cancel(client, run_id, _KILLED, patience=_KILL_PATIENCE)
            self._log.info("Run %s is %s.", run_id, run.status)
        except Exception as error:  # noqa: BLE001 - raised in a signal handler it would go off anywhere in the task
            self._log.warning("Run %s could not be cancelled; cancel it in the studio. %s", run_id, error)

    def _heed_kill(self, client: Client, run_id: str) -> None:
        """Cancel a run that came to be while the task was being killed: nobody would watch it."""
        if self._killed and self._operator.cancel_on_kill and not self._leave_run:
            self._cancel(client, run_id, _KILLED, patience=0.0)
            raise RunFailed(f"Run {run_id} was cancelled from Airflow: {_KILLED}.", run_id=run_id)

    def _known_run(self) -> str | None:
        """The run that this task deferred for."""
        run_id = self._ti.xcom_pull(key=RUN_ID_XCOM, task_ids=self._ti.task_id, map_indexes=self._ti.map_index)
        return run_id if isinstance(run_id, str) else None

    @contextmanager
    def _client(self) -> Iterator[Client]:
        with self._hook.client() as client:
            self._settings = client.settings
            yield client

    def _request(self) -> RunRequest:
        """The operator's rendered arguments, checked."""
        operator = self._operator
        if operator.on_timeout not in {"cancel", "leave"}:
            raise InvalidArgument("on_timeout", f"is {operator.on_timeout!r}; use 'cancel' or 'leave'")
        for name in ("pipeline_id", "pipeline_name", "endpoint_id", "endpoint_name"):
            value = getattr(operator, name)
            if value is not None and not (isinstance(value, str) and value.strip()):
                raise InvalidArgument(name, f"is {value!r} after rendering; it must name something")
        return RunRequest.of(
            experiment_name=operator.experiment_name,
            parameters=operator.parameters,
            data_paths=operator.data_paths,
            datasets=operator.datasets,
            tags=operator.tags,
            description=operator.description,
            continue_on_step_failure=operator.continue_on_step_failure,
        )

    def _poll_interval(self) -> float:
        return in_seconds("poll_interval", self._operator.poll_interval, minimum=0.1)

    def _deadline(self) -> float | None:
        """When this try has to end, in seconds since the epoch; a deferral does not move it."""
        timeout = self._operator.execution_timeout
        if timeout is None:
            return None
        # dag.test() on Airflow 2.11 gives no start date.
        started = self._ti.start_date
        return float(started.timestamp() if started is not None else time.time()) + timeout.total_seconds()

    def _obtain_run(self, client: Client, request: RunRequest, evidence: Evidence | None) -> str:
        operator = self._operator
        subject = [operator.pipeline_id, operator.pipeline_name, operator.endpoint_id, operator.endpoint_name]
        self._submission = Submission(
            identity=TaskIdentity(
                deployment=deployment_id(conf.get("azureml", "deployment_id", fallback=None)),
                dag_id=self._ti.dag_id,
                run_id=self._ti.run_id,
                task_id=self._ti.task_id,
                map_index=self._ti.map_index,
                max_tries=self._ti.max_tries,
                retries=operator.retries or 0,
            ),
            ledger=self._ledger,
            evidence=evidence,
            settings=client.settings,
            conn_id=operator.azureml_conn_id,
            subject=json.dumps([*subject, operator.endpoint_version]),
            resolve=lambda: self._resolve(request),
            request=request,
            parent_run_id=operator.parent_run_id,
            cancel_older=operator.cancel_on_kill,
            grace=lookup_grace(),
            throttled_budget=retry_policy().throttled_budget,
            log=self._log,
        )
        if self._killed and operator.cancel_on_kill:
            self._submission.stop()
        return client.run(self._submission.obtain())

    def _resolve(self, request: RunRequest) -> Flow[Target]:
        """Find what is to be run, and make sure that it takes the request."""
        operator = self._operator
        version = operator.endpoint_version
        target = yield from find_target(
            pipeline_id=operator.pipeline_id,
            pipeline_name=operator.pipeline_name,
            endpoint_id=operator.endpoint_id,
            endpoint_name=operator.endpoint_name,
            endpoint_version=None if version is None else str(version),
        )
        if not operator.validate:
            return target
        target, pipeline, interface = yield from inspect_target(target, _INTERFACES)
        request.check(interface, f"published pipeline {pipeline.name!r} ({pipeline.id})")
        return target

    def _announce(self, client: Client, run_id: str) -> None:
        """Show the run as soon as it exists."""
        url = client.settings.run_url(run_id)
        self._ti.xcom_push(key=RUN_ID_XCOM, value=run_id)
        self._ti.xcom_push(key=self._operator.operator_extra_links[0].xcom_key, value=url)
        self._log.info("Run %s: %s", run_id, url)

    def _learn(self, client: Client, evidence: Evidence) -> None:
        """Find out, once for a workspace, how runs can be found by their key."""
        assert self._submission is not None
        record = self._submission.record
        assert record is not None
        if not self._submission.submitted or not evidence.due:
            return
        try:
            with Client(client.settings, policy=_BRIEF) as brief:
                brief.run(evidence.gather(record.key, record.experiment, record.pipeline_id, patience=lookup_grace()))
        except Exception as error:  # noqa: BLE001 - the run goes on whatever cannot be learnt
            self._log.warning("Could not learn how runs are found by their key: %s", error)

    def _wait(self, client: Client, run_id: str, poll_interval: float) -> PipelineRun:
        with self._watching(run_id):
            return client.run(
                wait_for_run(
                    run_id,
                    self._operator.experiment_name,
                    poll_interval=poll_interval,
                    deadline=self._deadline(),
                    # As text: on Airflow 2 the masker of secrets makes plain tuples of named ones.
                    report=lambda progress: self._log.info("Run %s: %s", run_id, str(progress)),
                )
            )

    def _defer(self, run_id: str, poll_interval: float, ahead: float = 0.0) -> NoReturn:
        """Wait in the triggerer, whose clock is known to be ahead by some seconds."""
        deadline = self._deadline()
        self._operator.defer(
            trigger=AzureMLPipelineRunTrigger(
                run_id=run_id,
                experiment_name=self._operator.experiment_name,
                poll_interval=poll_interval,
                deadline=None if deadline is None else deadline + ahead,
                azureml_conn_id=self._operator.azureml_conn_id,
                cancel_on_kill=self._operator.cancel_on_kill,
            ),
            method_name="execute_complete",
            timeout=None if deadline is None else backstop(deadline),
        )
        raise AssertionError  # defer() never returns

    def _conclude(self, client: Client, run: PipelineRun) -> str:
        """Turn what a run ended as into the task's own end."""
        if not run.state.is_final:
            self._end_at_deadline(client, run)
        self._close(run.id)
        link = client.settings.run_url(run.id)
        if run.state is RunState.FINISHED:
            self._log.info("Run %s ended successfully.", run.id)
            return run.id
        if run.state is RunState.FAILED:
            reason = client.run(explain_failure(run))
            raise RunFailed(f"Run {run.id} failed. {reason}", run_id=run.id, link=link)
        mark = self._cancel_mark(client, run)
        if mark is not None:
            raise RunFailed(f"Run {run.id} was cancelled from Airflow: {mark}.", run_id=run.id, link=link)
        raise RunCanceled(
            f"Run {run.id} was cancelled in the workspace, not by this task. No retry submits it again; clear the task "
            "to run it anew.",
            run_id=run.id,
            link=link,
        )

    def _cancel_mark(self, client: Client, run: PipelineRun) -> str | None:
        try:
            experiment = run.experiment_name or self._operator.experiment_name
            return client.call(calls.get_history_run(experiment, run.id)).tags.get(CANCEL_MARK)
        except AzureMLError:
            return None

    def _end_at_deadline(self, client: Client, run: PipelineRun) -> NoReturn:
        link = client.settings.run_url(run.id)
        self._leave_run = self._operator.on_timeout == "leave"
        if self._leave_run:
            raise RunTimedOut(
                f"Run {run.id} was {run.status} when execution_timeout passed. It goes on (on_timeout='leave'); a "
                "retry takes it up again.",
                run_id=run.id,
                link=link,
            )
        ended = self._cancel(client, run.id, "execution_timeout passed", patience=60.0)
        raise RunTimedOut(
            f"Run {run.id} was {run.status} when execution_timeout passed; it was cancelled and is {ended.status}.",
            run_id=run.id,
            link=link,
        )

    def _cancel(self, client: Client, run_id: str, reason: str, *, patience: float) -> PipelineRun:
        return client.run(
            cancel_run(run_id, self._operator.experiment_name, reason=reason, patience=patience, note=self._log.warning)
        )

    def _close(self, run_id: str) -> None:
        """Note that the task ends with this run: the last thing before it does."""
        record = self._ledger.load() if self._ledger is not None else None
        if self._ledger is not None and record is not None and record.run_id == run_id:
            self._ledger.close(record)

    def _unwatched(self, run_id: str, why: object) -> RunUnwatched:
        return RunUnwatched(
            f"Run {run_id} could not be watched: {why} It goes on; a retry takes it up again.", run_id=run_id
        )

    @contextmanager
    def _watching(self, run_id: str) -> Iterator[None]:
        """A run that cannot be read is no failed run, whatever the reason, and no reason to give up retries."""
        try:
            yield
        except AzureMLError as error:
            raise self._unwatched(run_id, error) from error

    @contextmanager
    def _timeout_noticed(self) -> Iterator[None]:
        """Airflow raises its timeout wherever the worker is, then calls ``on_kill``: that must know what was wanted."""
        try:
            yield
        except AirflowTaskTimeout:
            self._timed_out = True
            self._leave_run = self._operator.on_timeout == "leave"
            raise
