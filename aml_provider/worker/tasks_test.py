"""Handles ``airflow tasks test``, perhaps of a task in a DAG run that Airflow itself is running."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client.errors import RunStillActive
from aml_provider.client.flows.runs_or_jobs import get_run
from aml_provider.client.help import text_of
from aml_provider.stored import StoredRecordDamaged

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from aml_provider.client.http.clients import Client
    from aml_provider.durable.record import SubmissionRecord

_ADVICE = (
    "A test neither takes it over nor submits another one next to it. Leave the DAG run out of the command: then the "
    "test gets one of its own."
)


def refuse_active(
    load: Callable[[], SubmissionRecord | None], client: Callable[[], AbstractContextManager[Client]]
) -> None:
    """Refuse to test a task instance whose run may be active: Airflow's own try waits for that run.

    A test that took the run over would cancel it if the test's request differs, and a mistake in the test could end the
    run. Airflow 3 treats the end of the test as the end of the task. So this function raises no permanent error,
    which would end the task without further retries.

    Raises:
        RunStillActive: The run is active, or it cannot be established whether it is.
    """
    try:
        record = load()
    except StoredRecordDamaged as damaged:
        raise RunStillActive(
            f"Airflow's own try of this task instance may have a run that is active. {_ADVICE} {damaged.text}",
            run_id="",
        ) from None
    if record is None or (record.run_id is None and not record.sent):
        return
    problem: Exception | None = None
    if record.run_id is not None:
        try:
            with client() as opened:
                if opened.run(get_run(record.run_id)).state.is_final:
                    return
        except Exception as error:  # noqa: BLE001 - whatever the reason, a run that cannot be read may be active
            problem = error
    run = f"run {record.run_id}" if record.run_id is not None else f"a run with the key {record.key}"
    unread = "" if problem is None else f" The run could not be read: {text_of(problem)}"
    raise RunStillActive(
        f"Airflow's own try of this task instance has submitted {run}, which may be active. {_ADVICE}{unread}",
        run_id=record.run_id or "",
    ) from None
