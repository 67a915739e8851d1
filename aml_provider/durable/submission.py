"""Exactly one run for each task instance and generation.

The service has no idempotency key and never lets a client choose the id of a published pipeline's run. So each
submission carries a key, the submission record is stored before the request is sent, and whenever the outcome is in
doubt, the key is looked up instead of sending the request again. A job has an id of our choice: in doubt, that id is
read, and the job may be submitted again. ``docs/concepts/reliability-protocol.md`` describes the whole protocol.
"""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import TYPE_CHECKING

from aml_provider.client.entities import RunState
from aml_provider.client.errors import AzureMLError, ForeignRun, NotFound, RunCanceled, RunStillActive
from aml_provider.client.flows.cancel_run import CancelReason, cancel_run, has_cancel_tag
from aml_provider.durable.identity import Deployment
from aml_provider.durable.job_submission import fingerprint_of, id_of
from aml_provider.durable.lost_submission import RunFinder
from aml_provider.durable.observer import RunObserver
from aml_provider.durable.record import SubmissionRecord
from aml_provider.durable.sender import Sender
from aml_provider.durable.submitted_data import SubmittedData

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.retry import RetryPolicy
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.durable.evidence import Evidence
    from aml_provider.durable.identity import TaskIdentity
    from aml_provider.durable.log import Log
    from aml_provider.durable.order import RunOrder
    from aml_provider.durable.record import SubmissionStore


class Submission:
    """Obtains the run of one task instance: submits it, or takes over the run of an earlier try, and stores the record.

    Args:
        identity: The task instance.
        store: Keeps the submission record through crashes. None if the task is not durable: then nothing is looked up
            or taken over, and each try submits a run.
        evidence: Decides what "not found" proves; only :meth:`obtain` of a durable task needs it.
        cancel_older: Whether a run that an older generation left active is cancelled.
        lookup_timeout: Seconds for which a key is looked up before its run counts as absent.
        policy: For how long a submission is repeated if the service was too busy to accept it, or if its job does not
            exist although the submission may have been carried out.
        observer: Is notified of what happens to the task's runs.
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
        policy: RetryPolicy,
        log: Log,
        observer: RunObserver | None = None,
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
        self._log = log
        self._now = now
        self._observer = observer or RunObserver()
        self._finder = RunFinder(evidence, settings, lookup_timeout, log, now, monotonic, store, self._observer)
        self._sender = Sender(
            identity=identity,
            deployment=self._deployment,
            settings=settings,
            finder=self._finder,
            policy=policy,
            looks_up=store is not None,
            keep=self._keep,
            is_stored=self._is_stored,
            log=log,
            now=now,
        )
        self._cancelled: set[str] = set()
        self._record: SubmissionRecord | None = None
        #: The run of this try; None before the submission, and while that is under way or in doubt.
        self.run_id: str | None = None
        #: Whether an earlier try has submitted it; None while that is not known.
        self.taken_over: bool | None = None
        #: The data that it was submitted with, or that this try asks for; None while that is not known.
        self.data: SubmittedData | None = None

    @property
    def submitted(self) -> bool:
        """Whether this try has sent a submission, rather than taken over a run."""
        return self._sender.has_sent

    def stop(self) -> None:
        """Submit nothing from now on: the task is being killed, but on Airflow 3 it continues for some time."""
        self._sender.stop()

    def resume(self, run_id: str) -> None:
        """Take up the run for which an earlier part of this try has deferred."""
        self.run_id = run_id

    def obtain(self, order: RunOrder) -> Flow[str]:
        """Obtain the one run of this generation: take over the existing one, else submit it.

        Returns:
            The run's id.

        Raises:
            SubmissionUnknown: It cannot be established whether a submission was carried out.
            SubmissionUnsettled: The same, but a retry may be able to establish it.
            ForeignRun: The earlier try, or a run that has to end first, belongs to another Airflow; or something else
                has the job's id.
            RunUnwatched: The run of an earlier try cannot be read at the moment.
            RunCanceled: Somebody cancelled the run of an earlier try in the workspace.
            RunStillActive: A run that has to end first has not ended in time.
            AzureMLError: The service refused, or could not be reached; there is no run.
        """
        self.data = SubmittedData.of(order.request)
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
        self.data = self._data_of(record, order)
        run = yield from self._finder.run_of_earlier_try(record, submits_jobs=order.reference.is_v2)
        if run is None:
            return (yield from self._submit(order, record.generation, record.ordinal))
        if record.run_id is None:
            record = self._keep_run(record, run)
        return (yield from self._take_over_or_replace(order, record, run))

    @property
    def may_have_run(self) -> bool:
        """Whether this try has a run, or has a submission under way that may start one."""
        record = self._record
        return self.run_id is not None or (self._store is not None and record is not None and record.sent)

    def find(self, timeout: float) -> Flow[str | None]:
        """Find the run of this try; if its submission is under way, look its key up for ``timeout`` seconds."""
        record = self._record
        if self.run_id is not None or record is None or not self.may_have_run:
            return self.run_id
        return (yield from self._finder.find_id(record, timeout))

    def cancel(self, run_id: str, experiment: str, reason: CancelReason, timeout: float = 60.0) -> Flow[PipelineRun]:
        """Cancel a run of this task and wait for its end; see :func:`aml_provider.client.flows.cancel_run.cancel_run`.

        Raises:
            ForeignRun: The run is another Airflow's; it was not cancelled.
        """
        return cancel_run(
            run_id,
            experiment,
            reason=reason,
            timeout=timeout,
            log=self._log.warning,
            check=self._deployment.check,
            cancelled=partial(self._note_cancel, run_id, reason),
        )

    def _note_cancel(self, run_id: str, reason: CancelReason) -> None:
        """Notify the observer once: the service accepts a cancel again as long as the run has not ended."""
        if run_id not in self._cancelled:
            self._cancelled.add(run_id)
            self._observer.cancelled(reason)

    @property
    def must_learn(self) -> bool:
        """Whether :meth:`learn` has something to do, which happens once for a workspace."""
        record = self._record
        looks_up = record is not None and not record.is_job
        return self.submitted and looks_up and self._evidence is not None and bool(self._evidence.due)

    def learn(self) -> Flow[None]:
        """Test, with the run that this try has submitted, in which ways runs are found by their key.

        Raises:
            StorageError: The evidence cannot be read back.
        """
        record = self._record
        if self.must_learn and self._evidence is not None and record is not None:
            yield from self._evidence.gather(
                record.key, record.experiment, record.pipeline_id, timeout=self._lookup_timeout
            )

    def finish(self, state: RunState | None = None) -> None:
        """Store that the task ends with this run; this is the last step before the task ends.

        Args:
            state: The final state of the run; None if it continues.
        """
        record = self._store.load() if self._store is not None else None
        is_own = record is not None and record.run_id == self.run_id
        if state is not None and not (record is not None and is_own and record.finished):
            self._observer.ended(state)
        if self._store is not None and record is not None and is_own:
            self.taken_over = self._was_taken_over(record)
            if self.data is None:
                self.data = SubmittedData.read(record.data)
            self._store.close(record._replace(data=None))

    def _was_taken_over(self, record: SubmissionRecord) -> bool | None:
        """Whether the submission of a record is that of an earlier try, perhaps in another process of this try."""
        known, own = record.try_number, self._identity.try_number
        return known != own if known is not None and own is not None else None

    def _data_of(self, record: SubmissionRecord, order: RunOrder) -> SubmittedData:
        """The data of an earlier try's run. If that cannot be told, none: this try may ask for other data."""
        if record.fingerprint == order.fingerprint():
            return SubmittedData.of(order.request)
        return SubmittedData.read(record.data) or SubmittedData((), ())

    def _submit(self, order: RunOrder, generation: str, ordinal: int) -> Flow[str]:
        self.data = SubmittedData.of(order.request)
        try:
            target = yield from order.find_target()
        except AzureMLError as error:
            known = self._record
            late = yield from self._late_job(self._identity.key(generation, ordinal), error)
            if late is None or known is None:
                raise
            return (yield from self._take_over_or_replace(order, self._keep_run(known, late), late))
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
            is_job=target.kind == "component",
            workspace=self.settings.arm_id.lower(),
            try_number=self._identity.try_number,
            data=self.data.to_text(),
        )
        if record.is_job:
            self._log.info("Submitting %s as job %s.", target, id_of(record))
        run = yield from self._sender.send(
            order, target, record, self._unsettled(record.key) if record.is_job else None
        )
        found = self._keep_run(record, run)
        if found.fingerprint == record.fingerprint:
            return run.id
        # An earlier request under the same id has arrived before this one, and asked for something else.
        return (yield from self._take_over_or_replace(order, found, run))

    def _unsettled(self, key: str) -> SubmissionRecord | None:
        """The submission record of an earlier request for this key's job, if its fate is not known; else None."""
        known = self._record
        if known is None or not (known.is_job and known.key == key):
            return None
        return known if known.sent and known.run_id is None else None

    def _late_job(self, key: str, error: AzureMLError) -> Flow[PipelineRun | None]:
        """Find the job of an earlier request that may still arrive, if a permanent error stops this try's request."""
        known = self._unsettled(key)
        if known is None or not error.permanent:
            return None
        self._log.warning("No job can be submitted: %s", error.text)
        late = yield from self._finder.run_of_earlier_try(known, submits_jobs=False)
        if late is None:
            self._keep(known._replace(sent=False))
        return late

    def _keep_run(self, record: SubmissionRecord, run: PipelineRun) -> SubmissionRecord:
        """Store the run of a submission; returns the record with it."""
        fingerprint = fingerprint_of(run, record) if record.is_job else record.fingerprint
        pipeline_id = run.pipeline_id or record.pipeline_id
        # The data belongs to the request of the record, which is not that of the job if the fingerprints differ.
        data = record.data if fingerprint == record.fingerprint else None
        record = record._replace(run_id=run.id, pipeline_id=pipeline_id, fingerprint=fingerprint, data=data)
        self._keep(record)
        return record

    def _take_over_or_replace(self, order: RunOrder, record: SubmissionRecord, run: PipelineRun) -> Flow[str]:
        """Take over an earlier submission's run, or submit another one once that run has ended."""
        self.data = self._data_of(record, order)
        if (yield from self._make_room_or_take_over(order, record, run)):
            if not run.state.is_final:
                self._update_record()
            return run.id
        if not self._deployment.submitted(run):
            # Another Airflow may have submitted it: if this database is a copy of the other one, the keys are the same.
            return (yield from self._submit(order, uuid.uuid4().hex[:8], 0))
        return (yield from self._submit(order, record.generation, record.ordinal + 1))

    def _make_room_or_take_over(self, order: RunOrder, record: SubmissionRecord, run: PipelineRun) -> Flow[bool]:
        """Whether an earlier try's run becomes this try's run; if not, that run has ended when this method returns."""
        if run.state is RunState.FINISHED:
            self._accept(order, record, run)
            return True
        has_cancel_tag = run.state is not RunState.FAILED and (yield from self._finder.is_being_cancelled(record, run))
        if run.state.is_final and not has_cancel_tag and not record.finished:
            # The try that waited for it has not seen its end.
            self._observer.ended(run.state)
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
            self._cancelled.add(run.id)  # by that try, which has counted it
        else:
            self._log.warning(
                "This try's request differs from that of run %s, which an earlier try submitted; cancelling it.", run.id
            )
        ended = yield from self._end(record, run.id, CancelReason.REPLACED)
        if ended.state is RunState.FINISHED:
            self._accept(order, record, ended)
        return ended.state is RunState.FINISHED

    def _accept(self, order: RunOrder, record: SubmissionRecord, run: PipelineRun) -> None:
        """Accept a successful run, also if its request differs from this try's: a generation has one such run."""
        if record.fingerprint == order.fingerprint():
            self._log.info("Run %s of an earlier try ended successfully; it is this task's result.", run.id)
            return
        self._log.warning(
            "Run %s of an earlier try ended successfully; it is this task's result, although this try's request "
            "differs from that of the run. Clear the task to submit a run with the new request.",
            run.id,
        )

    def _end(self, record: SubmissionRecord, run_id: str, reason: CancelReason) -> Flow[PipelineRun]:
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

        A person who clears the task wants a run of this Airflow. A retry does not show such a wish: its run would be
        active next to that of the other Airflow.

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
        """Cancel the run that the older generation left active when the task was cleared; it is never taken over."""
        if record.run_id is None and not record.sent:
            return
        if not self._cancel_older:
            self._log.info("The task was cleared; run %s is not cancelled (cancel_on_kill=False).", record.run_id)
            return
        if record.run_id is None and self._finder.is_elsewhere(record):
            self._log.warning(
                "The task was cleared; a run that it may have submitted in workspace %s is not cancelled, "
                "because the connection points to another workspace now.",
                record.workspace,
            )
            return
        # A person decided to proceed without the fate of that submission being known, so this needs no proof.
        try:
            run_id = yield from self._finder.find_id(record)
        except ForeignRun as error:
            self._log.warning("%s", error)
            return
        if run_id is None:
            return
        try:
            run = yield from self._finder.read_run(record, run_id)
        except NotFound:
            self._log.warning("The task was cleared; its earlier run %s is no longer in this workspace.", run_id)
            return
        if not run.state.is_final:
            self._log.info("The task was cleared; cancelling its earlier run %s.", run_id)
            if (yield from has_cancel_tag(run_id, record.experiment)):
                self._cancelled.add(run_id)
            yield from self._end(record, run_id, CancelReason.CLEARED)

    def _update_record(self) -> None:
        """Store this try's arguments in the record of a run that is taken over: somebody may have changed the DAG."""
        assert self._record is not None
        agreed = self._record._replace(azureml_conn_id=self._conn_id, cancel_on_kill=self._cancel_older)
        if agreed != self._record:
            self._keep(agreed)

    def _hold(self, record: SubmissionRecord) -> None:
        self._record = record
        self.run_id = record.run_id

    def _is_stored(self, record: SubmissionRecord) -> bool:
        """Whether a record that this process has stored is still there; true for a task that is not durable."""
        return self._store is None or self._store.load() == record

    def _keep(self, record: SubmissionRecord) -> None:
        self._hold(record)
        if self._store is not None:
            self._store.save(record)
