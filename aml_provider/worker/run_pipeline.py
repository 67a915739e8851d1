"""One try of the run operator. It is loaded on the worker, never with a DAG file."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from aml_provider import metrics
from aml_provider.client.errors import ForeignRun, RunError, RunFailed
from aml_provider.client.flows.cancel_run import CancelReason
from aml_provider.client.flows.run_end import conclude, end_at_deadline
from aml_provider.client.flows.targets import find_target_for, known_of
from aml_provider.client.help import text_of
from aml_provider.client.http.clients import Client
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AirflowTaskTimeout, is_tasks_test
from aml_provider.connection import airflow_errors
from aml_provider.deadlines import clock_ahead, trigger_deadline
from aml_provider.durable.evidence import Evidence
from aml_provider.durable.identity import TaskIdentity
from aml_provider.durable.order import RunOrder
from aml_provider.durable.submission import Submission
from aml_provider.hooks.azure_ml import AzureMLHook, retry_policy
from aml_provider.hooks.workspace import lookup_timeout
from aml_provider.links import AzureMLPipelineRunLink
from aml_provider.masking import mask
from aml_provider.state import variables
from aml_provider.state.deployment import this_deployment
from aml_provider.state.task_end import RUN_ID_XCOM
from aml_provider.state.task_records import open_submission_store
from aml_provider.worker.interruption import Interruption
from aml_provider.worker.run_facts import RunFacts
from aml_provider.worker.run_wait import RunWait, unwatched
from aml_provider.worker.tasks_test import refuse_active

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.flows.targets import Known
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.client.specs.run import RunRequest
    from aml_provider.client.specs.target import PipelineReference, Target
    from aml_provider.compat import Context
    from aml_provider.durable.log import Log
    from aml_provider.worker.run_arguments import RunArguments
    from aml_provider.worker.wait import Wait

# Seconds for finding the run of a submission under way, and for its end, when the task has been ended.
_CANCEL_TIMEOUT = 15.0
# Seconds for all of that on Airflow 2, which kills a task that does not end within killed_task_cleanup_time, 60 by
# default.
_KILL_TIMEOUT = 45.0
# Seconds for Airflow to say whether the task has been ended; Airflow 3 kills a process after 5.
_ANSWER_TIMEOUT = 10.0
# For requests that must not take long: in on_kill, and for learning about the workspace.
_BRIEF = RetryPolicy(budget=3.0)


class RunTry:
    """One try, with rendered arguments: obtain the run, wait for its end, turn that into the task's end.

    Attributes:
        facts: What it has learnt about the run.
    """

    def __init__(self, arguments: RunArguments, context: Context, log: Log, *, fails_fast: bool) -> None:
        self._arguments = arguments
        self._ti: Any = context["ti"]
        self._log = log
        self._fails_fast = fails_fast
        self._hook = AzureMLHook(arguments.azureml_conn_id)
        self._wait = RunWait(self._ti, arguments, log)
        self._store = open_submission_store(context) if arguments.durable else None
        self._metrics = metrics.TaskMetrics(arguments.azureml_conn_id, self._ti.dag_id, self._ti.task_id)
        self._submission: Submission | None = None
        self._interruptions: list[Interruption] = []
        self._timed_out = False
        self._leave_run = False
        self.facts = RunFacts()

    def start(self) -> str | Wait:
        """Obtain the run and wait for it.

        Returns:
            The run's id, or the wait for which the task has to defer.
        """
        arguments = self._arguments
        if self._store is not None and is_tasks_test(self._ti):
            refuse_active(self._store.load, self._hook.client)
        with airflow_errors(arguments.azureml_conn_id):
            reference, request = arguments.check()
        with self._workspace() as (client, submission):
            known = known_of(client.settings.identity, client.settings.arm_id)
            find = partial(self._find_target, request, reference, known)
            try:
                run_id = client.run(submission.obtain(RunOrder(reference, request, find, arguments.parent_run_id)))
            finally:
                self.facts.data = submission.data
            self._metrics.obtained(submitted=submission.submitted)
            self.facts.run_id, self.facts.taken_over = run_id, not submission.submitted
            self._cancel_if_ended(client, submission, run_id)
            self._announce(client, run_id, reference)
            self._learn(client, submission)
            if not arguments.wait_for_completion:
                submission.finish()
                return run_id
            if not arguments.deferrable:
                return self._conclude(client, submission, self._wait.until_end(client, run_id))
            self._cancel_if_ended(client, submission, run_id)
            if not submission.submitted:
                # A run that was taken over may have ended long ago: then there is nothing to wait for.
                run = self._wait.read(client, run_id)
                if run.state.is_final:
                    return self._conclude(client, submission, run)
        return self._wait.in_triggerer(run_id)

    def resume(self, event: Mapping[str, Any] | None) -> str | Wait:
        """Continue the wait where the trigger left it.

        Returns:
            The run's id, or the wait for which the task has to defer again.
        """
        if not event or "run_id" not in event or event.get("outcome") not in {"ended", "deadline", "unwatched"}:
            raise ValueError(f"Not an event of AzureMLPipelineRunTrigger: {event!r}")
        run_id = str(event["run_id"])
        known = self._known_run()
        if known not in {None, run_id}:
            # SQLite gives a new trigger the number of a deleted one, and Airflow then delivers that one's late event.
            self._log.warning(
                "The trigger's event is about run %s, but this task waits for run %s. The task continues to wait.",
                run_id,
                known,
            )
            return self._wait.in_triggerer(known)
        if event["outcome"] == "unwatched":
            with airflow_errors(self._arguments.azureml_conn_id):
                raise unwatched(run_id, event.get("message"), event.get("retry_after"))
        with self._workspace(run_id) as (client, submission):
            run = self._wait.read(client, run_id)
            if run.state.is_final or (event["outcome"] == "deadline" and self._is_late(event, run, client)):
                return self._conclude(client, submission, run)
            self._cancel_if_ended(client, submission, run_id)
        if event["outcome"] == "deadline":
            self._wait.log_time_left("triggerer", trigger_deadline(event))
        else:
            # The service has changed its mind about the run's end; unknown is not success.
            self._log.warning(
                "Run %s was reported as ended, and is now %s again. The task continues to wait.", run_id, run.status
            )
        return self._wait.in_triggerer(run_id, clock_ahead(event))

    def _is_late(self, event: Mapping[str, Any], run: PipelineRun, client: Client) -> bool:
        self._compare_clocks(run, client)
        return self._wait.is_late(event)

    def _compare_clocks(self, run: PipelineRun, client: Client) -> None:
        if self._store is None or self._wait.deadline is None:
            return
        try:
            record = self._store.load()
        except Exception as error:  # noqa: BLE001 - the run has to end at its deadline all the same
            self._log.warning("The submission record cannot be read, so clocks are not compared. %s", error)
            return
        if record is not None and record.run_id == run.id:
            self._wait.compare_clocks(record.submitted_at, run.created, client.last_date)

    def end_abandoned_wait(self) -> str | None:
        """Handle the run as ``on_timeout`` says, after Airflow has ended the wait.

        Returns:
            The run's id if there was time left and the run ended successfully; None if Airflow should fail the task.
        """
        run_id = self._known_run()
        if run_id is None:
            return None
        with self._workspace(run_id) as (client, submission):
            run = self._wait.read(client, run_id)
            self._compare_clocks(run, client)
            if run.state.is_final:
                return self._conclude(client, submission, run) if self._wait.has_time else None
            if self._wait.has_time:
                self._wait.log_time_left("scheduler")
                # On this worker: another deferral would end as soon as this one did, by the same clock.
                run = self._wait.until_end(client, run_id)
            return self._conclude(client, submission, run)

    def kill(self) -> None:
        """Handle an interruption: end the run if ``execution_timeout`` has passed, or if a person has ended the task.

        Airflow calls this in a signal handler, at any point of the try, perhaps in the middle of a request to the
        service or to Airflow. So this method uses a thread and an HTTP client of its own, and raises nothing. Airflow 3
        lets the task continue afterwards; Airflow 2 ends it.
        """
        if self._leave_run or not (self._arguments.cancel_on_kill or self._timed_out):
            return
        if self._submission is not None:
            self._submission.stop()
        if self._timed_out:
            self._end_run(CancelReason.TIMED_OUT)
            return
        interruption = Interruption(
            self._ti,
            durable=self._arguments.durable,
            fails_fast=self._fails_fast,
            end_run=partial(self._end_run, CancelReason.KILLED),
            log=self._log,
        )
        self._interruptions.append(interruption)
        if not AIRFLOW_V_3_0_PLUS:
            interruption.wait(_KILL_TIMEOUT)

    def _end_run(self, reason: CancelReason) -> None:
        """Cancel this try's run, or the run of a submission that is under way; raises nothing."""
        submission = self._submission
        if submission is None or not submission.may_have_run:
            return
        run_id = submission.run_id
        try:
            with self._brief_client(submission.settings) as client:
                run_id = client.run(submission.find(_CANCEL_TIMEOUT))
                if run_id is None:
                    return
                self._log.info("Cancelling run %s: %s.", run_id, reason)
                run = client.run(submission.cancel(run_id, self._arguments.experiment_name, reason, _CANCEL_TIMEOUT))
            self._log.info("Run %s is %s.", run_id, run.status)
        except ForeignRun as error:
            self._log.warning("%s", error)
        except Exception as error:  # noqa: BLE001 - in a thread nobody would see it, in a handler it could interrupt anything
            self._log.warning("Run %s could not be cancelled; cancel it in the studio. %s", run_id, error)

    def _cancel_if_ended(self, client: Client, submission: Submission, run_id: str) -> None:
        """Cancel a run that was submitted while a person ended the task: nothing would wait for it."""
        if any(interruption.ends_the_task(_ANSWER_TIMEOUT) for interruption in self._interruptions):
            reason = CancelReason.KILLED
            client.run(submission.cancel(run_id, self._arguments.experiment_name, reason, timeout=0.0))
            raise RunFailed(f"Run {run_id} was cancelled from Airflow: {reason}.", run_id=run_id)

    def _known_run(self) -> str | None:
        """The run for which this task has deferred."""
        run_id = self._ti.xcom_pull(key=RUN_ID_XCOM, task_ids=self._ti.task_id, map_indexes=self._ti.map_index)
        return run_id if isinstance(run_id, str) else None

    @contextmanager
    def _workspace(self, run_id: str | None = None) -> Iterator[tuple[Client, Submission]]:
        """Open a client and the submission of this try. Airflow may interrupt the ``with`` block at any point.

        At the task's timeout, Airflow raises an error in the block and then calls ``on_kill``, which must know what
        ``on_timeout`` says. Airflow ends the process as soon as the task is done, so this waits for interruptions that
        are still being handled.

        Args:
            run_id: The run for which this try has deferred; None: it has just begun.
        """
        try:
            with self._hook.client() as client:
                self._submission = submission = self._new_submission(client.settings, has_begun=run_id is not None)
                self.facts.settings = client.settings
                if run_id is not None:
                    submission.resume(run_id)
                    self.facts.run_id = run_id
                if self._interruptions:
                    submission.stop()
                try:
                    yield client, submission
                except RunError as error:
                    self.facts.note_failure(error)
                    raise
        except AirflowTaskTimeout:
            self._timed_out = True
            self._leave_run = self._arguments.on_timeout == "leave"
            raise
        finally:
            for interruption in self._interruptions:
                interruption.wait(_KILL_TIMEOUT)

    def _brief_client(self, settings: WorkspaceSettings) -> Client:
        observe = metrics.exchanges(self._arguments.azureml_conn_id)
        return Client(settings, policy=_BRIEF, hide=mask, observe=observe)

    def _new_submission(self, settings: WorkspaceSettings, *, has_begun: bool) -> Submission:
        ti, arguments, deployment = self._ti, self._arguments, this_deployment()
        learns = self._store is not None and not has_begun
        return Submission(
            identity=TaskIdentity(
                deployment=deployment.name,
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                task_id=ti.task_id,
                map_index=ti.map_index,
                max_tries=ti.max_tries,
                retries=arguments.retries or 0,
                url=deployment.url,
                try_number=ti.try_number,
            ),
            store=self._store,
            evidence=Evidence(settings, variables.read, variables.write) if learns else None,
            settings=settings,
            conn_id=arguments.azureml_conn_id,
            cancel_older=arguments.cancel_on_kill,
            lookup_timeout=lookup_timeout(),
            policy=retry_policy(),
            log=self._log,
            observer=self._metrics,
        )

    def _find_target(self, request: RunRequest, reference: PipelineReference, known: Known) -> Flow[Target]:
        target = yield from find_target_for(request, reference, known, validate=self._arguments.validate)
        self.facts.target = target
        return target

    def _announce(self, client: Client, run_id: str, reference: PipelineReference) -> None:
        """Show the run as soon as it exists."""
        url = client.settings.run_url(run_id)
        self._ti.xcom_push(key=RUN_ID_XCOM, value=run_id)
        self._ti.xcom_push(key=AzureMLPipelineRunLink().xcom_key, value=url)
        waits = self._arguments.wait_for_completion
        self._log.info(
            "%s run %s of %s, experiment %r. %s See %s",
            "Waiting for" if waits else "Obtained",
            run_id,
            reference.describe(),
            self._arguments.experiment_name,
            self._wait.plan if waits else "This task does not wait for its end.",
            url,
        )

    def _learn(self, client: Client, submission: Submission) -> None:
        try:
            if not submission.must_learn:
                return
            with self._brief_client(client.settings) as brief:
                brief.run(submission.learn())
        except Exception as error:  # noqa: BLE001 - the run continues, whatever cannot be learnt
            self._log.warning("Could not learn how runs are found by their key: %s", text_of(error))

    def _conclude(self, client: Client, submission: Submission, run: PipelineRun) -> str:
        """Turn the end of the run, or the end of the time allowed for the run, into the task's end."""
        self.facts.run = run
        link, experiment = client.settings.run_url(run.id), self._arguments.experiment_name
        if not run.state.is_final:
            self._leave_run = self._arguments.on_timeout == "leave"
            cancel = None if self._leave_run else submission.cancel(run.id, experiment, CancelReason.TIMED_OUT)
            client.run(end_at_deadline(run, link, cancel))
        submission.finish(run.state)
        if self.facts.taken_over is None:
            self.facts.taken_over = submission.taken_over
        self.facts.data = submission.data
        run_id = client.run(conclude(run, experiment, link, own=True))
        self._log.info("Run %s ended successfully.", run_id)
        return run_id
