"""How a connection whose extra cannot be read is refused, on the Airflow at hand."""

from __future__ import annotations

from aml_provider.compat import (
    AIRFLOW_V_3_0_PLUS,
    AIRFLOW_V_3_3_PLUS,
    AirflowFailException,
    AirflowNotFoundException,
)

#: Airflow 3.1 counts such a connection as missing; we add why.
COUNTS_AS_MISSING = AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_3_PLUS
UNREADABLE = (AirflowFailException, AirflowNotFoundException) if COUNTS_AS_MISSING else AirflowFailException


def names(error: str, conn_id: str, problem: str) -> bool:
    """Whether an error names the connection and the problem, in our words or after Airflow's."""
    if f"connection {conn_id!r}, {problem}" in error:
        return True
    variable = f"AIRFLOW_CONN_{conn_id.upper()} is set, but its {problem.replace('extra: ', 'extra ')}"
    return COUNTS_AS_MISSING and variable in error
