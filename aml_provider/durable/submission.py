"""Exactly one run for each task instance and generation.

The service has no idempotency key and never lets a client choose a run's id. So each submission carries a key, an
intent is written down before it is sent, and whenever its fate is in doubt the key is looked up instead of sending
again. ``docs/reliability.md`` tells the whole protocol.
"""

from __future__ import annotations

import random
import time
import uuid
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aml_provider.client import calls
from aml_provider.client.entities import RunState
from aml_provider.client.errors import (
    AzureMLError,
    ForeignRun,
    NotFound,
    RunCanceled,
    RunStillActive,
    RunUnwatched,
    SubmissionUnknown,
    SubmissionUnsettled,
    Throttled,
)
from aml_provider.client.flows.runs import CANCEL_TAG, cancel_run
from aml_provider.client.http.messages import Pause
from aml_provider.durable.arrival import arrival_timeout
from aml_provider.durable.identity import Deployment
from aml_provider.durable.lookup import KEY, WAYS, search
from aml_provider.durable.record import SubmissionRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.client.specs.run import RunRequest
    from aml_provider.client.specs.target import Target
    from aml_provider.durable.evidence import Evidence
    from aml_provider.durable.identity import TaskIdentity
    from aml_provider.durable.lookup import Search
    from aml_provider.durable.record import SubmissionStore

T = TypeVar("T")

# Seconds between two submissions to a service that is too busy and does not say for how long.
_THROTTLED_PAUSE = 15.0


class Log(Protocol):
    """What is needed of a logger; Airflow 2 and 3 have different ones."""

    def info(self, message: str, /, *values: Any) -> Any:
        """Tell what happens."""

    def warning(self, message: str, /, *values: Any) -> Any:
        """Tell what is not as it should be."""


class Submission:
    """One task instance's way to its run.

    Args:
        identity: Whose submission it is.
        store: Keeps the record through crashes; None for a task that is not durable: then nothing is looked up or
            taken over, and each try submits.
        evidence: What "not found" proves.
        settings: The workspace.
        conn_id: The connection to it.
        subject: What is run, as the author named it; a retry that names something else asks for something else.
        resolve: Finds what is run, and makes sure that it accepts the request, just before a submission. A run that
            exists already is taken over without it: its pipeline may have been renamed or disabled since.
        request: What is asked of it.
        parent_run_id: The run to be its parent.
        cancel_older: Whether a run that an older generation left active is cancelled.
        lookup_timeout: Seconds for which a key is looked up before its run counts as absent.
        throttled_budget: Seconds for which a submission is sent again that the service was too busy to take.
        log: Where adoption and doubt are told.
        now: The wall clock.
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
        subject: str,
        resolve: Callable[[], Flow[Target]],
        request: RunRequest,
        parent_run_id: str | None,
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
        self._settings = settings
        self._conn_id = conn_id
        self._resolve = resolve
        self._request = request
        self._parent_run_id = parent_run_id
        self._cancel_older = cancel_older
        self._lookup_timeout = lookup_timeout
        self._throttled_budget = throttled_budget
        self._log = log
        self._now = now
        self._monotonic = monotonic
        self._fingerprint = request.fingerprint(f"{subject}/{parent_run_id}")
        self._stopped = False
        #: Whether this try has submitted, and not only taken over.
        self.submitted = False
        #: The record of the submission at hand; its ``run_id`` is None while a POST is under way or in doubt.
        self.record: SubmissionRecord | None = None

    def stop(self) -> None:
        """Submit nothing from now on: the task is being killed, which does not end it at once on Airflow 3."""
        self._stopped = True

    def obtain(self) -> Flow[str]:
        """Come to the one run of this generation: take over the one that exists, else submit.

        Returns:
            The run's id.

        Raises:
            SubmissionUnknown: A submission may or may not have been carried out, and nothing can tell.
            SubmissionUnsettled: The same, but a retry may be able to tell.
            ForeignRun: An earlier try was another Airflow's, or a run that has to make room is.
            RunUnwatched: The run of an earlier try may not be read at the moment.
            RunCanceled: Somebody cancelled the run of an earlier try in the workspace.
            RunStillActive: A run that has to make room has not ended in time.
            AzureMLError: The service refused, or could not be reached; nothing is left behind.
        """
        record = self._store.load() if self._store is not None else None
        if record is None:
            return (yield from self._submit(uuid.uuid4().hex[:8], 0))
        if not self._identity.wrote(record):
            self._leave_alone(record)
            return (yield from self._submit(uuid.uuid4().hex[:8], 0))
        if self._identity.began_anew(record):
            yield from self._leave_behind(record)
            return (yield from self._submit(uuid.uuid4().hex[:8], 0))
        self.record = record
        run = yield from self._recall(record)
        if run is None:
            return (yield from self._submit(record.generation, record.ordinal))
        if (yield from self._make_room_or_adopt(record, run)):
            if not run.state.is_final:
                self._agree()
            return run.id
        if not self._deployment.submitted(run):
            # Perhaps the one whose database this is a copy of, and which does the same.
            return (yield from self._submit(uuid.uuid4().hex[:8], 0))
        return (yield from self._submit(record.generation, record.ordinal + 1))

    def _submit(self, generation: str, ordinal: int) -> Flow[str]:
        target = yield from self._resolve()
        record = SubmissionRecord(
            generation=generation,
            max_tries=self._identity.max_tries,
            retries=self._identity.retries,
            ordinal=ordinal,
            key=self._identity.key(generation, ordinal),
            fingerprint=self._fingerprint,
            experiment=self._request.experiment_name,
            pipeline_id=target.pipeline_id,
            submitted_at=self._now(),
            azureml_conn_id=self._conn_id,
            cancel_on_kill=self._cancel_older,
        )
        waited = 0.0
        while True:
            try:
                return (yield from self._send(target, record._replace(submitted_at=self._now())))
            except Throttled as error:
                # A refusal, so nothing was done and it may be sent again; a busy service is no failed one.
                asked = _THROTTLED_PAUSE if error.retry_after is None else max(1.0, error.retry_after)
                pause = asked * random.uniform(1.0, 1.2)  # noqa: S311 - spreads tasks, keeps no secret
                if waited + pause > self._throttled_budget:
                    raise
                self._log.warning("The service is too busy to take the submission; next in %.0f s. %s", pause, error)
            yield Pause(pause)
            waited += pause

    def _send(self, target: Target, record: SubmissionRecord) -> Flow[str]:
        # The intent first: from here on a crash means doubt, and doubt means a look-up.
        self._keep(record)
        if self._stopped:
            self._keep(record._replace(sent=False))
            raise AzureMLError("The task is being killed; nothing was submitted.")
        self.submitted = True
        try:
            run: PipelineRun = yield self._call(target, record)
        except AzureMLError as error:
            if not error.in_doubt:
                self._keep(record._replace(sent=False))
                raise
            if self._store is None:
                raise
            self._log.warning("The submission's reply was lost; looking for its run. %s", error)
            found = yield from self._find(record, self._lookup_timeout, cause=error)
            if found is None:
                self._keep(record._replace(sent=False))
                self._log.warning("The submission was not carried out; a retry is safe.")
                raise
            run = found
        self._keep(record._replace(run_id=run.id, pipeline_id=run.pipeline_id or record.pipeline_id))
        return run.id

    def _call(self, target: Target, record: SubmissionRecord) -> calls.Call[PipelineRun]:
        marks = {
            KEY: record.key,
            **self._deployment.marks(),
            "airflow.fingerprint": record.fingerprint,
            "airflow.dag_id": self._identity.dag_id,
            "airflow.run_id": self._identity.run_id,
            "airflow.task_id": self._identity.task_id,
            "airflow.map_index": str(self._identity.map_index),
        }
        body = self._request.to_wire(own_tags=marks, notification=target.kind == "pipeline")
        if target.kind == "pipeline":
            return calls.submit_pipeline(target.id, body, parent_run_id=self._parent_run_id)
        return calls.submit_endpoint(target.id, body, version=target.version, parent_run_id=self._parent_run_id)

    def _recall(self, record: SubmissionRecord) -> Flow[PipelineRun | None]:
        """The run of an earlier try, or None if that try certainly submitted none."""
        if record.run_id is not None:
            try:
                return (yield from self._read(calls.get_run(record.run_id), record.run_id))
            except NotFound as error:
                raise SubmissionUnknown(
                    f"Run {record.run_id}, which an earlier try submitted, is not in workspace "
                    f"{self._settings.workspace_name!r}, so what became of it is not known. Does the connection lead "
                    "to another workspace now? Clear this task to submit a new run."
                ) from error
        if not record.sent:
            return None
        self._log.info("An earlier try may have submitted a run; looking for key %s.", record.key)
        found = yield from self._find(record, self._timeout(record), cause=None)
        if found is None:
            self._log.info("No run carries the key %s: the earlier try did not submit one.", record.key)
        else:
            self._keep(record._replace(run_id=found.id))
        return found

    def _read(self, call: calls.Call[T], run_id: str) -> Flow[T]:
        """Read a run that exists; not to be allowed to says nothing about it, and is no reason to give up retries."""
        try:
            found: T = yield call
        except NotFound:
            raise
        except AzureMLError as error:
            if not error.permanent:
                raise
            raise RunUnwatched(
                f"Run {run_id}, which an earlier try submitted, could not be read: {error} It goes on; a retry takes "
                "it up again.",
                run_id=run_id,
            ) from error
        return found

    def _timeout(self, record: SubmissionRecord) -> float:
        """For how long to look for the submission of an earlier try."""
        return arrival_timeout(record.submitted_at, self._lookup_timeout, self._now())

    def _find(
        self, record: SubmissionRecord, timeout: float, *, cause: AzureMLError | None
    ) -> Flow[PipelineRun | None]:
        """Look up a submission in doubt; None proves that it was not carried out."""
        result = yield from self._search(record, timeout)
        if result.run_ids:
            if len(result.run_ids) > 1:
                self._log.warning("Several runs carry the key %s: %s", record.key, ", ".join(result.run_ids))
            self._log.info("Found the run %s by its key (%s).", result.run_ids[0], result.way)
            return (yield from self._read(calls.get_run(result.run_ids[0]), result.run_ids[0]))
        assert self._evidence is not None
        if self._evidence.proves_absence(result):
            return None
        if self._evidence.may_yet_prove(result):
            raise SubmissionUnsettled(
                f"Whether a run was submitted is not known yet, so none is submitted again; a retry looks for the key "
                f"{record.key} again. {result.error}"
            ) from cause
        raise SubmissionUnknown(
            f"Whether a run was submitted cannot be established, so none is submitted again. Looked for the tag and "
            f"property {KEY} = {record.key} in experiment {record.experiment!r} of workspace "
            f"{self._settings.workspace_name!r} for {timeout:.0f} s; answered: "
            f"{', '.join(way for way in WAYS if way in result.answered)}. None of these ways has found a run of this "
            f"Airflow in that workspace before, so finding none proves nothing. Look in the studio "
            f"({self._settings.studio_url}): if there is such a run, cancel it or let it end; then clear this task."
        ) from cause

    def _search(self, record: SubmissionRecord, timeout: float) -> Flow[Search]:
        return (
            yield from search(record.key, record.experiment, record.pipeline_id, timeout=timeout, now=self._monotonic)
        )

    def _make_room_or_adopt(self, record: SubmissionRecord, run: PipelineRun) -> Flow[bool]:
        """Whether an earlier try's run is this try's too; if not, it has ended when this returns."""
        if run.state is RunState.FINISHED:
            # Also if its request differs by now: a generation has one successful run.
            self._log.info("Run %s of an earlier try ended successfully; it counts.", run.id)
            return True
        marked = run.state is not RunState.FAILED and (yield from self._is_marked(record, run))
        if run.state is RunState.CANCELED and not marked:
            raise RunCanceled(
                f"Run {run.id}, which an earlier try submitted, was cancelled in the workspace, not by Airflow. No "
                "retry submits it again; clear the task to run it anew.",
                run_id=run.id,
                link=self._settings.run_url(run.id),
            )
        if run.state.is_final:
            self._log.info("Run %s of an earlier try ended as %s; submitting a new one.", run.id, run.status)
            return False
        if not marked and record.fingerprint == self._fingerprint:
            self._log.info("Taking over run %s, which an earlier try submitted; it is %s.", run.id, run.status)
            return True
        if marked:
            self._log.info("Run %s of an earlier try is being cancelled; waiting for its end.", run.id)
        else:
            self._log.warning("This try asks for something else than run %s of an earlier try; cancelling it.", run.id)
        ended = yield from self._end(record, run.id, "the retry asks for something else")
        return ended.state is RunState.FINISHED

    def _is_marked(self, record: SubmissionRecord, run: PipelineRun) -> Flow[bool]:
        try:
            known = yield from self._read(calls.get_history_run(record.experiment, run.id), run.id)
        except NotFound:
            return CANCEL_TAG in run.tags
        return CANCEL_TAG in known.tags

    def _end(self, record: SubmissionRecord, run_id: str, reason: str) -> Flow[PipelineRun]:
        ended = yield from cancel_run(
            run_id, record.experiment, reason=reason, log=self._log.warning, check=self._deployment.check
        )
        if not ended.state.is_final:
            raise RunStillActive(
                f"Run {run_id} was cancelled, but is still {ended.status}; no other run is submitted before it has "
                "ended. A retry looks again.",
                run_id=run_id,
                link=self._settings.run_url(run_id),
            )
        return ended

    def _leave_alone(self, record: SubmissionRecord) -> None:
        """The record came with a copy of another Airflow's database, or this one has another name since.

        A person who clears the task wants a run of this Airflow. A retry was nobody's wish: it would run beside that
        Airflow's own.
        """
        if record.run_id is None and not record.sent:
            return
        what = f"Run {record.run_id}" if record.run_id is not None else f"The submission with the key {record.key}"
        told = (
            f"{what} of an earlier try was not made under this Airflow's deployment_id, {self._identity.deployment!r}"
        )
        if self._identity.began_anew(record):
            self._log.warning("%s; it is left alone.", told)
            return
        raise ForeignRun(
            f"{told}; it is left alone, and none is submitted beside it. Is this database a copy of another Airflow's, "
            "or was deployment_id changed? Clear this task to submit a run of this Airflow's own."
        )

    def _leave_behind(self, record: SubmissionRecord) -> Flow[None]:
        """The task was cleared: what the older generation left active is cancelled first, and never taken over."""
        if record.run_id is None and not record.sent:
            return
        if not self._cancel_older:
            self._log.info("The task was cleared; run %s is left as it is (cancel_on_kill=False).", record.run_id)
            return
        run_id = record.run_id
        if run_id is None:
            # A person decided to go on without that submission's fate being known: a look, no proof.
            result = yield from self._search(record, self._timeout(record))
            run_id = result.run_ids[0] if result.run_ids else None
        if run_id is None:
            return
        try:
            run = yield from self._read(calls.get_run(run_id), run_id)
        except NotFound:
            self._log.warning("The task was cleared; run %s of before is not in this workspace any more.", run_id)
            return
        if not run.state.is_final:
            self._log.info("The task was cleared; cancelling run %s of before.", run_id)
            yield from self._end(record, run_id, "the task was cleared")

    def _agree(self) -> None:
        """Let the record of a run that is taken over say what this try says: somebody may have changed the DAG."""
        assert self.record is not None
        agreed = self.record._replace(azureml_conn_id=self._conn_id, cancel_on_kill=self._cancel_older)
        if agreed != self.record:
            self._keep(agreed)

    def _keep(self, record: SubmissionRecord) -> None:
        self.record = record
        if self._store is not None:
            self._store.save(record)
