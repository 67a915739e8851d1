"""Names of Airflow that only tests use, and that are in other places in other versions, from 2.11 to 3.3.

The provider has a table of its own, which is not used here: a test shows that a worker does without anything of ours.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")
_MASKER = ("airflow.sdk._shared.secrets_masker", "airflow.utils.log.secrets_masker")
_BAG = ("airflow.dag_processing.dagbag", "airflow.models.dagbag")
# Where each name is, the newest place first; with another name there after a colon.
_PLACES = {
    "DEFAULT_SENSITIVE_FIELDS": _MASKER,
    "AirflowTaskTerminated": _EXCEPTIONS,
    "AssetEvent": ("airflow.models.asset", "airflow.models.dataset:DatasetEvent"),
    "AssetModel": ("airflow.models.asset", "airflow.models.dataset:DatasetModel"),
    "DagBag": _BAG,
    "DagSerialization": (
        "airflow.serialization.serialized_objects",
        "airflow.serialization.serialized_objects:SerializedDAG",
    ),
    "TaskDeferralError": _EXCEPTIONS,
    "_secrets_masker": _MASKER,
    "deserialize": ("airflow.sdk.serde", "airflow.serialization.serde"),
    "encode_asset_like": (
        "airflow.serialization.encoders",
        "airflow.serialization.serialized_objects:encode_asset_condition",
    ),
    # That of a task's process.
    "get_listener_manager": ("airflow.sdk.listener", "airflow.listeners.listener"),
    "sync_bag_to_db": _BAG,
}


def __getattr__(name: str) -> Any:
    """Import a name from the first place that has it."""
    for place in _PLACES.get(name, ()):
        module, _, renamed = place.partition(":")
        try:
            return getattr(import_module(module), renamed or name)
        except (ImportError, AttributeError):
            continue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
