"""A person tests a task (``airflow tasks test``), perhaps in a DAG run that Airflow itself is running."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, RunStillActive

if TYPE_CHECKING:
    from aml_provider.client.http.messages import Flow
    from aml_provider.durable.record import Record


def is_test(ti: Any) -> bool:
    """Whether this try is a test; Airflow 2 says so in the task instance, Airflow 3 in the environment."""
    return bool(getattr(ti, "test_mode", False)) or os.environ.get("AIRFLOW_TEST_MODE") == "True"


def refuse_active(record: Record | None) -> Flow[None]:
    """Leave the run alone that Airflow's own try of the tested task instance waits for.

    A test that took it over would cancel it where its request differs, and end it with the test's own mistakes.

    Args:
        record: The submission record of the task instance.

    Raises:
        RunStillActive: Its run may go on, or could not be read.
    """
    if record is None or (record.run_id is None and not record.sent):
        return
    if record.run_id is not None:
        try:
            run = yield calls.get_run(record.run_id)
        except AzureMLError:
            # Not an end of the task either, which Airflow 3 would take for its own: what cannot be read may go on.
            pass
        else:
            if run.state.is_final:
                return
    what = f"run {record.run_id}" if record.run_id is not None else f"a run with the key {record.key}"
    raise RunStillActive(
        f"Airflow's own try of this task instance has submitted {what}, which may go on. A test neither takes it over "
        "nor submits another one beside it. Leave the DAG run out of the command: then the test gets one of its own.",
        run_id=record.run_id or "",
    )
