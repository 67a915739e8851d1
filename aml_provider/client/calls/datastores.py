"""The operations on datastores. Their replies hold credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.client.calls.call import RIGHTS, WRITER, Call, each, flag, nothing, segment
from aml_provider.client.entities import Datastore

if TYPE_CHECKING:
    from collections.abc import Mapping

_WRITE = f"{RIGHTS}/datastores/write"
_READ_SECRETS = f"{RIGHTS}/datastores/read and {RIGHTS}/datastores/listsecrets/action"


def get_datastore(name: str) -> Call[Datastore]:
    """Read a datastore with its credentials."""
    return Call(
        operation=f"get datastore {name!r}",
        method="GET",
        service="datastore",
        path=f"/datastores/{segment('datastore', name)}",
        parse=Datastore.from_wire,
        secrets=lambda store: store.secrets,
        right=_READ_SECRETS,
        role=WRITER,
    )


def list_datastores(*, secrets: bool = True) -> Call[tuple[Datastore, ...]]:
    """List the workspace's datastores; without their credentials where ``secrets`` is False."""
    return Call(
        operation="list datastores",
        method="GET",
        service="datastore",
        path="/datastores",
        query=(("count", "100"), ("includeSecret", flag(value=secrets))),
        parse=lambda wire: each(Datastore.from_wire, wire),
        secrets=lambda stores: (secret for store in stores for secret in store.secrets),
        page_key="continuationToken",
        right=f"{RIGHTS}/datastores/read",
        role=WRITER,
    )


def get_default_datastore() -> Call[Datastore]:
    """Read the workspace's default datastore with its credentials."""
    return Call(
        operation="get the default datastore",
        method="GET",
        service="datastore",
        path="/default",
        parse=Datastore.from_wire,
        secrets=lambda store: store.secrets,
        right=_READ_SECRETS,
        role=WRITER,
    )


def set_default_datastore(name: str) -> Call[None]:
    """Make a datastore the workspace's default."""
    return Call(
        operation=f"make {name!r} the default datastore",
        method="PUT",
        service="datastore",
        path=f"/default/{segment('datastore', name)}",
        parse=nothing,
        right=_WRITE,
        role=WRITER,
    )


def _writing(create_if_not_exists: bool, skip_validation: bool) -> tuple[tuple[str, str], ...]:
    return ("createIfNotExists", flag(value=create_if_not_exists)), ("skipValidation", flag(value=skip_validation))


def register_datastore(
    wire: Mapping[str, Any], *, create_if_not_exists: bool = True, skip_validation: bool = False
) -> Call[None]:
    """Register a datastore in the service's own form (``name``, ``dataStoreType`` and its section)."""
    return Call(
        operation=f"register datastore {wire.get('name')!r}",
        method="POST",
        service="datastore",
        path="/datastores",
        query=_writing(create_if_not_exists, skip_validation),
        body=dict(wire),
        parse=nothing,
        repeatable=False,  # the second time it may be refused, because the name is taken
        right=_WRITE,
        role=WRITER,
    )


def update_datastore(
    name: str, wire: Mapping[str, Any], *, create_if_not_exists: bool = False, skip_validation: bool = False
) -> Call[None]:
    """Replace a datastore as a whole, in the service's own form.

    Sent once: a repetition after a failure would also undo what somebody else has written in between.
    """
    return Call(
        operation=f"update datastore {name!r}",
        method="PUT",
        service="datastore",
        path=f"/datastores/{segment('datastore', name)}",
        query=_writing(create_if_not_exists, skip_validation),
        body=dict(wire),
        parse=nothing,
        repeatable=False,
        right=_WRITE,
        role=WRITER,
    )


def delete_datastore(name: str) -> Call[None]:
    """Unregister a datastore; what it points to stays."""
    return Call(
        operation=f"delete datastore {name!r}",
        method="DELETE",
        service="datastore",
        path=f"/datastores/{segment('datastore', name)}",
        parse=nothing,
        repeatable=False,  # the second time it would not be found
        right=f"{RIGHTS}/datastores/delete",
        role=WRITER,
    )
