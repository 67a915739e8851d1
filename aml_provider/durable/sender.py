"""Sends one submission, and finds out what became of it."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, SubmissionUnsettled, Throttled
from aml_provider.client.http.messages import Pause
from aml_provider.client.specs.job import job_to_wire
from aml_provider.durable.job_submission import FINGERPRINT, id_of, leaves_doubt
from aml_provider.durable.late_request import store_before_request
from aml_provider.durable.lookup import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.retry import RetryPolicy
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.client.specs.target import Target
    from aml_provider.durable.identity import Deployment, TaskIdentity
    from aml_provider.durable.log import Log
    from aml_provider.durable.lost_submission import RunFinder
    from aml_provider.durable.order import RunOrder
    from aml_provider.durable.record import SubmissionRecord

# Seconds between two submissions to a service that is too busy and does not say when to try again.
_THROTTLED_PAUSE = 15.0


class Sender:
    """Sends the submissions of one try.

    Args:
        identity: The task instance.
        finder: Finds the run of a submission in doubt.
        policy: For how long a submission is repeated if the service was too busy to accept it, or if it failed and its
            job does not exist.
        looks_up: Whether the run of a lost reply is looked up by its key, as for a durable task.
        keep: Stores a submission record.
        is_stored: Whether a submission record is still the one that is stored, so that no other process of the task
            has stored another one since.

    Attributes:
        has_sent: Whether a submission was sent.
    """

    def __init__(
        self,
        *,
        identity: TaskIdentity,
        deployment: Deployment,
        settings: WorkspaceSettings,
        finder: RunFinder,
        policy: RetryPolicy,
        looks_up: bool,
        keep: Callable[[SubmissionRecord], None],
        is_stored: Callable[[SubmissionRecord], bool],
        log: Log,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._deployment = deployment
        self._settings = settings
        self._finder = finder
        self._policy = policy
        self._looks_up = looks_up
        self._keep = keep
        self._is_stored = is_stored
        self._log = log
        self._now = now
        self._stopped = False
        self.has_sent = False

    def stop(self) -> None:
        """Send nothing from now on."""
        self._stopped = True

    def send(
        self, order: RunOrder, target: Target, record: SubmissionRecord, before: SubmissionRecord | None
    ) -> Flow[PipelineRun]:
        """Send a submission until it is accepted, or until its run is found after the outcome was in doubt.

        Args:
            order: The run that is asked for.
            target: The pipeline, as it was found in the workspace.
            record: Its submission record, which is stored before each request.
            before: The submission record of an earlier request for the same job, if it is not known what happened to
                that request.

        Raises:
            AzureMLError: The service refused, or could not be reached; or the job does not exist yet, and the next try
                submits it again under the same id.
            SubmissionUnknown: It cannot be established whether the submission was carried out.
            SubmissionUnsettled: The same, but a retry may be able to establish it.
            ForeignRun: Something else has the job's id.
            SubmissionUnsettled: This process stood still before its request, and another one has continued meanwhile.
        """
        call = self._call(order, target, record)
        doubted = throttled = 0.0
        tries = 0
        while True:
            record = self._store(record, before)
            if self._stopped:
                self._withdraw(record, before)
                raise AzureMLError("The task is being killed; nothing was submitted.")
            self.has_sent = True
            try:
                run: PipelineRun = yield call
            except Throttled as error:
                # The service has refused it, so nothing was done and it may be sent again.
                self._withdraw(record, before)
                asked = _THROTTLED_PAUSE if error.retry_after is None else max(1.0, error.retry_after)
                pause = asked * random.uniform(1.0, 1.2)  # noqa: S311 - spreads tasks, keeps no secret
                throttled += pause
                if throttled > self._policy.throttled_budget:
                    raise
                self._log.warning(
                    "The service is too busy to accept the submission; next try in %.0f s. %s", pause, error.text
                )
            except AzureMLError as error:
                found = yield from self._resolve(record, before, error)
                if found is not None:
                    return found
                pause = self._policy.pause(tries, None)
                tries += 1
                doubted += pause
                if doubted > self._policy.budget:
                    raise
                self._log.warning("Job %s does not exist; submitting it again in %.0f s.", id_of(record), pause)
                # It may arrive later than the next request, and even if that is refused.
                before = record
            else:
                return run
            yield Pause(pause)

    def _store(self, record: SubmissionRecord, before: SubmissionRecord | None) -> SubmissionRecord:
        """Store the record before its request: from here on a crash leaves doubt, and doubt leads to a look-up.

        Raises:
            SubmissionUnsettled: Another process has stored another record meanwhile.
            AzureMLError: Airflow needs too long to store it.
        """
        return store_before_request(
            lambda now: record._replace(submitted_at=now),
            self._keep,
            self._is_stored,
            withdraw=lambda record: self._withdraw(record, before),
            overtaken=SubmissionUnsettled,
            now=self._now,
            log=self._log,
        )

    def _resolve(
        self, record: SubmissionRecord, before: SubmissionRecord | None, error: AzureMLError
    ) -> Flow[PipelineRun | None]:
        """Find the run of a submission that has failed. None: it is a job that does not exist yet, so send it again.

        Raises:
            AzureMLError: It was not carried out, or its fate cannot be established.
        """
        is_refused = not error.in_doubt
        found: PipelineRun | None = None
        if record.is_job and leaves_doubt(error):
            self._log.warning(
                "The submission of job %s failed; reading whether it exists. %s", id_of(record), error.text
            )
            found = yield from self._finder.job_now(record)
        elif not is_refused:
            if not self._looks_up:
                raise error
            self._log.warning("The submission's reply was lost; looking up its run. %s", error.text)
            found = yield from self._finder.run_in_doubt(record, cause=error)
            if found is None:
                is_refused = True
                self._log.warning("The submission was not carried out; a retry is safe.")
        if found is None and is_refused:
            self._withdraw(record, before)
            if before is not None:
                # No further request follows, so the earlier one could still start a job that nobody waits for.
                self._log.warning("The submission of job %s was refused: %s", id_of(record), error.text)
                found = yield from self._finder.run_of_earlier_try(before, submits_jobs=False)
            if found is None:
                self._withdraw(record, None)
                raise error
        return found

    def _withdraw(self, record: SubmissionRecord, before: SubmissionRecord | None) -> None:
        """Store that a request was not carried out, or, if there is one, the earlier request that is still in doubt."""
        self._keep(before or record._replace(sent=False))

    def _call(self, order: RunOrder, target: Target, record: SubmissionRecord) -> calls.Call[PipelineRun]:
        own_tags = {
            KEY: record.key,
            **self._deployment.tags(),
            FINGERPRINT: record.fingerprint,
            "airflow.dag_id": self._identity.dag_id,
            "airflow.run_id": self._identity.run_id,
            "airflow.task_id": self._identity.task_id,
            "airflow.map_index": str(self._identity.map_index),
        }
        if target.kind == "component":
            own_tags["airflow.component"] = f"{target.name}:{target.version}"
            body = job_to_wire(order.request, target, workspace=self._settings.arm_id, own_tags=own_tags)
            return calls.submit_job(id_of(record), body)
        body = order.request.to_wire(own_tags=own_tags, notification=target.kind == "pipeline")
        if target.kind == "pipeline":
            return calls.submit_pipeline(target.id, body, parent_run_id=order.parent_run_id)
        return calls.submit_endpoint(target.id, body, version=target.version, parent_run_id=order.parent_run_id)
