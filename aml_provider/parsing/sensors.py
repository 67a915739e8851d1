"""Checks of the sensors' arguments when the DAG file is parsed. Loaded when a sensor is made, not with its class."""

from __future__ import annotations

from typing import Any

from aml_provider.client.arguments import as_flag, as_moment, as_name
from aml_provider.durations import in_seconds
from aml_provider.parsing.literals import Literals


def check_run_sensor(task: Any) -> None:
    """Check the arguments of the pipeline run sensor.

    Raises:
        InvalidTask: Some arguments cannot be used; the message names all of them.
    """
    with Literals(task) as literals:
        literals.check("run_id", as_name)
        _check_polling(literals, task)


def check_schedule_sensor(task: Any) -> None:
    """Check the arguments of the schedule run sensor; raises as :func:`check_run_sensor` does."""
    with Literals(task) as literals:
        names = ("schedule_id", "schedule_name", "job_schedule_name")
        literals.exactly_one(*names)
        for name in names:
            literals.check(name, as_name, optional=True)
        literals.check("since", as_moment, optional=True)
        _check_polling(literals, task)


def check_blob_sensor(task: Any) -> None:
    """Check the arguments of the blob sensor; raises as :func:`check_run_sensor` does."""
    from aml_provider.blobs.folder import Folder, as_store_path, normalise_path
    from aml_provider.blobs.queue_address import check_wake_queue
    from aml_provider.blobs.rules import Rules

    def as_container(_: str, value: Any) -> Folder:
        # The connection decides on the worker whether http is allowed.
        return Folder.at(value, allow_http=True)

    with Literals(task) as literals:
        literals.exactly_one("datastore", "container_url")
        literals.goes_with("wasb_conn_id", "container_url")
        for name in ("datastore", "wasb_conn_id", "cursor_key"):
            literals.check(name, as_name, optional=True)
        literals.check("container_url", as_container, optional=True)
        literals.check("path", lambda _, value: normalise_path(value))
        literals.check("pattern", lambda _, value: Rules.of(pattern=value))
        literals.differs_with(
            "pattern",
            ("cursor_key", "path"),
            "is a template, and cursor_key is not: in a shared cursor, a blob that one pattern does not match counts "
            "as seen, and is never reported for another one. Write the template into cursor_key too, such as "
            f"cursor_key='{task.task_id}_{{{{ ... }}}}'",
        )
        literals.check("settle", lambda name, value: Rules.of(settle=in_seconds(name, value)))
        literals.check("ignore_empty", as_flag)
        literals.check("on_first_poll", lambda _, value: Rules.of(on_first_poll=value))
        literals.check("max_changes", lambda _, value: Rules.of(max_changes=value))
        literals.check("cursor_store", as_store_path, optional=True)
        literals.check("wake_queue", check_wake_queue, optional=True)
        literals.check("resync", lambda name, value: in_seconds(name, value, minimum=1.0))
        _check_polling(literals, task)


def _check_polling(literals: Literals, task: Any) -> None:
    literals.check("azureml_conn_id", as_name)
    literals.check("deferrable", as_flag)
    literals.check("timeout", in_seconds)
    if task.deferrable:
        literals.check("poke_interval", lambda name, value: in_seconds(name, value, minimum=0.1))
