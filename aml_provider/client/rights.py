"""The actions that each use of a workspace needs, those that an identity lacks, and a role that grants them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from aml_provider.client.calls.call import RIGHTS, WRITER
from aml_provider.client.entities.permissions import covers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.client.entities import Permission

    Api = Literal["v1", "v2"]

APIS: tuple[Api, ...] = ("v1", "v2")
READER = "Reader"

USES = {
    "submit": "submit runs without waiting for them, and cancel the runs of cleared tasks",
    "submit-and-watch": "submit runs, wait for them, read their steps and logs, and cancel them",
    "schedules": "create and change native schedules, and follow their runs",
    "sensor": "watch a folder with the credential of its datastore",
    "run-events": "watch for runs that have ended, no matter who started them",
    "manage": "change pipelines, endpoints, experiments and datastores",
}
"""The uses of a workspace, each with its description."""

_SUBMITTING = ("submit", "submit-and-watch")


class Need(NamedTuple):
    """The actions that one kind of operation needs, below ``Microsoft.MachineLearningServices/workspaces/``.

    Attributes:
        purpose: The operations, as in the table of docs/set-up/connection.md.
        v1: The actions for published pipelines.
        v2: The actions for components.
        role: A built-in role that grants them.
        uses: The uses that it belongs to, some of :data:`USES`.
        by_service: Whether the service needs them in the identity's name, and not a request of ours.
    """

    purpose: str
    v1: tuple[str, ...]
    v2: tuple[str, ...]
    role: str
    uses: tuple[str, ...]
    by_service: bool = False


NEEDS = (
    Need("test the connection, or find its region", ("read",), ("read",), READER, tuple(USES)),
    Need(
        "find the pipeline, endpoint or component that a task runs, and check its inputs",
        ("endpoints/pipelines/read",),
        ("components/read", "components/versions/read", "batchEndpoints/read", "batchEndpoints/deployments/read"),
        READER,
        (*_SUBMITTING, "schedules"),
    ),
    Need(
        "check that the datastores of `data_paths` exist",
        ("datastores/read",),
        ("datastores/read",),
        READER,
        (*_SUBMITTING, "schedules"),
    ),
    Need(
        "submit a run",
        ("endpoints/pipelines/read", "experiments/runs/write", "experiments/runs/submit/action"),
        ("jobs/write",),
        WRITER,
        _SUBMITTING,
    ),
    # Published for v1 as the role MLOps (Microsoft Learn, "Manage access to Azure Machine Learning workspaces"), for v2
    # as a list (azureml-v2-rest 8.1); without writing code, which a registered component has already.
    Need(
        "let the service prepare the run in the identity's name",
        (
            "environments/read",
            "environments/write",
            "environments/build/action",
            "metadata/artifacts/read",
            "metadata/artifacts/write",
            "metadata/snapshots/read",
            "metadata/snapshots/write",
            "metadata/secrets/read",
            "modules/read",
            "datasets/registered/read",
        ),
        (
            "*/read",
            "environments/write",
            "environments/build/action",
            "environments/readSecrets/action",
            "metadata/artifacts/write",
        ),
        WRITER,
        _SUBMITTING,
        by_service=True,
    ),
    Need(
        "look up a submission whose reply was lost; wait for a run; read its steps, logs, outputs and metrics",
        ("experiments/runs/read",),
        ("jobs/read", "experiments/runs/read"),
        READER,
        (*_SUBMITTING, "run-events"),
    ),
    Need(
        "cancel a run; change its tags, properties, name or description",
        ("experiments/runs/write",),
        ("jobs/cancel/action", "experiments/runs/write"),
        WRITER,
        _SUBMITTING,
    ),
    Need(
        "read native schedules and their runs",
        ("endpoints/pipelines/read", "experiments/runs/read"),
        ("schedules/read", "jobs/read"),
        READER,
        ("schedules", "run-events"),
    ),
    Need(
        "create, change, enable, disable or delete native schedules",
        ("endpoints/pipelines/write",),
        ("schedules/write", "schedules/delete"),
        WRITER,
        ("schedules",),
    ),
    Need(
        "change, enable or disable pipelines and endpoints",
        ("endpoints/pipelines/write",),
        (),
        WRITER,
        ("manage",),
    ),
    Need("read experiments", ("experiments/read",), ("experiments/read",), READER, ("manage",)),
    Need(
        "create, change or delete experiments",
        ("experiments/write", "experiments/delete"),
        ("experiments/write", "experiments/delete"),
        WRITER,
        ("manage",),
    ),
    Need(
        "read a datastore's credential (sensor with `datastore=`)",
        ("datastores/read", "datastores/listsecrets/action"),
        ("datastores/read", "datastores/listsecrets/action"),
        WRITER,
        ("sensor",),
    ),
    Need("change or delete datastores", ("datastores/write", "datastores/delete"), (), WRITER, ("manage",)),
)
"""The needs of every operation of the client."""

READ_PERMISSIONS = "Microsoft.Authorization/permissions/read"
"""The action for reading one's own permissions."""


def needed(use: str, api: Api) -> tuple[str, ...]:
    """All actions that a use needs, in full, each once."""
    actions = [action for need in NEEDS if use in need.uses for action in (need.v1 if api == "v1" else need.v2)]
    return tuple(f"{RIGHTS}/{action}" for action in dict.fromkeys(actions))


def lacking(actions: Iterable[str], permissions: Iterable[Permission]) -> tuple[str, ...]:
    """Those of the actions that none of the permissions grants.

    An action with a wildcard is granted by a pattern that covers it as it is written.
    """
    known = tuple(permissions)
    return tuple(action for action in actions if not any(permission.grants(action) for permission in known))


def built_in_role(use: str, api: Api) -> str:
    """A built-in role that grants everything that a use needs."""
    actions = needed(use, api)
    return READER if all(action.endswith("/read") for action in actions) else WRITER


def role_definition(use: str, api: Api, scope: str) -> dict[str, Any]:
    """A custom role with exactly what a use needs, and the right to check that.

    Args:
        use: One of :data:`USES`.
        api: Whether it is for published pipelines or for components.
        scope: The resource group in which it can be assigned, by its id. Its name is part of the role's, as names of
            roles are unique in a tenant.

    Returns:
        The definition, as ``az role definition create --role-definition`` takes it.
    """
    actions = needed(use, api)
    # What a wildcard among them covers would only make it longer.
    shortest = [item for item in actions if not any(covers(other, item) for other in actions if other != item)]
    return {
        "Name": f"Airflow {use} ({api}) in {scope.rpartition('/')[2]}",
        "IsCustom": True,
        "Description": f"Airflow may {USES[use]}; Azure Machine Learning {api}.",
        "Actions": [*shortest, READ_PERMISSIONS],
        "NotActions": [],
        "AssignableScopes": [scope],
    }
