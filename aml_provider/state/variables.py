"""Airflow Variables, alike on Airflow 2 and 3."""

from __future__ import annotations


def read(key: str) -> str | None:
    """Read a Variable; None when there is none."""
    from airflow.providers.common.compat.sdk import Variable

    # By position: the default is named default_var on Airflow 2 and default on Airflow 3.
    value = Variable.get(key, None)
    return None if value is None else str(value)


def write(key: str, value: str, description: str) -> None:
    """Write a Variable; when this returns, it is stored."""
    from airflow.providers.common.compat.sdk import Variable

    Variable.set(key, value, description=description)


def delete(key: str) -> None:
    """Delete a Variable, if there is one."""
    from airflow.providers.common.compat.sdk import Variable

    Variable.delete(key)
