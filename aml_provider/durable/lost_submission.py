"""Finds the run of a submission again: by its id, or, if that is not known, by its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, NotFound, RunUnwatched, SubmissionUnknown, SubmissionUnsettled
from aml_provider.client.flows.cancel_run import CANCEL_TAG
from aml_provider.client.help import sentence, text_of
from aml_provider.durable.job_submission import find_job, id_of
from aml_provider.durable.lookup import KEY, WAYS, arrival_timeout, search

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.durable.evidence import Evidence
    from aml_provider.durable.log import Log
    from aml_provider.durable.lookup import Search
    from aml_provider.durable.observer import RunObserver
    from aml_provider.durable.record import SubmissionRecord, SubmissionStore

T = TypeVar("T")


class RunFinder:
    """Finds runs that this try or an earlier one has submitted.

    Args:
        evidence: Decides what "not found" proves; None if this object resolves no submissions in doubt.
        lookup_timeout: Seconds for which a key is looked up before its run counts as absent.
        monotonic: The clock for waiting.
        store: Stores how long a look-up has lasted, so that the next try continues it; None: this is not stored.
        observer: Is notified of each look-up; None: nothing is.
    """

    def __init__(
        self,
        evidence: Evidence | None,
        settings: WorkspaceSettings,
        lookup_timeout: float,
        log: Log,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        store: SubmissionStore | None = None,
        observer: RunObserver | None = None,
    ) -> None:
        self._evidence = evidence
        self._settings = settings
        self._lookup_timeout = lookup_timeout
        self._log = log
        self._now = now
        self._monotonic = monotonic
        self._store = store
        self._observer = observer

    def run_of_earlier_try(self, record: SubmissionRecord, *, submits_jobs: bool) -> Flow[PipelineRun | None]:
        """Find the run of an earlier try.

        Args:
            record: The submission record of that try.
            submits_jobs: Whether this try submits a job. If the earlier job does not exist, this try uses its id again,
                so it does not matter whether the earlier request still arrives.

        Returns:
            The run. None: there is none, and none can appear any more. With ``submits_jobs`` a job may still appear.

        Raises:
            SubmissionUnknown: The run does not exist any more, or it cannot be established whether there is a run, for
                example because the connection points to another workspace now.
            SubmissionUnsettled: It cannot be established yet whether there is a run.
            RunUnwatched: The run cannot be read at the moment.
            ForeignRun: Something else has the job's id.
        """
        if record.run_id is not None:
            try:
                return (yield from self.read_run(record, record.run_id))
            except NotFound:
                raise SubmissionUnknown(
                    f"Run {record.run_id}, which an earlier try submitted, is not in workspace "
                    f"{self._settings.workspace_name!r}, so its outcome is not known. Does the connection point to "
                    "another workspace now? Clear this task to submit a new run."
                ) from None
        if not record.sent:
            return None
        self._check_workspace(record)
        if record.is_job and submits_jobs:
            return (yield from self.job_now(record))
        timeout = self._timeout_for(record)
        if record.is_job:
            self._log.info(
                "An earlier try may have submitted job %s, and this one submits none; reading that id for up to "
                "%.0f s, until the submission can no longer arrive.",
                id_of(record),
                timeout,
            )
            return (yield from self._find_job(record, timeout, self._store))
        self._log.info(
            "An earlier try may have submitted a run; looking up the key %s for up to %.0f s. If this try ends before, "
            "for example at its execution_timeout, the next one continues the look-up.",
            record.key,
            timeout,
        )
        found = yield from self.run_in_doubt(record, timeout, cause=None)
        if found is None:
            self._log.info("No run carries the key %s: the earlier try did not submit one.", record.key)
        return found

    def is_elsewhere(self, record: SubmissionRecord) -> bool:
        """Whether a submission was sent to another workspace; if so, not finding its run here proves nothing."""
        return record.workspace not in {None, self._settings.arm_id.lower()}

    def _check_workspace(self, record: SubmissionRecord) -> None:
        """Make sure that a submission in doubt is searched for in the workspace to which it was sent.

        Raises:
            SubmissionUnknown: The connection points to another workspace now.
        """
        if self.is_elsewhere(record):
            what = f"job {id_of(record)}" if record.is_job else f"a run with the key {record.key}"
            raise SubmissionUnknown(
                f"An earlier try may have submitted {what} in workspace {record.workspace}, but the connection points "
                "to another workspace now, where that cannot be found out, so none is submitted there. Check in the "
                "first one whether there is such a run, then clear this task to submit one in the other workspace; or "
                "let the connection point to the first one again, and clear this task."
            )

    def run_in_doubt(
        self, record: SubmissionRecord, timeout: float | None = None, *, cause: AzureMLError | None
    ) -> Flow[PipelineRun | None]:
        """Find the run of a submission whose reply was lost; None proves that it was not carried out.

        The key is looked up for ``timeout`` seconds; without a ``timeout``, until a run that was submitted now counts
        as absent.

        Raises:
            SubmissionUnknown: It cannot be established whether there is a run.
            SubmissionUnsettled: It cannot be established yet whether there is a run.
            RunUnwatched: The run cannot be read at the moment.
        """
        timeout = self._lookup_timeout if timeout is None else timeout
        result = yield from self._search(record, timeout, self._store)
        if result.run_ids:
            if len(result.run_ids) > 1:
                self._log.warning("Several runs carry the key %s: %s", record.key, ", ".join(result.run_ids))
            self._log.info("Found run %s by its key (%s).", result.run_ids[0], result.way)
            return (yield from self.read_run(record, result.run_ids[0]))
        assert self._evidence is not None
        if self._evidence.proves_absence(result):
            return None
        if self._evidence.may_yet_prove(result):
            raise SubmissionUnsettled(
                "Whether a run was submitted is not known yet, so none is submitted again; a retry looks up the key "
                f"{record.key} again. {text_of(result.error)}"
            ) from cause
        raise SubmissionUnknown(
            "Whether a run was submitted cannot be established, so none is submitted again. The tag and property "
            f"{KEY} = {record.key} were looked up in experiment {record.experiment!r} of workspace "
            f"{self._settings.workspace_name!r} for {timeout:.0f} s; answered: "
            f"{', '.join(way for way in WAYS if way in result.answered)}. None of these ways has found a run of this "
            "Airflow in that workspace before, so finding none proves nothing. Check the studio "
            f"({self._settings.studio_url}): if there is such a run, cancel it or let it end; then clear this task."
        ) from cause

    def job_now(self, record: SubmissionRecord) -> Flow[PipelineRun | None]:
        """Read the job of a submission in doubt; None: submit it again under the same id.

        Raises:
            SubmissionUnsettled: It cannot be read at the moment.
            ForeignRun: Something else has its id.
        """
        found = yield from self._find_job(record, 0.0, None)
        if found is not None:
            self._log.info("Found job %s by its id; it was submitted.", found.id)
        return found

    def find_id(
        self, record: SubmissionRecord, timeout: float | None = None, *, is_strict: bool = False
    ) -> Flow[str | None]:
        """Find the id of a submission's run. None proves nothing.

        Args:
            record: Its submission record.
            timeout: Seconds for which the key is looked up; None: for as long as the submission may still arrive. In
                that case the next try continues an interrupted look-up.
            is_strict: Raise the error of a look-up that does not answer, if no other look-up finds the run. For a job
                there is one way only, and its error is always raised.

        Raises:
            SubmissionUnknown: The connection points to another workspace now.
            SubmissionUnsettled: The job cannot be read at the moment.
            ForeignRun: Something else has the job's id.
        """
        if record.run_id is not None or not record.sent:
            return record.run_id
        self._check_workspace(record)
        store = None
        if timeout is None:
            store, timeout = self._store, self._timeout_for(record)
            self._log.info(
                "It is not known whether an earlier try submitted %s; looking it up for up to %.0f s.",
                f"job {id_of(record)}" if record.is_job else f"a run with the key {record.key}",
                timeout,
            )
        if record.is_job:
            found = yield from self._find_job(record, timeout, store)
            return None if found is None else found.id
        result = yield from self._search(record, timeout, store)
        if is_strict and not result.run_ids and result.error is not None:
            raise result.error
        return result.run_ids[0] if result.run_ids else None

    def is_being_cancelled(self, record: SubmissionRecord, run: PipelineRun) -> Flow[bool]:
        """Whether the run carries the cancel tag."""
        try:
            known = yield from self.read(calls.get_history_run(record.experiment, run.id), run.id)
        except NotFound:
            return CANCEL_TAG in run.tags
        return CANCEL_TAG in known.tags

    def read_run(self, record: SubmissionRecord, run_id: str) -> Flow[PipelineRun]:
        """Read a run that exists; its submission record says whether it is a job. Raises what :meth:`read` raises."""
        return self.read(calls.get_job(run_id) if record.is_job else calls.get_run(run_id), run_id)

    def read(self, call: calls.Call[T], run_id: str) -> Flow[T]:
        """Read a run that exists.

        Raises:
            NotFound: The workspace does not know it.
            RunUnwatched: The run cannot be read, for example because a right is missing. That says nothing about the
                run, so the task keeps its retries.
        """
        try:
            found: T = yield call
        except NotFound:
            raise
        except AzureMLError as error:
            if not error.permanent:
                raise
            raise RunUnwatched(
                f"Run {run_id}, which an earlier try submitted, could not be read: {sentence(error.text)} The run "
                "continues; a retry takes it over.",
                run_id=run_id,
            ) from None
        return found

    def _timeout_for(self, record: SubmissionRecord) -> float:
        # A job that has arrived is found immediately by its id; a run is found by its key some time later.
        listed_within = 0.0 if record.is_job else self._lookup_timeout
        return arrival_timeout(record.submitted_at, listed_within, self._now(), record.looked_up)

    def _find_job(
        self, record: SubmissionRecord, timeout: float, store: SubmissionStore | None
    ) -> Flow[PipelineRun | None]:
        self._note_lookup()
        return find_job(record, timeout, now=self._monotonic, keep=self._duration(record, store))

    def _search(self, record: SubmissionRecord, timeout: float, store: SubmissionStore | None) -> Flow[Search]:
        self._note_lookup()
        return search(
            record.key,
            record.experiment,
            record.pipeline_id,
            timeout=timeout,
            now=self._monotonic,
            keep=self._duration(record, store),
        )

    def _note_lookup(self) -> None:
        if self._observer is not None:
            self._observer.looked_up()

    def _duration(self, record: SubmissionRecord, store: SubmissionStore | None) -> Callable[[float], None]:
        """Make a function that stores for how long a submission was looked up, in this try and in earlier ones."""
        looked_up = record.looked_up

        def keep(seconds: float) -> None:
            nonlocal record, store
            if store is None:
                return
            try:
                # Another try, which Airflow believes dead, may have got its reply since: do not overwrite that.
                if store.load() == record:
                    record = record._replace(looked_up=looked_up + seconds)
                    store.save(record)
            except Exception as error:  # noqa: BLE001 - without it the next try only looks up for longer
                store = None
                self._log.warning("How long the look-up has lasted could not be stored: %s", text_of(error))

        return keep
