"""What the test fills in for the placeholders of documents, such as ``<client id>``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID = "00000000-0000-4000-8000-{:012d}"

PLACEHOLDERS = {
    # Azure.
    "subscription id": _ID.format(1),
    "tenant id": _ID.format(2),
    "client id": _ID.format(3),
    "client secret": "made-up-secret",
    "object id": _ID.format(4),
    "principal id": _ID.format(5),
    "resource group": "my-group",
    "workspace": "my-workspace",
    "region": "westeurope",
    "storage account": "myaccount",
    "container": "my-container",
    "key vault": "my-vault",
    "identity": "airflow-azureml",
    "vnet": "my-network",
    "subnet": "my-subnet",
    # Kubernetes.
    "cluster": "my-cluster",
    "namespace": "airflow",
    "service account": "airflow-worker",
    "release": "airflow",
    "registry": "registry.example.com",
    "issuer": "https://issuer.example.com/made-up/",
    # Things of a workspace.
    "pipeline id": "10000000-0000-4000-8000-000000000001",
    "pipeline name": "score-files",
    "experiment": "scoring",
    "datastore": "workspaceblobstore",
    "token": "made-up-token",
}

# Those whose value the page's session knows, such as the newest run of the workspace.
OF_THE_SESSION = ("run id", "schedule id")

_PLACEHOLDER = re.compile(r"<([a-z](?:[a-z0-9 ]*[a-z0-9])?)>")


def fill(text: str, known: Mapping[str, str], *, strictly: bool = True) -> str:
    """Fill in the placeholders of a text.

    Args:
        text: Commands or Python.
        known: The values of the session's placeholders.
        strictly: Refuse what is not in the list. Comments in Python may have their own words in such brackets.

    Raises:
        LookupError: A placeholder is not in the list, and ``strictly``.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name in PLACEHOLDERS:
            return PLACEHOLDERS[name]
        if name in known:
            return known[name]
        if not strictly:
            return found[0]
        why = "there is none yet" if name in OF_THE_SESSION else f"the list has {sorted(PLACEHOLDERS)}"
        raise LookupError(f"<{name}> cannot be filled in: {why}")

    return _PLACEHOLDER.sub(value, text)
