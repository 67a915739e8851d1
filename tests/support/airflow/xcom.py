"""What Airflow stores of a task's result, and what the next task reads; without a database."""

from __future__ import annotations

import json
from typing import Any

from airflow import __version__

# Nothing of ours may be imported here: a test shows that a worker does without it.
AIRFLOW_3 = int(__version__.partition(".")[0]) >= 3


def stored(value: Any) -> str:
    """The text that Airflow stores as XCom."""
    if not AIRFLOW_3:
        from airflow.models.xcom import BaseXCom

        return BaseXCom.serialize_value(value).decode()
    from airflow.sdk.bases.xcom import BaseXCom

    return json.dumps(BaseXCom.serialize_value(value), allow_nan=False)


def read(text: str) -> Any:
    """What a task gets of it."""
    if not AIRFLOW_3:
        from airflow.utils.json import XComDecoder

        return json.loads(text, cls=XComDecoder)
    from support.airflow.moved import deserialize

    return deserialize(json.loads(text))
