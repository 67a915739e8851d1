"""Azure's own list of what a role can grant below a workspace, for the kinds of things that the client uses.

From Microsoft Learn, "Azure permissions for AI + machine learning", of 7 February 2024. Azure refuses to create a
custom role with an action that is in none of its lists.
"""

from __future__ import annotations

_OPERATIONS = {
    "": "read write delete listKeys/action resynckeys/action listStorageAccountKeys/action",
    "batchEndpoints": "read write delete listKeys/action",
    "batchEndpoints/deployments": "read write delete",
    "batchEndpoints/deployments/jobs": "read write delete",
    "batchEndpoints/jobs": "read write delete",
    "codes": "read write delete",
    "codes/versions": "read write delete",
    "components": "read write delete",
    "components/versions": "read write delete",
    "computes": "read write delete listKeys/action listNodes/action start/action stop/action restart/action",
    "data": "read write delete",
    "data/versions": "read write delete",
    "datasets": "read write delete",
    "datasets/registered": "read write delete",
    "datasets/unregistered": "read write delete",
    "datasets/versions": "read write delete",
    "datastores": "read write delete listsecrets/action",
    "endpoints/pipelines": "read write",
    "environments": "read readSecrets/action write build/action",
    "environments/versions": "read write delete",
    "experiments": "read write delete",
    "experiments/runs": "submit/action read write delete",
    "jobs": "read write delete cancel/action",
    "jobs/operationresults": "read",
    "metadata/artifacts": "read write delete",
    "metadata/secrets": "read write delete",
    "metadata/snapshots": "read write delete",
    "metrics/resource": "write",
    "models": "read write delete package/action",
    "models/versions": "read write delete",
    "modules": "read write",
    "pipelinedrafts": "read write delete",
    "schedules": "read write delete",
}
OPERATIONS = frozenset(
    f"{kind}/{operation}".removeprefix("/")
    for kind, operations in _OPERATIONS.items()
    for operation in operations.split()
)
