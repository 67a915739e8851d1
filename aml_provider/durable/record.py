"""The submission record of a task instance."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class SubmissionRecord(NamedTuple):
    """The latest submission of a task instance.

    Args:
        generation: A random token, new with each generation. A clear begins a generation, a retry does not.
        max_tries: The task instance's ``max_tries`` at that time: a clear raises it, a retry does not change it.
        retries: The task's ``retries`` at that time: a clear can leave ``max_tries`` the same only if ``retries``
            was changed since.
        ordinal: The number of unsuccessful runs of this generation before this one.
        key: The key that the run carries, so that it can be found.
        fingerprint: Shows whether a retry asks for the same run.
        experiment: The run's experiment.
        pipeline_id: The published pipeline, if it is known; for a job, the version of the component.
        submitted_at: The time just before the submission was sent, in seconds since the epoch.
        run_id: The run; None while it is not known.
        sent: Whether the submission may have been sent. False if it certainly was not sent, or was refused.
        finished: Whether the task ended with this run.
        azureml_conn_id: The connection used; None in a submission record of an earlier version.
        cancel_on_kill: Whether the run is cancelled when a person ends the task.
        looked_up: Seconds for which the key, or the job's id, was looked up in vain. The next try continues from there.
            Otherwise a task whose ``execution_timeout`` is shorter than a look-up would never complete a look-up.
        is_job: Whether it was submitted as a pipeline job, whose id follows from the key.
        workspace: The id of the workspace in Azure Resource Manager, in lower case. Another workspace knows nothing
            about the submission. None in a submission record of an earlier version.
        try_number: The number of the try that sent the submission, for lineage. None in a submission record of an
            earlier version.
        data: The data that was submitted, for lineage: a text of
            :class:`~aml_provider.durable.submitted_data.SubmittedData`. None if the text would be too long, if the task
            has ended with this run, or in a submission record of an earlier version.
    """

    generation: str
    max_tries: int
    retries: int
    ordinal: int
    key: str
    fingerprint: str
    experiment: str
    pipeline_id: str | None
    submitted_at: float
    run_id: str | None = None
    sent: bool = True
    finished: bool = False
    azureml_conn_id: str | None = None
    cancel_on_kill: bool = True
    looked_up: float = 0.0
    is_job: bool = False
    workspace: str | None = None
    try_number: int | None = None
    data: str | None = None


class SubmissionStore(Protocol):
    """Keeps the submission record of a task instance through crashes and retries."""

    def load(self) -> SubmissionRecord | None:
        """Read the submission record; None if there is none."""

    def save(self, record: SubmissionRecord) -> None:
        """Replace the record. When this returns, it is stored."""

    def close(self, record: SubmissionRecord) -> None:
        """Store that the task ended with this record's run."""
