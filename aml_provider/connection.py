"""The Airflow connection of type ``azureml``: what its fields mean, and how our errors become Airflow's."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aml_provider.client.errors import AzureMLError, InvalidArgument
from aml_provider.client.settings import CLOUDS, WorkspaceSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow.providers.common.compat.sdk import Connection

CONN_TYPE = "azureml"
DEFAULT_CONN_ID = "azureml_default"

_TRUE = frozenset({"true", "1", "yes", "on"})


def read_settings(*, login: str | None, password: str | None, extra: Mapping[str, Any]) -> WorkspaceSettings:
    """Make settings of a connection's fields.

    The workspace is named by ``subscription_id``, ``resource_group`` and ``workspace_name``, each from the extra field
    of that name, else from ``config_json`` (the workspace's ``config.json``, as text or as an object; its old form with
    the one key ``Scope`` too).

    Args:
        login: The client id.
        password: The client secret, or the static token.
        extra: The connection's extra fields. Airflow 2 may hold them as ``extra__azureml__name``.

    Raises:
        InvalidArgument: A field that cannot be used; the message names it.
    """
    fields = {name.removeprefix(f"extra__{CONN_TYPE}__"): value for name, value in extra.items()}
    config = _read_config(fields.get("config_json"))

    def text(name: str) -> str | None:
        value = fields.get(name)
        if value is None or value == "":
            value = config.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise InvalidArgument(name, f"is a {type(value).__name__}; use text")
        return value.strip() or None

    cloud = text("cloud") or "public"
    if cloud not in CLOUDS:
        raise InvalidArgument("cloud", f"is {cloud!r}; use one of {', '.join(CLOUDS)}")
    return WorkspaceSettings(
        subscription_id=text("subscription_id") or "",
        resource_group=text("resource_group") or "",
        workspace_name=text("workspace_name") or "",
        region=text("region"),
        endpoint=text("endpoint"),
        cloud=CLOUDS[cloud],
        auth_method=text("auth_method") or "default",
        tenant_id=text("tenant_id"),
        client_id=login or None,
        secret=password or None,
        certificate_path=text("certificate_path"),
        certificate_password=text("certificate_password"),
        blob_endpoint=text("blob_endpoint"),
        allow_http=str(fields.get("allow_http") or "").lower() in _TRUE,
    )


def _read_config(value: Any) -> dict[str, Any]:
    """The three names in a workspace's ``config.json``."""
    if value is None or value == "":
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise InvalidArgument("config_json", f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidArgument("config_json", "is not a JSON object; paste the workspace's config.json whole")
    scope = value.get("Scope")
    if scope:
        # The old form: one Azure Resource Manager id.
        pieces = str(scope).strip("/").split("/")
        if len(pieces) < 8:
            raise InvalidArgument("config_json", f"has a Scope that is no workspace's resource id: {scope!r}")
        return {"subscription_id": pieces[1], "resource_group": pieces[3], "workspace_name": pieces[7]}
    return {name: value.get(name) for name in ("subscription_id", "resource_group", "workspace_name")}


def settings_of(connection: Connection, *, extra: Mapping[str, Any] | None = None) -> WorkspaceSettings:
    """Make settings of an Airflow connection, however it was defined.

    Args:
        connection: The connection.
        extra: Its extra, where that was read already (an event loop must not let the connection read it).

    Raises:
        InvalidArgument: A field that cannot be used; the message names the connection and the field.
    """
    try:
        return read_settings(
            login=connection.login,
            password=connection.password,
            extra=connection.extra_dejson if extra is None else extra,
        )
    except InvalidArgument as error:
        raise InvalidArgument(f"connection {connection.conn_id!r}, {error.argument}", error.problem) from error


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Turn permanent errors into Airflow's own, so that they do not consume retries; this is the one place for it.

    Raises:
        AirflowFailException: The error is permanent: trying again meets the same wall.
        AzureMLError: Any other one, as it is; the task fails and may be retried.
    """
    try:
        yield
    except AzureMLError as error:
        if not error.permanent:
            raise
        from airflow.providers.common.compat.sdk import AirflowFailException

        raise AirflowFailException(str(error)) from error
