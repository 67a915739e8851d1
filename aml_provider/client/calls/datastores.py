"""The operations on datastores. Their replies hold credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import ARM_VERSION, RIGHTS, WRITER, Call, Resource, flag, nothing, segment
from aml_provider.client.entities import Datastore

if TYPE_CHECKING:
    from collections.abc import Mapping

_DATASTORES = Resource("datastore", "datastores")
_IN_ARM = Resource("arm", "datastores")


def _get(operation: str, path: str) -> Call[Datastore]:
    right = f"{RIGHTS}/datastores/read and {RIGHTS}/datastores/listsecrets/action"
    return _DATASTORES.read(
        operation, path, Datastore.from_wire, secrets=lambda store: store.secrets, right=right, role=WRITER
    )


def _path(name: str) -> str:
    return f"/datastores/{segment('datastore', name)}"


def get_datastore(name: str) -> Call[Datastore]:
    """Read a datastore with its credentials."""
    return _get(f"get datastore {name!r}", _path(name))


def get_arm_datastore(name: str) -> Call[Datastore]:
    """Read a datastore in Azure Resource Manager, without its credentials."""
    operation = f"get datastore {name!r} in Azure Resource Manager"
    return _IN_ARM.read(operation, _path(name), Datastore.from_arm, query=ARM_VERSION)


def list_arm_datastores(*, only_default: bool = False) -> Call[tuple[Datastore, ...]]:
    """List the workspace's datastores, or only its default one, in Azure Resource Manager, without credentials."""
    only = (("isDefault", "true"),) if only_default else ()
    query = (*ARM_VERSION, ("count", "30"), ("orderByAsc", "false"), *only)
    which = "the default datastore" if only_default else "datastores"
    return _IN_ARM.read_list(
        f"list {which} in Azure Resource Manager", "/datastores", Datastore.from_arm, query=query, page_key="$skip"
    )


def list_datastore_secrets(store: Datastore) -> Call[Datastore]:
    """Read the credentials of a datastore in Azure Resource Manager; returns the datastore with its credentials.

    Microsoft's SDK asks for credentials that expire after an hour; this version of the API cannot issue them.
    """
    return _IN_ARM.read(
        f"list the secrets of datastore {store.name!r}",
        f"{_path(store.name)}/listSecrets",
        store.with_secrets,
        method="POST",
        query=ARM_VERSION,
        right=f"{RIGHTS}/datastores/listsecrets/action",
        role=WRITER,
        secrets=lambda found: found.secrets,
    )


def list_datastores(*, secrets: bool = True) -> Call[tuple[Datastore, ...]]:
    """List the workspace's datastores; without their credentials if ``secrets`` is False."""
    return _DATASTORES.read_list(
        "list datastores",
        "/datastores",
        Datastore.from_wire,
        query=(("count", "100"), ("includeSecret", flag(value=secrets))),
        secrets=lambda stores: (secret for store in stores for secret in store.secrets),
        role=WRITER,
    )


def get_default_datastore() -> Call[Datastore]:
    """Read the workspace's default datastore with its credentials."""
    return _get("get the default datastore", "/default")


def set_default_datastore(name: str) -> Call[None]:
    """Make a datastore the workspace's default."""
    path = f"/default/{segment('datastore', name)}"
    return _DATASTORES.write(f"make {name!r} the default datastore", "PUT", path, nothing)


def _writing(create_if_not_exists: bool, skip_validation: bool) -> tuple[tuple[str, str], ...]:
    return ("createIfNotExists", flag(value=create_if_not_exists)), ("skipValidation", flag(value=skip_validation))


def register_datastore(
    wire: Mapping[str, Any], *, create_if_not_exists: bool = True, skip_validation: bool = False
) -> Call[None]:
    """Register a datastore in the service's own form (``name``, ``dataStoreType`` and its section)."""
    return _DATASTORES.write(
        f"register datastore {wire.get('name')!r}",
        "POST",
        "/datastores",
        nothing,
        query=_writing(create_if_not_exists, skip_validation),
        body=dict(wire),
        repeatable=False,  # the second time it may be refused, because the name is taken
    )


def update_datastore(
    name: str, wire: Mapping[str, Any], *, create_if_not_exists: bool = False, skip_validation: bool = False
) -> Call[None]:
    """Replace a datastore as a whole, in the service's own form.

    Sent once: a repetition after a failure would also undo what somebody else has written in between.
    """
    query = _writing(create_if_not_exists, skip_validation)
    return _DATASTORES.write(
        f"update datastore {name!r}", "PUT", _path(name), nothing, query=query, body=dict(wire), repeatable=False
    )


def delete_datastore(name: str) -> Call[None]:
    """Unregister a datastore; the storage that it points to stays."""
    return _DATASTORES.write(
        f"delete datastore {name!r}",
        "DELETE",
        _path(name),
        nothing,
        repeatable=False,  # the second time it would not be found
        right=f"{RIGHTS}/datastores/delete",
    )
