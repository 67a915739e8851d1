"""Access to a container's blobs: its address, and the right to use it.

The right is a bearer token of an identity, a given SAS, or a short-lived SAS that is made from an account key.
"""

from __future__ import annotations

import base64
import dataclasses
import time
from binascii import Error as Base64Error
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

from aml_provider.blobs.folder import Folder, normalise_path
from aml_provider.client.errors import CredentialError, InvalidArgument
from aml_provider.client.flows.datastores import find_datastore
from aml_provider.client.secret import Secret
from aml_provider.client.settings import STORAGE_SCOPE

if TYPE_CHECKING:
    from aml_provider.client.entities import Datastore
    from aml_provider.client.http.messages import Flow, Request
    from aml_provider.client.http.reply import Reply
    from aml_provider.client.settings import WorkspaceSettings

# Kinds whose containers the Blob service lists.
_BLOB_KINDS = frozenset({"AzureBlob", "AzureDataLakeGen2"})
_SAS_LIFETIME = 3600.0
# When the service throttles, a listing may take longer than a SAS is valid: it is renewed half-way.
_RENEW_BEFORE = _SAS_LIFETIME / 2
# Parameters that may follow or precede a SAS that was copied from a request's address.
_REQUEST_PARAMETERS = frozenset(
    {"comp", "restype", "prefix", "delimiter", "marker", "maxresults", "include", "timeout", "snapshot", "versionid"}
)
_OWN_IDENTITY = "the connection's identity"


class Right(NamedTuple):
    """A right in a container, or in a queue of the same account.

    Attributes:
        letters: Its permissions in a SAS.
        role: The Azure role that grants it.
        words: Its description, for messages.
        place: The kind of place that it is a right in: ``container`` or ``queue``.
    """

    letters: str
    role: str
    words: str
    place: str = "container"


LIST = Right("l", "Storage Blob Data Reader", "list")
KEEP = Right("rcw", "Storage Blob Data Contributor", "read, create and write")
#: To peek at messages (r), and to delete those that were got (p).
PROCESS = Right("rp", "Storage Queue Data Message Processor", "read and process messages", "queue")


class ContainerAccess:
    """The right to a container, and to the queues of its account.

    Args:
        sas: A SAS token; it may have a leading question mark, line breaks, or plus signs that are not encoded.
        account_name: With ``account_key``: the account that the key belongs to.
        account_key: A key from which SAS tokens are made.
        identity: Without a SAS or a key: the name, for messages, of the identity whose bearer token is sent.
    """

    def __init__(
        self, *, sas: str = "", account_name: str = "", account_key: str = "", identity: str = _OWN_IDENTITY
    ) -> None:
        self._sas = _parameters(sas)
        #: The account of the key; empty if there is none.
        self.account_name = account_name
        self._account_key = account_key
        self._identity = identity
        self._made: dict[Right, tuple[float, tuple[tuple[str, str], ...]]] = {}

    def __repr__(self) -> str:
        return f"ContainerAccess({self.kind})"

    @property
    def kind(self) -> str:
        """The kind of right, for messages."""
        return "a SAS" if self._sas else "an account key" if self._account_key else self._identity

    @property
    def uses_identity(self) -> bool:
        """Whether requests carry a bearer token."""
        return not (self._sas or self._account_key)

    @property
    def is_own_identity(self) -> bool:
        """Whether requests carry a bearer token of the connection's own identity."""
        return self.uses_identity and self._identity == _OWN_IDENTITY

    def signature(self, url: str, right: Right = LIST) -> tuple[tuple[str, str], ...]:
        """The query parameters that sign a request; empty if it carries a bearer token.

        A SAS that is made from a key is cached, and renewed long before it expires. The first call spends some 150 ms
        on an import, so event loops call this in a thread.
        """
        if self._sas or not self._account_key:
            return self._sas
        now = time.time()
        expiry, signature = self._made.get(right, (0.0, ()))
        if expiry - now < _RENEW_BEFORE:
            expiry = now + _SAS_LIFETIME
            signature = self._sign(url, right, expiry)
            self._made[right] = expiry, signature
        return signature

    def _sign(self, url: str, right: Right, expiry: float) -> tuple[tuple[str, str], ...]:
        from azure.storage.blob import generate_account_sas, generate_container_sas  # noqa: PLC0415 - see signature()

        until = datetime.fromtimestamp(expiry, UTC)
        try:
            if right.place == "queue":
                # Messages are objects (o); Azurite also wants c to delete one.
                token = generate_account_sas(
                    self.account_name, self._account_key, "co", right.letters, until, services="q"
                )
            else:
                token = generate_container_sas(
                    self.account_name,
                    url.rpartition("/")[2],
                    account_key=self._account_key,
                    permission=right.letters,
                    expiry=until,
                )
        except ValueError:
            raise InvalidArgument("account key", "is not base64 text; was it cut off?") from None
        return tuple(parse_qsl(token))


def _parameters(sas: str) -> tuple[tuple[str, str], ...]:
    """The parameters of a SAS, without those of the request that it was copied from."""
    pairs = parse_qsl(sas.strip().lstrip("?"))
    # Neither signatures nor times contain blanks: a blank is a plus sign that was not encoded.
    return tuple(
        (name, value if name.startswith("rsc") else "+".join(value.split(" ")).strip())
        for name, value in pairs
        if name not in _REQUEST_PARAMETERS
    )


class Location(NamedTuple):
    """A folder and the right to it.

    Attributes:
        settings: The identity that makes the requests, if it is not the connection's.
        store: The datastore, if the folder was named by one.
    """

    folder: Folder
    access: ContainerAccess
    settings: WorkspaceSettings | None = None
    store: Datastore | None = None


def locate_datastore(settings: WorkspaceSettings, datastore: str, path: str) -> Flow[Location]:
    """Get the address of a datastore's blobs, and the right to them, from the workspace.

    Raises:
        InvalidArgument: There is no such datastore, its kind has no blobs or its credential cannot be used; or ``path``
            cannot be used.
    """
    normalise_path(path)
    store = yield from find_datastore(datastore)
    if store.kind not in _BLOB_KINDS:
        raise InvalidArgument(
            "datastore",
            f"{datastore!r} is of kind {store.kind}; only {' and '.join(sorted(_BLOB_KINDS))} hold blobs. Name one of "
            "these, or give the container's address as container_url",
        )
    base = settings.blob_endpoint or f"{store.protocol}://{store.account}.blob.{store.endpoint}"
    folder = Folder.at(
        f"{base.rstrip('/')}/{store.container}", path, datastore, allow_http=settings.blob_endpoint is not None
    )
    if store.credential_type == "None":
        # Also if the workspace's managed identity should be used (serviceDataAccessAuthIdentity), because only Azure's
        # own services can use that.
        return Location(folder, ContainerAccess(), store=store)
    if store.credential_type == "Sas" and store.sas_token:
        return Location(folder, ContainerAccess(sas=store.sas_token), store=store)
    if store.credential_type == "AccountKey" and store.account_key:
        access = ContainerAccess(account_name=store.account, account_key=store.account_key)
        return Location(folder, access, store=store)
    if store.credential_type == "ClientCredentials" and (store.principal.client_secret or store.principal.certificate):
        identity = f"the service principal of datastore {datastore!r}"
        return Location(folder, ContainerAccess(identity=identity), _settings_of(settings, store), store)
    if store.credential_type not in {"Sas", "AccountKey", "ClientCredentials"}:
        raise InvalidArgument(
            "datastore",
            f"{datastore!r} has a credential of the unknown kind {store.credential_type!r}; register it with an "
            "account key, a SAS, a service principal or identity-based, or give container_url",
        )
    raise InvalidArgument(
        "datastore",
        f"{datastore!r} has a credential of kind {store.credential_type}, but the workspace did not return it; the "
        "connection's identity needs the action Microsoft.MachineLearningServices/workspaces/datastores/listsecrets"
        "/action on the workspace",
    )


def signed_in_as(
    settings: WorkspaceSettings, *, tenant_id: str, client_id: str, secret: str = "", certificate: bytes = b""
) -> WorkspaceSettings:
    """The settings of a service principal. It always signs in at the connection's own cloud."""
    return dataclasses.replace(
        settings,
        auth_method="client_certificate" if certificate else "client_secret",
        tenant_id=tenant_id,
        client_id=client_id,
        secret=Secret(secret) if secret else None,
        certificate_path=None,
        certificate=Secret(certificate) if certificate else None,
        certificate_password=None,
        # It makes no requests to the workspace.
        endpoint=None,
        allow_http=False,
        # The connection already trusts its own blob hosts, also where it has a static token.
        trusted_endpoints=(*settings.trusted_endpoints, *settings.blob_hosts),
    )


def _settings_of(settings: WorkspaceSettings, store: Datastore) -> WorkspaceSettings:
    principal = store.principal
    for name in ("tenant_id", "client_id"):
        if not getattr(principal, name):
            raise InvalidArgument("datastore", f"{store.name!r} has a service principal without {name}")
    certificate = b""
    # The secret first: a datastore that was given a new secret may still return its old certificate.
    if not principal.client_secret:
        certificate = _certificate(store.name, principal.certificate)
    return signed_in_as(
        settings,
        tenant_id=principal.tenant_id,
        client_id=principal.client_id,
        secret=principal.client_secret,
        certificate=certificate,
    )


def _certificate(name: str, text: str) -> bytes:
    """The certificate as bytes: PEM is text, PKCS12 comes in base64."""
    if "-----BEGIN" in text:
        return text.encode()
    try:
        return base64.b64decode(text, validate=False)
    except (Base64Error, ValueError):
        raise InvalidArgument("datastore", f"{name!r} has a certificate that is neither PEM nor base64") from None


def ask(access: ContainerAccess, request: Request) -> Flow[Reply]:
    """Send a request that is signed already, or that carries a token.

    Raises:
        CredentialError: No token could be obtained; the message names the identity if it is not the connection's.
    """
    try:
        reply: Reply = yield request._replace(scope=STORAGE_SCOPE if access.uses_identity else None)
    except CredentialError as error:
        if access.is_own_identity:
            raise
        raise CredentialError(f"This is {access.kind}, not the connection: {error.text}") from None
    return reply
