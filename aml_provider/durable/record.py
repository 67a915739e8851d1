"""The submission record of a task instance."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class SubmissionRecord(NamedTuple):
    """What is known of the latest submission of a task instance.

    Args:
        generation: A random token, new with each generation. A clear begins a generation, a retry does not.
        max_tries: The task instance's ``max_tries`` then: a clear raises it, a retry leaves it alone.
        retries: The task's ``retries`` then: only when they were changed in between can a clear repeat ``max_tries``.
        ordinal: How many unsuccessful runs of this generation came before.
        key: What the run carries, so that it can be found.
        fingerprint: Tells whether a retry asks for the same.
        experiment: The run's experiment.
        pipeline_id: The published pipeline, where it is known.
        submitted_at: When the submission was about to be sent, in seconds since the epoch.
        run_id: The run; None while that is not known.
        sent: Whether a submission may have left. False after one that certainly did not, or was refused.
        finished: Whether the task ended with this run.
        azureml_conn_id: The connection that it was submitted with; None in a record of an earlier version.
        cancel_on_kill: Whether a person who ends the task ends the run.
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


class SubmissionStore(Protocol):
    """Keeps one record through crashes and retries."""

    def load(self) -> SubmissionRecord | None:
        """Read the record."""

    def save(self, record: SubmissionRecord) -> None:
        """Replace the record; when this returns, it is stored."""

    def close(self, record: SubmissionRecord) -> None:
        """Note that the task ended with this record's run."""
