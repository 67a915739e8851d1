"""Reads and writes Airflow Variables in the same way on Airflow 2 and 3."""

from __future__ import annotations

from aml_provider.stored import StorageError


def read(key: str) -> str | None:
    """Read a Variable. Returns None only if it is certain that it does not exist.

    Airflow answers "not found" also when a secrets backend, its own API or its database failed (2.11:
    ``Variable.get_variable_from_secrets``, 3.x: ``airflow.sdk.execution_time.context._get_variable``; both log it and
    continue). If an intent or a cursor only seemed absent, there would be a second run, or changes would be lost. So
    absence is checked in a second way.

    Raises:
        StorageError: It exists and cannot be read at the moment.
    """
    from aml_provider.compat import Variable

    # By position: the default is named default_var on Airflow 2 and default on Airflow 3.
    value = Variable.get(key, None)
    if value is None and _exists(key):
        raise StorageError(f"The Variable {key} exists but could not be read; see the log above for Airflow's reason")
    return None if value is None else str(value)


def write(key: str, value: str, description: str) -> None:
    """Write a Variable; when this returns, it is stored.

    A read may still return another value: Airflow reads secrets backends and the environment first, and writes to
    neither. A caller that relies on the written value must read it back, and raise
    :func:`aml_provider.stored.overridden` if it differs.
    """
    from aml_provider.compat import Variable

    Variable.set(key, value, description=description)


def delete(key: str) -> None:
    """Delete a Variable, if there is one."""
    from aml_provider.compat import Variable

    Variable.delete(key)


def _exists(key: str) -> bool:
    from aml_provider.compat import Variable

    if hasattr(Variable, "keys"):  # Airflow 3.3 reads these from the database
        return key in list(Variable.keys(prefix=key))
    try:
        from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS
    except ImportError:
        return _exists_in_database(key)
    answer = SUPERVISOR_COMMS.send(GetVariable(key=key))
    return not isinstance(answer, ErrorResponse) or answer.error.value != "VARIABLE_NOT_FOUND"


def _exists_in_database(key: str) -> bool:
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session

    with create_session() as session:
        return session.query(Variable.key).filter(Variable.key == key).first() is not None
