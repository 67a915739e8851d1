"""The watched folder and the identity that lists it, from a DAG author's arguments."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client.arguments import as_name
from aml_provider.client.errors import InvalidArgument
from aml_provider.compat import BaseHook
from aml_provider.connection import (
    CONN_TYPE,
    airflow_errors,
    async_extra_of,
    check_readable,
    explained_not_found,
    extra_of,
    plain_fields,
)
from aml_provider.hooks.workspace import WorkspaceHook, poll_policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aml_provider.blobs.access import ContainerAccess, Location
    from aml_provider.blobs.wasb import Rights
    from aml_provider.client.http.clients import AsyncClient, Client
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.secret import Secret
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.hooks.waking import Waking


class BlobLocation(NamedTuple):
    """A folder as an author names it, in plain values that a trigger can store.

    Args:
        datastore: A datastore of the workspace; give either this or ``container_url``.
        container_url: A container's address, without a query string.
        path: The folder in the container; empty for its root.
        wasb_conn_id: With ``container_url``: the connection of type ``wasb`` whose credential is used, instead of
            the identity of ``azureml_conn_id``.
        azureml_conn_id: The connection.
    """

    datastore: str | None
    container_url: str | None
    path: str
    wasb_conn_id: str | None
    azureml_conn_id: str

    @classmethod
    def of_cursor_store(cls, value: str | None, azureml_conn_id: str) -> BlobLocation | None:
        """The folder of ``cursor_store``; None if cursors are kept in Airflow's Variables.

        Raises:
            InvalidArgument: It is not ``STORE/FOLDER``: a datastore of the workspace and a folder in it.
        """
        from aml_provider.blobs.folder import as_store_path

        if value is None:
            return None
        datastore, path = as_store_path("cursor_store", value)
        return cls(datastore, None, path, None, azureml_conn_id)

    def is_same_folder(self, other: BlobLocation) -> bool:
        """Whether another folder has the same name. Two different names may still belong to one folder."""
        from aml_provider.blobs.folder import normalise_path

        return self.name == other.name and normalise_path(self.path) == normalise_path(other.path)

    @property
    def name(self) -> str:
        """The datastore or container, for keys and messages."""
        return self.datastore if self.datastore is not None else str(self.container_url)

    def check(self) -> None:
        """Check what can be checked without a connection.

        Raises:
            InvalidArgument: A value cannot be used; the message shows nothing that may be a secret.
        """
        from aml_provider.blobs.folder import Folder, normalise_path

        as_name("azureml_conn_id", self.azureml_conn_id)
        if (self.datastore is None) == (self.container_url is None):
            given = "both are" if self.datastore is not None else "neither is"
            raise InvalidArgument("datastore, container_url", f"{given} given after rendering; give one of them")
        for name in ("datastore", "wasb_conn_id"):
            value = getattr(self, name)
            if value is not None:
                as_name(name, value)
        if self.datastore is not None and self.wasb_conn_id is not None:
            raise InvalidArgument(
                "wasb_conn_id", "can be used only with container_url; a datastore has its own credential"
            )
        if self.container_url is not None:
            # The connection decides whether plain http is allowed.
            Folder.at(self.container_url, self.path, allow_http=True)
        normalise_path(self.path)

    @contextmanager
    def open(self, timeout: float | None = None) -> Iterator[tuple[Client, Location]]:
        """Open a client that may list the folder, on a worker.

        Args:
            timeout: The most seconds for retries; None: those of ``[azureml] retry_budget``.
        """
        from aml_provider import metrics
        from aml_provider.client.http.clients import Client
        from aml_provider.masking import mask

        policy, observe = poll_policy(timeout), metrics.exchanges(self.azureml_conn_id)
        with airflow_errors(self.azureml_conn_id):
            self.check()
        settings = WorkspaceHook(self.azureml_conn_id).settings()
        rights = None
        if self.wasb_conn_id is not None:
            with airflow_errors(self.azureml_conn_id), explained_not_found(self.wasb_conn_id):
                rights = WasbRights.of(BaseHook.get_connection(self.wasb_conn_id))
        with airflow_errors(self.azureml_conn_id):
            if rights is not None:
                mask(rights.secrets)
                settings = rights.settings(settings)
            with Client(settings, policy=policy, hide=mask, observe=observe) as client:
                location = client.run(self._locate(settings, rights))
                if location.settings is None:
                    yield client, location
                    return
            try:
                client = Client(location.settings, policy=policy, hide=mask, observe=observe)
            except InvalidArgument as error:
                # It names a field of the connection, but these values are from the datastore.
                raise InvalidArgument(
                    "datastore", f"{self.name!r} has a service principal that cannot be used: {error.text}"
                ) from None
            with client:
                yield client, location

    @asynccontextmanager
    async def async_open(self) -> AsyncIterator[tuple[AsyncClient, Location]]:
        """The twin of :meth:`open` for an event loop."""
        from aml_provider import metrics
        from aml_provider.client.http.clients import AsyncClient
        from aml_provider.compat import get_async_connection
        from aml_provider.masking import async_mask

        policy, observe = poll_policy(), metrics.exchanges(self.azureml_conn_id)
        with airflow_errors(self.azureml_conn_id):
            self.check()
        settings = await WorkspaceHook(self.azureml_conn_id).async_settings()
        rights = None
        if self.wasb_conn_id is not None:
            with explained_not_found(self.wasb_conn_id):
                connection = await get_async_connection(self.wasb_conn_id)
            with airflow_errors(self.azureml_conn_id):
                rights = WasbRights.of(connection, extra=await async_extra_of(connection))
        with airflow_errors(self.azureml_conn_id):
            if rights is not None:
                await async_mask(rights.secrets)
                settings = rights.settings(settings)
            async with AsyncClient(settings, policy=policy, hide=async_mask, observe=observe) as client:
                location = await client.run(self._locate(settings, rights))
                if location.settings is None:
                    yield client, location
                    return
            async with AsyncClient(location.settings, policy=policy, hide=async_mask, observe=observe) as client:
                yield client, location

    def _locate(self, settings: WorkspaceSettings, rights: WasbRights | None) -> Flow[Location]:
        from aml_provider.blobs.access import ContainerAccess, Location, locate_datastore
        from aml_provider.blobs.folder import Folder

        if self.datastore is not None:
            return (yield from locate_datastore(settings, self.datastore, self.path))
        folder = Folder.at(str(self.container_url), self.path, allow_http=settings.allow_http)
        if rights is None:
            return Location(folder, ContainerAccess())
        return Location(folder, rights.access(folder.container_url))


class WasbRights(NamedTuple):
    """The credential of a connection of Airflow's type ``wasb``, read as Airflow's own Azure provider reads it."""

    conn_id: str
    login: str
    password: str
    extra: dict[str, Any]
    host: str = ""

    def __repr__(self) -> str:
        return f"WasbRights({self.conn_id!r})"

    @classmethod
    def of(cls, connection: Any, *, extra: dict[str, Any] | None = None) -> WasbRights:
        """Read a connection.

        Raises:
            InvalidArgument: It has this provider's own type, or its extra is not a JSON object and no other field holds
                a right.
        """
        where = f"connection {connection.conn_id!r}, "
        if getattr(connection, "conn_type", None) == CONN_TYPE:
            raise InvalidArgument(
                "wasb_conn_id",
                f"{where}conn_type is {CONN_TYPE!r}; leave wasb_conn_id out to list as the identity of azureml_conn_id",
            )
        extra = extra_of(connection) if extra is None else extra
        if not connection.password:
            check_readable(f"wasb_conn_id: {where}", connection)
        if not isinstance(extra, dict):
            raise InvalidArgument("wasb_conn_id", f"{where}extra is not a JSON object")
        fields = plain_fields("wasb", extra)
        return cls(connection.conn_id, connection.login or "", connection.password or "", fields, connection.host or "")

    def _rights(self) -> Rights:
        from aml_provider.blobs.wasb import rights_of

        try:
            return rights_of(self.login, self.password, self.host, self.extra)
        except InvalidArgument as error:
            raise InvalidArgument(
                "wasb_conn_id", f"connection {self.conn_id!r}, {error.argument} {error.problem}"
            ) from None

    @property
    def secrets(self) -> tuple[Secret[str], ...]:
        """The values that no log may show.

        Raises:
            InvalidArgument: The connection cannot be read; the message shows no part of it.
        """
        from aml_provider.client.secret import Secret

        rights = self._rights()
        names = ("connection_string", "shared_access_key", "sas_token", "account_key")
        # A service principal signs in without the blanks around its password.
        given = (self.password, self.password.strip(), *(self.extra.get(name) for name in names))
        found = (*given, rights.sas, rights.key)
        return tuple(Secret(str(value)) for value in found if value)

    def settings(self, settings: WorkspaceSettings) -> WorkspaceSettings:
        """The settings with this connection's service principal, if it has one; else unchanged."""
        tenant_id = self._rights().tenant_id
        if not tenant_id:
            return settings
        from aml_provider.blobs.access import signed_in_as

        for name in ("login", "password"):
            if not getattr(self, name).strip():
                raise InvalidArgument(
                    "wasb_conn_id",
                    f"connection {self.conn_id!r} has a tenant_id, but no {name}; an application's id and secret are "
                    "its login and password",
                )

        return signed_in_as(settings, tenant_id=tenant_id, client_id=self.login.strip(), secret=self.password.strip())

    def access(self, container_url: str) -> ContainerAccess:
        """The right to list a container.

        Raises:
            InvalidArgument: The connection holds no right.
        """
        from aml_provider.blobs.access import ContainerAccess
        from aml_provider.blobs.wasb import account_of

        rights = self._rights()
        if rights.tenant_id:
            return ContainerAccess(identity=f"the service principal of connection {self.conn_id!r}")
        if rights.sas:
            return ContainerAccess(sas=rights.sas)
        if not rights.key:
            raise InvalidArgument(
                "wasb_conn_id",
                f"connection {self.conn_id!r} has no SAS, account key, connection string or service principal; leave "
                "wasb_conn_id out to list as the identity of azureml_conn_id",
            )
        # A key signs for the account in the address, not for one of another name.
        account = account_of(container_url) or rights.account
        if not account:
            raise InvalidArgument(
                "wasb_conn_id", f"connection {self.conn_id!r} has a key, but no account name as login"
            )
        return ContainerAccess(account_name=account, account_key=rights.key)


class FolderKey(NamedTuple):
    """Identifies the watchers that share a listing, because they need the same one at the same times.

    Attributes:
        location: The folder, its path normalised.
        ignore_empty: If False, the listing also requests the blobs' metadata.
        poll_interval: Seconds between two polls.
        waking: When a poll lists the folder; None: each poll does.
    """

    location: BlobLocation
    ignore_empty: bool
    poll_interval: float
    waking: Waking | None = None

    @property
    def azureml_conn_id(self) -> str:
        """The connection."""
        return self.location.azureml_conn_id

    def __str__(self) -> str:
        return f"{self.location.name}/{self.location.path}"
