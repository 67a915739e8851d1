"""The Airflow connection of type ``azureml``: what its fields mean, and how our errors become Airflow's."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aml_provider.client.errors import AzureMLError, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.providers.common.compat.sdk import Connection

    from aml_provider.client.secret import Secret
    from aml_provider.client.settings import WorkspaceSettings

CONN_TYPE = "azureml"
DEFAULT_CONN_ID = "azureml_default"

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"", "false", "0", "no", "off", "none"})
_WORKSPACE = ("subscription_id", "resource_group", "workspace_name")
# Where these are in a workspace's resource id.
_SCOPE = r"/?subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/[^/]+/workspaces/([^/]+)(?:/.*)?"


def read_settings(
    *, login: str | None, password: str | None, extra: Mapping[str, Any], trusted_endpoints: tuple[str, ...] = ()
) -> WorkspaceSettings:
    """Make settings of a connection's fields.

    The workspace is named by ``subscription_id``, ``resource_group`` and ``workspace_name``, each from the extra field
    of that name, else from ``config_json`` (the workspace's ``config.json``, as text or as an object; its old form with
    the one key ``Scope`` too).

    Args:
        login: The client id.
        password: The client secret, or the static token.
        extra: The connection's extra fields. Airflow 2 may hold them as ``extra__azureml__name``.
        trusted_endpoints: What the configuration adds to the cloud's own hosts.

    Raises:
        InvalidArgument: A field that cannot be used; the message names it.
    """
    from aml_provider.client.settings import CLOUDS, WorkspaceSettings

    if not isinstance(extra, Mapping):
        raise InvalidArgument("extra", "is not a JSON object")
    prefix = f"extra__{CONN_TYPE}__"
    # Where both are there, the plain name wins unless it is empty.
    fields = {name.removeprefix(prefix): value for name, value in extra.items() if name.startswith(prefix)}
    fields |= {name: value for name, value in extra.items() if not _is_blank(value) or name not in fields}
    config = _read_config(fields.get("config_json"))

    def text(name: str) -> str | None:
        value = fields.get(name)
        if _is_blank(value):
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
        client_id=(login or "").strip() or None,
        # A line break is easily pasted along, and no secret of Azure's ends in one.
        secret=_secret((password or "").strip()),
        certificate_path=text("certificate_path"),
        certificate_password=_secret(text("certificate_password")),
        blob_endpoint=text("blob_endpoint"),
        allow_http=_flag("allow_http", fields.get("allow_http")),
        trusted_endpoints=trusted_endpoints,
    )


def _secret(value: str | None) -> Secret[str] | None:
    from aml_provider.client.secret import Secret

    return Secret(value) if value else None


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _flag(name: str, value: Any) -> bool:
    text = str(value if value is not None else "").strip().lower()
    if text not in _TRUE | _FALSE:
        raise InvalidArgument(name, f"is {value!r}; use true or false")
    return text in _TRUE


def _read_config(value: Any) -> dict[str, Any]:
    """The three names in a workspace's ``config.json``."""
    if _is_blank(value):
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
        found = re.fullmatch(_SCOPE, str(scope).strip(), re.IGNORECASE)
        if found is None:
            raise InvalidArgument("config_json", f"has a Scope that is no workspace's resource id: {scope!r}")
        return dict(zip(_WORKSPACE, found.groups(), strict=True))
    return {name: value.get(name) for name in _WORKSPACE}


def _trusted_endpoints() -> tuple[str, ...]:
    """What whoever operates Airflow trusts beside the cloud's own hosts; a connection cannot add to it."""
    from airflow.providers.common.compat.sdk import conf

    from aml_provider.client.settings import read_trusted

    return read_trusted(conf.get("azureml", "trusted_endpoints", fallback="") or "")


def settings_of(
    connection: Connection, *, extra: Mapping[str, Any] | None = None, named: bool = True
) -> WorkspaceSettings:
    """Make settings of an Airflow connection, however it was defined.

    Args:
        connection: The connection.
        extra: Its extra, where that was read already (an event loop must not let the connection read it).
        named: Errors name the connection too, beside the field.

    Raises:
        InvalidArgument: A field that cannot be used; the message names it.
    """
    where = f"connection {connection.conn_id!r}, " if named else ""
    trusted = _trusted_endpoints()
    try:
        return read_settings(
            login=connection.login,
            password=connection.password,
            extra=connection.extra_dejson if extra is None else extra,
            trusted_endpoints=trusted,
        )
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}{error.argument}", error.problem) from error


@contextmanager
def told_why_not_found(conn_id: str) -> Iterator[None]:
    """Say so where a connection is not found because it cannot be read: Airflow passes over a variable with a typo.

    Raises:
        AirflowNotFoundException: There is no such connection.
    """
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    try:
        yield
    except AirflowNotFoundException as error:
        problem = _typo_in_variable(f"AIRFLOW_CONN_{conn_id.upper()}")
        if problem is None:
            raise
        raise AirflowNotFoundException(f"{error}: {problem}") from error


def _typo_in_variable(name: str) -> str | None:
    """Where it is, and nothing of what is there: it may be a secret, and the decoder's error holds it all."""
    text = os.environ.get(name, "").strip()
    if not text.startswith("{"):
        return None
    try:
        json.loads(text)
    except ValueError as error:
        return f"the environment variable {name} is set, but is not JSON: {error}"
    return None


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
