"""One try of the run operator. It loads on the worker, never with a DAG file."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowTaskTimeout
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from aml_provider.client import calls
from aml_provider.client.arguments import ON_TIMEOUT, TARGET, as_choice, as_name, as_version, given_once
from aml_provider.client.entities import RunState
from aml_provider.client.errors import (
    AzureMLError,
    ForeignRun,
    RunCanceled,
    RunFailed,
    RunTimedOut,
)
from aml_provider.client.flows.failures import explain_failure
from aml_provider.client.flows.finding import check_datastores
from aml_provider.client.flows.runs import CANCEL_MARK, cancel_run
from aml_provider.client.flows.targets import INTERFACES, find_target, inspect_target
from aml_provider.client.http.clients import Client
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.client.specs.run import RunRequest
from aml_provider.connection import airflow_errors
from aml_provider.deadlines import backstop, clock_ahead, was_late
from aml_provider.durable.evidence import Evidence
from aml_provider.durable.identity import Deployment, TaskIdentity
from aml_provider.durable.lookup import search
from aml_provider.durable.submission import Submission
from aml_provider.durations import in_seconds
from aml_provider.hooks.azure_ml import AzureMLHook, retry_policy
from aml_provider.hooks.workspace import lookup_grace
from aml_provider.masking import mask
from aml_provider.state.deployment import this_deployment
from aml_provider.state.task_records import open_ledger
from aml_provider.triggerer.failover import RUN_ID_XCOM
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger
from aml_provider.worker.interruption import Interruption
from aml_provider.worker.run_wait import RunWait, unwatched
from aml_provider.worker.tasks_test import is_test, refuse_active

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.providers.common.compat.sdk import Context

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.client.specs.target import Target
    from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

# By graph id: a published graph never changes, so a worker process reads each interface once.
# By workspace: datastores that a worker process has found, so that each is asked for once.
_DATASTORES: dict[str, set[str]] = {}

# Seconds for finding the run of a submission under way, and for its end, when the task has been ended.
_KILL_PATIENCE = 15.0
# And for all of it on Airflow 2, which kills a task that does not end within killed_task_cleanup_time, 60 by default.
_KILL_TIMEOUT = 45.0
# Seconds for Airflow to say whether the task has been ended; Airflow 3 kills one after 5.
_ANSWER_TIMEOUT = 10.0
_KILLED = "the task was ended in Airflow"
# Where the run matters more than the answer: in on_kill, and in learning about the workspace.
_BRIEF = RetryPolicy(budget=3.0)


class PipelineExecution:
    """What one try does: come to the run, wait for it, turn its end into the task's.

    Args:
        operator: The operator, rendered.
        context: Airflow's context.
    """

    def __init__(self, operator: AzureMLRunPipelineOperator, context: Context) -> None:
        self._operator = operator
        self._ti: Any = context["ti"]
        self._log = operator.log
        self._hook = AzureMLHook(operator.azureml_conn_id)
        self._wait = RunWait(self._ti, operator.execution_timeout, operator.experiment_name, operator.log)
        self._ledger = open_ledger(context) if operator.durable else None
        self._submission: Submission | None = None
        self._settings: WorkspaceSettings | None = None
        self._deployment: Deployment | None = None
        self._run_id: str | None = None
        self._version: str | None = None
        self._interruptions: list[Interruption] = []
        self._timed_out = False
        self._leave_run = False

    def start(self) -> str:
        """Come to the run and wait for it; returns its id."""
        operator = self._operator
        if self._ledger is not None and is_test(self._ti):
            with self._client() as client:
                client.run(refuse_active(self._ledger.load()))
        with airflow_errors():
            request = self._request()
            poll_interval = self._poll_interval()
        with self._interruptible(), self._client() as client:
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
                return self._conclude(client, self._wait.until_end(client, run_id, poll_interval))
            self._heed_kill(client, run_id)
            if self._submission is not None and not self._submission.submitted:
                # A run that was taken over may have ended long ago: then there is nothing to wait for.
                run = self._wait.read(client, run_id)
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
            raise unwatched(run_id, event.get("message"))
        with self._interruptible(), self._client() as client:
            run = self._wait.read(client, run_id)
            # Somebody may have taken execution_timeout out of the DAG meanwhile.
            has_time = self._wait.has_time or self._wait.deadline is None
            if run.state.is_final or (event["outcome"] == "deadline" and (was_late(event) or not has_time)):
                return self._conclude(client, run)
            self._heed_kill(client, run_id)
        if event["outcome"] == "deadline":
            self._wait.warn_of_clocks("triggerer")
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
        with self._interruptible(), self._client() as client:
            run = self._wait.read(client, run_id)
            if run.state.is_final:
                return None
            if self._wait.has_time:
                self._wait.warn_of_clocks("scheduler")
                # Here: another deferral would end as soon as this one did, by the same clock.
                return self._conclude(client, self._wait.until_end(client, run_id, self._poll_interval()))
            return self._end_at_deadline(client, run)

    def kill(self) -> None:
        """Airflow interrupts the try: end its run if ``execution_timeout`` passed, or if a person has ended the task.

        It is called in a signal handler, wherever the task is: perhaps in the middle of a request to the service or to
        Airflow. So what it does has a thread and an HTTP client of its own, and it raises nothing. Airflow 3 lets the
        task go on afterwards; Airflow 2 ends it.
        """
        if not self._operator.cancel_on_kill or self._leave_run:
            return
        if self._submission is not None:
            self._submission.stop()
        if self._timed_out:
            self._end_run("execution_timeout passed")
            return
        interruption = Interruption(
            self._ti,
            durable=self._operator.durable,
            fails_fast=getattr(self._operator.get_dag(), "fail_fast", False),
            end_run=lambda: self._end_run(_KILLED),
            log=self._log,
        )
        self._interruptions.append(interruption)
        if not AIRFLOW_V_3_0_PLUS:
            interruption.wait(_KILL_TIMEOUT)

    def _end_run(self, reason: str) -> None:
        """Cancel the run, or the one of a submission that is under way; raises nothing."""
        record = self._submission.record if self._submission is not None else None
        run_id = self._run_id or (record.run_id if record is not None else None)
        if self._settings is None or (run_id is None and record is None):
            return
        try:
            with Client(self._settings, policy=_BRIEF, hide=mask) as client:
                if run_id is None and record is not None and record.sent and self._ledger is not None:
                    looking = search(record.key, record.experiment, record.pipeline_id, patience=_KILL_PATIENCE)
                    result = client.run(looking)
                    run_id = result.run_ids[0] if result.run_ids else None
                if run_id is None:
                    return
                self._log.info("Cancelling run %s: %s.", run_id, reason)
                run = self._cancel(client, run_id, reason, patience=_KILL_PATIENCE)
            self._log.info("Run %s is %s.", run_id, run.status)
        except ForeignRun as error:
            self._log.warning("%s", error)
        except Exception as error:  # noqa: BLE001 - nobody hears what is raised in a thread; in a handler it would go off anywhere
            self._log.warning("Run %s could not be cancelled; cancel it in the studio. %s", run_id, error)

    def _heed_kill(self, client: Client, run_id: str) -> None:
        """Cancel a run that came to be while a person ended the task: nobody would watch it."""
        if any(interruption.ends_the_task(_ANSWER_TIMEOUT) for interruption in self._interruptions):
            self._cancel(client, run_id, _KILLED, patience=0.0)
            raise RunFailed(f"Run {run_id} was cancelled from Airflow: {_KILLED}.", run_id=run_id)

    def _known_run(self) -> str | None:
        """The run that this task deferred for."""
        run_id = self._ti.xcom_pull(key=RUN_ID_XCOM, task_ids=self._ti.task_id, map_indexes=self._ti.map_index)
        return run_id if isinstance(run_id, str) else None

    @contextmanager
    def _client(self) -> Iterator[Client]:
        with self._hook.client() as client:
            self._deployment = this_deployment()
            self._settings = client.settings
            yield client

    def _request(self) -> RunRequest:
        """The operator's rendered arguments, checked."""
        operator = self._operator
        as_choice("on_timeout", operator.on_timeout, ON_TIMEOUT)
        given_once(operator, TARGET)
        version = operator.endpoint_version
        if version is not None:
            self._version = as_version("endpoint_version", version)
        if operator.parent_run_id is not None:
            as_name("parent_run_id", operator.parent_run_id)
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

    def _obtain_run(self, client: Client, request: RunRequest, evidence: Evidence | None) -> str:
        operator = self._operator
        assert self._deployment is not None
        subject = [operator.pipeline_id, operator.pipeline_name, operator.endpoint_id, operator.endpoint_name]
        self._submission = Submission(
            identity=TaskIdentity(
                deployment=self._deployment.name,
                dag_id=self._ti.dag_id,
                run_id=self._ti.run_id,
                task_id=self._ti.task_id,
                map_index=self._ti.map_index,
                max_tries=self._ti.max_tries,
                retries=operator.retries or 0,
                url=self._deployment.url,
            ),
            ledger=self._ledger,
            evidence=evidence,
            settings=client.settings,
            conn_id=operator.azureml_conn_id,
            subject=json.dumps([*subject, self._version]),
            resolve=lambda: self._resolve(request),
            request=request,
            parent_run_id=operator.parent_run_id,
            cancel_older=operator.cancel_on_kill,
            grace=lookup_grace(),
            throttled_budget=retry_policy().throttled_budget,
            log=self._log,
        )
        if self._interruptions:
            self._submission.stop()
        return client.run(self._submission.obtain())

    def _resolve(self, request: RunRequest) -> Flow[Target]:
        """Find what is to be run, and make sure that it takes the request."""
        operator = self._operator
        target = yield from find_target(
            pipeline_id=operator.pipeline_id,
            pipeline_name=operator.pipeline_name,
            endpoint_id=operator.endpoint_id,
            endpoint_name=operator.endpoint_name,
            endpoint_version=self._version,
        )
        if not operator.validate:
            return target
        target, pipeline, interface = yield from inspect_target(target, INTERFACES)
        request.check(interface, f"published pipeline {pipeline.name!r} ({pipeline.id})")
        assert self._settings is not None
        workspace = f"{self._settings.api_url}{self._settings.scope_path}"
        yield from check_datastores(request.datastores(), _DATASTORES.setdefault(workspace, set()))
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
            with Client(client.settings, policy=_BRIEF, hide=mask) as brief:
                brief.run(evidence.gather(record.key, record.experiment, record.pipeline_id, patience=lookup_grace()))
        except Exception as error:  # noqa: BLE001 - the run goes on whatever cannot be learnt
            self._log.warning("Could not learn how runs are found by their key: %s", error)

    def _defer(self, run_id: str, poll_interval: float, ahead: float = 0.0) -> NoReturn:
        """Wait in the triggerer, whose clock is known to be ahead by some seconds."""
        deadline = self._wait.deadline
        self._operator.defer(
            trigger=AzureMLPipelineRunTrigger(
                run_id=run_id,
                experiment_name=self._operator.experiment_name,
                poll_interval=poll_interval,
                deadline=None if deadline is None else deadline + ahead,
                azureml_conn_id=self._operator.azureml_conn_id,
                cancel_on_kill=self._operator.cancel_on_kill,
                durable=self._operator.durable,
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
        try:
            ended = self._cancel(client, run.id, "execution_timeout passed", patience=60.0)
        except ForeignRun:
            raise
        except AzureMLError as error:
            raise RunTimedOut(
                f"Run {run.id} was {run.status} when execution_timeout passed, and could not be cancelled: {error} It "
                "goes on; a retry takes it up again.",
                run_id=run.id,
                link=link,
            ) from error
        raise RunTimedOut(
            f"Run {run.id} was {run.status} when execution_timeout passed; it was cancelled and is {ended.status}.",
            run_id=run.id,
            link=link,
        )

    def _cancel(self, client: Client, run_id: str, reason: str, *, patience: float) -> PipelineRun:
        assert self._deployment is not None
        return client.run(
            cancel_run(
                run_id,
                self._operator.experiment_name,
                reason=reason,
                patience=patience,
                note=self._log.warning,
                check=self._deployment.check,
            )
        )

    def _close(self, run_id: str) -> None:
        """Note that the task ends with this run: the last thing before it does."""
        record = self._ledger.load() if self._ledger is not None else None
        if self._ledger is not None and record is not None and record.run_id == run_id:
            self._ledger.close(record)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Airflow may interrupt what is done here, wherever it is.

        It raises its timeout and then calls ``on_kill``, which must know what was wanted. And it leaves the process as
        soon as the task is done, whatever an interruption has still to do.
        """
        try:
            yield
        except AirflowTaskTimeout:
            self._timed_out = True
            self._leave_run = self._operator.on_timeout == "leave"
            raise
        finally:
            for interruption in self._interruptions:
                interruption.wait(_KILL_TIMEOUT)
