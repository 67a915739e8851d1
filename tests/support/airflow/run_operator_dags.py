"""The DAGs of the run operator's tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aml_provider.compat import AIRFLOW_V_3_0_PLUS

FOLDER = Path(__file__).parents[2] / "dags" / "run_operator"


def load_dags(monkeypatch: Any) -> dict[str, Any]:
    """The DAGs by their ids, known to Airflow as a bundle of their own."""
    from support.airflow.moved import DagBag

    bundle = {"name": "run-operator", "kwargs": {"path": str(FOLDER)}}
    bundle["classpath"] = "airflow.dag_processing.bundles.local.LocalDagBundle"
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
    bag = DagBag(str(FOLDER), include_examples=False) if not AIRFLOW_V_3_0_PLUS else DagBag(str(FOLDER))
    assert bag.import_errors == {}
    dags: dict[str, Any] = bag.dags
    return dags
