"""How a container's blobs are reached: its address, and the right to list it.

The right is a bearer token of the connection's identity, a SAS that somebody gave, or a short-lived SAS made from an
account key. Listing itself is :mod:`aml_provider.blobs.folder`'s.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from aml_provider.blobs import folder as blobs
from aml_provider.client import calls
from aml_provider.client.errors import (
    BadRequest,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ServerFault,
    ServiceError,
    Throttled,
)
from aml_provider.client.protocol import Request
from aml_provider.client.settings import STORAGE_SCOPE

if TYPE_CHECKING:
    from aml_provider.blobs.changes import Detection, FolderState
    from aml_provider.client.entities import Datastore
    from aml_provider.client.protocol import Flow, Reply
    from aml_provider.client.settings import WorkspaceSettings

# Kinds whose containers the Blob service lists.
_BLOB_KINDS = frozenset({"AzureBlob", "AzureDataLakeGen2"})
# Long enough for the longest listing; a new one is made for each poll.
_SAS_LIFETIME = timedelta(hours=1)


class ContainerAccess:
    """The right to list one container.

    Args:
        sas: A SAS token; with or without its question mark.
        account_name: With ``account_key``: the account that the key belongs to.
        account_key: A key from which SAS tokens are made.

    Without any of them the connection's identity is used.
    """

    def __init__(self, *, sas: str = "", account_name: str = "", account_key: str = "") -> None:
        self._sas = sas.lstrip("?")
        self._account_name = account_name
        self._account_key = account_key

    def __repr__(self) -> str:
        return f"ContainerAccess({self.kind})"

    @property
    def kind(self) -> str:
        """In what way, for people."""
        return "SAS" if self._sas else "account key" if self._account_key else "the connection's identity"

    @property
    def uses_identity(self) -> bool:
        """Whether requests carry a bearer token."""
        return not (self._sas or self._account_key)

    def signature(self, container_url: str) -> tuple[tuple[str, str], ...]:
        """The query parameters that sign a request; empty when a bearer token does."""
        if self._account_key and not self._sas:
            # Some 150 ms for the first import: event loops call this in a thread.
            from azure.storage.blob import ContainerSasPermissions, generate_container_sas  # noqa: PLC0415

            try:
                token = generate_container_sas(
                    self._account_name,
                    container_url.rpartition("/")[2],
                    account_key=self._account_key,
                    permission=ContainerSasPermissions(list=True),
                    expiry=datetime.now(UTC) + _SAS_LIFETIME,
                )
            except ValueError as error:
                raise InvalidArgument("account key", "is not base64 text; was it cut off?") from error
            return tuple(parse_qsl(token))
        return tuple(parse_qsl(self._sas))


class Location(NamedTuple):
    """A folder and the right to list it."""

    folder: blobs.Folder
    access: ContainerAccess


def locate_datastore(settings: WorkspaceSettings, datastore: str, path: str) -> Flow[Location]:
    """Ask the workspace where a datastore's blobs are and how they are reached.

    Raises:
        InvalidArgument: There is no such datastore, or its kind has no blobs; or ``path`` cannot be used.
    """
    blobs.normalise_path(path)
    try:
        store: Datastore = yield calls.get_datastore(datastore)
    except NotFound as error:
        raise InvalidArgument(
            "datastore", f"the workspace {settings.workspace_name!r} has no datastore {datastore!r}"
        ) from error
    if store.kind not in _BLOB_KINDS:
        raise InvalidArgument(
            "datastore", f"{datastore!r} is of kind {store.kind}; only {' and '.join(sorted(_BLOB_KINDS))} hold blobs"
        )
    base = settings.blob_endpoint or f"{store.protocol}://{store.account}.blob.{store.endpoint}"
    folder = blobs.Folder.at(
        f"{base.rstrip('/')}/{store.container}", path, datastore, allow_http=settings.blob_endpoint is not None
    )
    if store.credential_type == "Sas":
        return Location(folder, ContainerAccess(sas=store.sas_token))
    if store.credential_type == "AccountKey":
        return Location(folder, ContainerAccess(account_name=store.account, account_key=store.account_key))
    return Location(folder, ContainerAccess())


def poll_folder(state: FolderState, access: ContainerAccess, signature: tuple[tuple[str, str], ...]) -> Flow[Detection]:
    """List the folder to its end and compare it with what the state knows.

    Args:
        state: What is known; it does not change.
        access: The right to list.
        signature: What ``access.signature()`` gave for this poll.

    Raises:
        ServiceError: A page could not be read: the poll is void and nothing moves.
        Unreachable: No connection came about.
        ReplyLost: The connection broke.
    """
    machine = blobs.poll(state)
    try:
        wanted = next(machine)
        while True:
            reply: Reply = yield Request(
                operation="list blobs",
                method="GET",
                url=wanted.url,
                query=(*wanted.params.items(), *signature),
                headers=tuple(wanted.headers.items()),
                scope=STORAGE_SCOPE if access.uses_identity else None,
            )
            if reply.status != 200:
                raise _refusal(state, access, reply)
            wanted = machine.send(blobs.Reply(reply.status, reply.body, reply.headers.get("date")))
    except StopIteration as stop:
        detection: Detection = stop.value
        return detection


def _refusal(state: FolderState, access: ContainerAccess, reply: Reply) -> ServiceError:
    """What a page's refusal means for the person who reads it."""
    kind: type[ServiceError] = BadRequest
    url = state.folder.container_url
    hint = ""
    if reply.status in {401, 403}:
        kind = PermissionDenied
        hint = (
            f"Listing {url} with {access.kind} was refused; an identity needs the role 'Storage Blob Data Reader' on "
            "the container, a SAS the permission to list, and the account's firewall has to let this host in."
        )
    elif reply.status == 404:
        kind = NotFound
        hint = f"Is there a container {url}?"
    elif reply.status == 429:
        kind = Throttled
    elif reply.status >= 500 or reply.status == 408:
        kind = ServerFault
    code, message = blobs.error_facts(reply.body)
    ids = [f"x-ms-client-request-id={reply.request_id}"]
    if "x-ms-request-id" in reply.headers:
        ids.append(f"x-ms-request-id={reply.headers['x-ms-request-id']}")
    return kind("list blobs", status=reply.status, code=code, message=message, request_ids=ids, hint=hint)
