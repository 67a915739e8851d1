"""Exactly one run for each task instance and generation.

The service has no idempotency key and never lets a client choose a run's id. So each submission carries a key, the
submission record is stored before it is sent, and whenever its fate is in doubt the key is looked up instead of sending
it again. ``docs/reliability-protocol.md`` describes the whole protocol.
"""

from __future__ import annotations

import random
import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client import calls
from aml_provider.client.entities import RunState
from aml_provider.client.errors import AzureMLError, ForeignRun, NotFound, RunCanceled, RunStillActive, Throttled
from aml_provider.client.flows.cancel_run import cancel_run
from aml_provider.client.http.messages import Pause
from aml_provider.durable.identity import Deployment
from aml_provider.durable.lookup import KEY
from aml_provider.durable.lost_submission import RunFinder
from aml_provider.durable.record import SubmissionRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.client.specs.run import RunRequest
    from aml_provider.client.specs.target import PipelineReference, Target
    from aml_provider.durable.evidence import Evidence
    from aml_provider.durable.identity import TaskIdentity
    from aml_provider.durable.log import Log
    from aml_provider.durable.record import SubmissionStore

# Seconds between two submissions to a service that is too busy and does not say when to try again.
_THROTTLED_PAUSE = 15.0


class RunOrder(NamedTuple):
    """The run that one try of a task asks for.

    Args:
        reference: The pipeline, as the author named it; a retry that names another one asks for something else.
        find_target: Finds the pipeline, and makes sure that it accepts the request, just before a submission. A run
            that exists already is taken over without it: its pipeline may have been renamed or disabled since.
    """

    reference: PipelineReference
    request: RunRequest
    find_target: Callable[[], Flow[Target]]
    parent_run_id: str | None = None

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that differ if two tries ask for different runs."""
        return self.request.fingerprint(f"{self.reference.to_text()}/{self.parent_run_id}")


class Submission:
    """The submission of one task instance: sends it, takes over the run of an earlier try, keeps the record of both.

    Args:
        identity: The task instance.
        store: Keeps the submission record through crashes. None if the task is not durable: then nothing is looked up
            or taken over, and each try submits.
        evidence: Decides what "not found" proves; only :meth:`obtain` of a durable task needs it.
        cancel_older: Whether a run that an older generation left active is cancelled.
        lookup_timeout: Seconds for which a key is looked up before its run counts as absent.
        throttled_budget: Seconds for which a submission is repeated that the service was too busy to accept.
        monotonic: The clock for waiting.
    """

    def __init__(
        self,
        *,
        identity: TaskIdentity,
        store: SubmissionStore | None,
        evidence: Evidence | None,
        settings: WorkspaceSettings,
        conn_id: str,
        cancel_older: bool,
        lookup_timeout: float,
        throttled_budget: float,
        log: Log,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identity = identity
        self._deployment = Deployment(identity.deployment, identity.url)
        self._store = store
        self._evidence = evidence
        self.settings = settings
        self._conn_id = conn_id
        self._cancel_older = cancel_older
        self._lookup_timeout = lookup_timeout
        self._throttled_budget = throttled_budget
        self._log = log
        self._now = now
        self._finder = RunFinder(evidence, settings, lookup_timeout, log, now, monotonic, store)
        self._stopped = False
        self._record: SubmissionRecord | None = None
        #: The run of this try; None before the submission, and while that is under way or in doubt.
        self.run_id: str | None = None
        #: Whether this try has sent a submission, rather than taken over a run.
        self.submitted = False

    def stop(self) -> None:
        """Submit nothing from now on: the task is being killed, which does not end it immediately on Airflow 3."""
        self._stopped = True

    def resume(self, run_id: str) -> None:
        """Take up the run for which an earlier part of this try has deferred."""
        self.run_id = run_id

    def obtain(self, order: RunOrder) -> Flow[str]:
        """Obtain the one run of this generation: take over the one that exists, else submit.

        Returns:
            The run's id.

        Raises:
            SubmissionUnknown: Whether a submission was carried out cannot be established.
            SubmissionUnsettled: The same, but a retry may be able to establish it.
            ForeignRun: An earlier try was another Airflow's, or a run that has to end first is.
            RunUnwatched: The run of an earlier try cannot be read at the moment.
            RunCanceled: Somebody cancelled the run of an earlier try in the workspace.
            RunStillActive: A run that has to end first has not ended in time.
            AzureMLError: The service refused, or could not be reached; there is no run.
        """
        record = self._store.load() if self._store is not None else None
        if record is None:
            return (yield from self._submit(order, uuid.uuid4().hex[:8], 0))
        if not self._identity.wrote(record):
            self._leave_alone(record)
            return (yield from self._submit(order, uuid.uuid4().hex[:8], 0))
        if self._identity.was_cleared_since(record):
            yield from self._leave_behind(record)
            return (yield from self._submit(order, uuid.uuid4().hex[:8], 0))
        self._hold(record)
        run = yield from self._finder.run_of_earlier_try(record)
        if run is None:
            return (yield from self._submit(order, record.generation, record.ordinal))
        if record.run_id is None:
            self._keep(record._replace(run_id=run.id))
        if (yield from self._make_room_or_take_over(order, record, run)):
            if not run.state.is_final:
                self._update_record()
            return run.id
        if not self._deployment.submitted(run):
            # Another Airflow may have submitted it: this database may be a copy of its, and the keys are the same.
            return (yield from self._submit(order, uuid.uuid4().hex[:8], 0))
        return (yield from self._submit(order, record.generation, record.ordinal + 1))

    @property
    def may_have_run(self) -> bool:
        """Whether this try has a run, or has a submission under way that may start one."""
        record = self._record
        return self.run_id is not None or (self._store is not None and record is not None and record.sent)

    def find(self, timeout: float) -> Flow[str | None]:
        """The run of this try; where its submission is under way, its key is looked up for ``timeout`` seconds."""
        record = self._record
        if self.run_id is not None or record is None or not self.may_have_run:
            return self.run_id
        return (yield from self._finder.find_id(record, timeout))

    def cancel(self, run_id: str, experiment: str, reason: str, timeout: float = 60.0) -> Flow[PipelineRun]:
        """Cancel a run of this task and wait for its end; see :func:`aml_provider.client.flows.cancel_run.cancel_run`.

        Raises:
            ForeignRun: The run is another Airflow's; it was not cancelled.
        """
        check = self._deployment.check
        return cancel_run(run_id, experiment, reason=reason, timeout=timeout, log=self._log.warning, check=check)

    @property
    def must_learn(self) -> bool:
        """Whether :meth:`learn` has something to do, which happens once for a workspace."""
        return self.submitted and self._evidence is not None and bool(self._evidence.due)

    def learn(self) -> Flow[None]:
        """Find out, with the run that this try has submitted, in which ways runs are found by their key.

        Raises:
            RuntimeError: The evidence cannot be read back.
        """
        record = self._record
        if self.must_learn and self._evidence is not None and record is not None:
            yield from self._evidence.gather(
                record.key, record.experiment, record.pipeline_id, timeout=self._lookup_timeout
            )

    def finish(self) -> None:
        """Store that the task ends with this run; the last step before it does."""
        record = self._store.load() if self._store is not None else None
        if self._store is not None and record is not None and record.run_id == self.run_id:
            self._store.close(record)

    def _submit(self, order: RunOrder, generation: str, ordinal: int) -> Flow[str]:
        target = yield from order.find_target()
        record = SubmissionRecord(
            generation=generation,
            max_tries=self._identity.max_tries,
            retries=self._identity.retries,
            ordinal=ordinal,
            key=self._identity.key(generation, ordinal),
            fingerprint=order.fingerprint(),
            experiment=order.request.experiment_name,
            pipeline_id=target.pipeline_id,
            submitted_at=self._now(),
            azureml_conn_id=self._conn_id,
            cancel_on_kill=self._cancel_older,
        )
        waited = 0.0
        while True:
            try:
                return (yield from self._send(order, target, record._replace(submitted_at=self._now())))
            except Throttled as error:
                # The service has refused it, so nothing was done and it may be sent again.
                asked = _THROTTLED_PAUSE if error.retry_after is None else max(1.0, error.retry_after)
                pause = asked * random.uniform(1.0, 1.2)  # noqa: S311 - spreads tasks, keeps no secret
                if waited + pause > self._throttled_budget:
                    raise
                self._log.warning(
                    "The service is too busy to accept the submission; next try in %.0f s. %s", pause, error
                )
            yield Pause(pause)
            waited += pause

    def _send(self, order: RunOrder, target: Target, record: SubmissionRecord) -> Flow[str]:
        # The record first: from here on a crash leaves doubt, and doubt leads to a look-up.
        self._keep(record)
        if self._stopped:
            self._keep(record._replace(sent=False))
            raise AzureMLError("The task is being killed; nothing was submitted.")
        self.submitted = True
        try:
            run: PipelineRun = yield self._call(order, target, record)
        except AzureMLError as error:
            if not error.in_doubt:
                self._keep(record._replace(sent=False))
                raise
            if self._store is None:
                raise
            self._log.warning("The submission's reply was lost; looking up its run. %s", error)
            found = yield from self._finder.run_in_doubt(record, cause=error)
            if found is None:
                self._keep(record._replace(sent=False))
                self._log.warning("The submission was not carried out; a retry is safe.")
                raise
            run = found
        self._keep(record._replace(run_id=run.id, pipeline_id=run.pipeline_id or record.pipeline_id))
        return run.id

    def _call(self, order: RunOrder, target: Target, record: SubmissionRecord) -> calls.Call[PipelineRun]:
        own_tags = {
            KEY: record.key,
            **self._deployment.tags(),
            "airflow.fingerprint": record.fingerprint,
            "airflow.dag_id": self._identity.dag_id,
            "airflow.run_id": self._identity.run_id,
            "airflow.task_id": self._identity.task_id,
            "airflow.map_index": str(self._identity.map_index),
        }
        body = order.request.to_wire(own_tags=own_tags, notification=target.kind == "pipeline")
        if target.kind == "pipeline":
            return calls.submit_pipeline(target.id, body, parent_run_id=order.parent_run_id)
        return calls.submit_endpoint(target.id, body, version=target.version, parent_run_id=order.parent_run_id)

    def _make_room_or_take_over(self, order: RunOrder, record: SubmissionRecord, run: PipelineRun) -> Flow[bool]:
        """Whether an earlier try's run becomes this try's; if not, it has ended when this returns."""
        if run.state is RunState.FINISHED:
            # Also if its request differs from this try's: a generation has one successful run.
            self._log.info("Run %s of an earlier try ended successfully; it is this task's result.", run.id)
            return True
        has_cancel_tag = run.state is not RunState.FAILED and (yield from self._finder.is_being_cancelled(record, run))
        if run.state is RunState.CANCELED and not has_cancel_tag:
            raise RunCanceled(
                f"Run {run.id}, which an earlier try submitted, was cancelled in the workspace, not by Airflow. No "
                "retry submits it again; clear the task to submit a new run.",
                run_id=run.id,
                link=self.settings.run_url(run.id),
            )
        if run.state.is_final:
            self._log.info("Run %s of an earlier try ended as %s; submitting a new one.", run.id, run.status)
            return False
        if not has_cancel_tag and record.fingerprint == order.fingerprint():
            self._log.info("Taking over run %s, which an earlier try submitted; it is %s.", run.id, run.status)
            return True
        if has_cancel_tag:
            self._log.info("Run %s of an earlier try is being cancelled; waiting for its end.", run.id)
        else:
            self._log.warning(
                "This try's request differs from that of run %s, which an earlier try submitted; cancelling it.", run.id
            )
        ended = yield from self._end(record, run.id, "the retry has another request")
        return ended.state is RunState.FINISHED

    def _end(self, record: SubmissionRecord, run_id: str, reason: str) -> Flow[PipelineRun]:
        ended = yield from self.cancel(run_id, record.experiment, reason)
        if not ended.state.is_final:
            raise RunStillActive(
                f"Run {run_id} was cancelled, but is still {ended.status}; no other run is submitted before it has "
                "ended. A retry checks again.",
                run_id=run_id,
                link=self.settings.run_url(run_id),
            )
        return ended

    def _leave_alone(self, record: SubmissionRecord) -> None:
        """Handle a record that came with a copy of another Airflow's database, or was stored under another name.

        A person who clears the task wants a run of this Airflow. Nobody asked for a retry: its run would be active
        next to the other Airflow's.

        Raises:
            ForeignRun: The task was not cleared.
        """
        if record.run_id is None and not record.sent:
            return
        what = f"Run {record.run_id}" if record.run_id is not None else f"The submission with the key {record.key}"
        whose = (
            f"{what} of an earlier try was not made under this Airflow's deployment_id, {self._identity.deployment!r}"
        )
        if self._identity.was_cleared_since(record):
            self._log.warning("%s, so it is not cancelled; this try submits a run of its own.", whose)
            return
        raise ForeignRun(
            f"{whose}, so it is not taken over, and no other run is submitted. Is this database a copy of "
            "another Airflow's, or was deployment_id changed? Clear this task to submit a run of this Airflow's own."
        )

    def _leave_behind(self, record: SubmissionRecord) -> Flow[None]:
        """The task was cleared: cancel the run that the older generation left active; it is never taken over."""
        if record.run_id is None and not record.sent:
            return
        if not self._cancel_older:
            self._log.info("The task was cleared; run %s is not cancelled (cancel_on_kill=False).", record.run_id)
            return
        # A person decided to proceed without the fate of that submission being known, so this needs no proof.
        run_id = yield from self._finder.find_id(record)
        if run_id is None:
            return
        try:
            run = yield from self._finder.read(calls.get_run(run_id), run_id)
        except NotFound:
            self._log.warning("The task was cleared; its earlier run %s is no longer in this workspace.", run_id)
            return
        if not run.state.is_final:
            self._log.info("The task was cleared; cancelling its earlier run %s.", run_id)
            yield from self._end(record, run_id, "the task was cleared")

    def _update_record(self) -> None:
        """Store this try's arguments in the record of a run that is taken over: somebody may have changed the DAG."""
        assert self._record is not None
        agreed = self._record._replace(azureml_conn_id=self._conn_id, cancel_on_kill=self._cancel_older)
        if agreed != self._record:
            self._keep(agreed)

    def _hold(self, record: SubmissionRecord) -> None:
        self._record = record
        self.run_id = record.run_id

    def _keep(self, record: SubmissionRecord) -> None:
        self._hold(record)
        if self._store is not None:
            self._store.save(record)
