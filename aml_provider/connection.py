"""The Airflow connection of type ``azureml``: its fields, and how our errors become Airflow's."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aml_provider.client.errors import AzureMLError, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aml_provider.client.secret import Secret
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.compat import Connection

CONN_TYPE = "azureml"
DEFAULT_CONN_ID = "azureml_default"

log = logging.getLogger(__name__)

# The fields of a connection in JSON.
_FIELDS = frozenset({"conn_type", "description", "extra", "host", "login", "password", "port", "schema"})
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"", "false", "0", "no", "off", "none"})
_WORKSPACE = ("subscription_id", "resource_group", "workspace_name")
# Extra fields of other connection types, and where their values belong here.
_ELSEWHERE = {
    "client_id": "the client id goes into the connection's login",
    "login": "the client id goes into the connection's login",
    "client_secret": "the client secret goes into the connection's password",
    "secret": "the client secret goes into the connection's password",
    "token": "the token goes into the connection's password",
    "password": "the client secret or token goes into the connection's password",
    "location": "did you mean 'region'?",
    "host": "did you mean 'endpoint'?",
    "url": "did you mean 'endpoint'?",
    "extra": "what is in it goes into the connection's extra itself",
    "scope": "did you mean 'Scope', the workspace's resource id?",
}
# The only key of a workspace's old config.json, which may be the whole extra.
_SCOPE_FIELD = "Scope"
# The places of the subscription, the resource group and the workspace in a workspace's resource id.
_SCOPE = (
    r"/?subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/Microsoft\.MachineLearningServices/"
    r"workspaces/([^/]+)(?:/.*)?"
)


def read_settings(
    *, login: str | None, password: str | None, extra: Mapping[str, Any], trusted_endpoints: tuple[str, ...] = ()
) -> WorkspaceSettings:
    """Read the workspace settings from a connection's fields.

    The workspace is named by ``subscription_id``, ``resource_group`` and ``workspace_name``. Each is read from the
    extra field of that name, else from the extra field ``Scope`` with the workspace's resource id, else from
    ``config_json``: the content of the workspace's ``config.json``, as text or as an object, also in its old form with
    the single key ``Scope`` (workspace-rest 1.1).

    Args:
        login: The client id.
        password: The client secret, or the static token.
        extra: The connection's extra fields. Airflow 2 may hold them as ``extra__azureml__name``.
        trusted_endpoints: Hosts that the configuration adds to the cloud's own.

    Raises:
        InvalidArgument: A field cannot be used; the message names it.
    """
    from aml_provider.client.settings import CLOUDS, WorkspaceSettings

    if not isinstance(extra, Mapping):
        raise InvalidArgument("extra", "is not a JSON object")
    fields = plain_fields(CONN_TYPE, extra)
    for name in unknown_fields(fields):
        meant = _meant_by(name)
        if meant:
            raise InvalidArgument(name, f"is not a field of this connection; {meant}")
    config = {**_read_config(fields.get("config_json")), **_read_scope(fields)}

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
        # A pasted secret often ends in a line break, and no secret of Azure does.
        secret=_secret((password or "").strip()),
        certificate_path=text("certificate_path"),
        certificate_password=_secret(text("certificate_password")),
        blob_endpoint=text("blob_endpoint"),
        datastore_api=text("datastore_api") or "auto",
        allow_http=_flag("allow_http", fields.get("allow_http")),
        trusted_endpoints=trusted_endpoints,
    )


def plain_fields(conn_type: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """The extra fields by their plain names: Airflow 2 may store ``name`` as ``extra__TYPE__name``.

    If both are stored, the plain name takes precedence unless its value is blank.
    """
    prefix = f"extra__{conn_type}__"
    fields = {name.removeprefix(prefix): value for name, value in extra.items() if name.startswith(prefix)}
    return fields | {name: value for name, value in extra.items() if not _is_blank(value) or name not in fields}


def _secret(value: str | None) -> Secret[str] | None:
    from aml_provider.client.secret import Secret

    return Secret(value) if value else None


def unknown_fields(fields: Mapping[str, Any]) -> list[str]:
    """The names of unknown extra fields that are filled in, except fields from the forms of other connection types."""
    from aml_provider.get_provider_info import get_provider_info

    known = get_provider_info()["connection-types"][0]["conn-fields"]
    return sorted(
        name
        for name, value in fields.items()
        if not (name in known or name == _SCOPE_FIELD or _is_blank(value) or name.startswith("extra__"))
    )


def _meant_by(name: str) -> str:
    """A hint that names the field that an unknown name probably means; empty if no field fits."""
    from aml_provider.get_provider_info import get_provider_info

    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").replace(" ", "_")
    for elsewhere, hint in _ELSEWHERE.items():
        if snake.replace("_", "") == elsewhere.replace("_", ""):
            return hint
    known = get_provider_info()["connection-types"][0]["conn-fields"]
    import difflib

    similar = difflib.get_close_matches(snake, known, n=1, cutoff=0.75)
    return f"did you mean {similar[0]!r}?" if similar else ""


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
            # Editors on Windows begin a file with a byte order mark, and it is pasted with the rest.
            value = json.loads(value.strip().removeprefix("\ufeff"))
        except (ValueError, RecursionError) as error:
            raise InvalidArgument("config_json", f"is not JSON: {_damage(error)}") from None
    if not isinstance(value, dict):
        raise InvalidArgument("config_json", "is not a JSON object; paste the workspace's config.json whole")
    scope = value.get(_SCOPE_FIELD)
    if scope:
        # The old form: one Azure Resource Manager id.
        names = _names_in(scope)
        if names is None:
            raise InvalidArgument(
                "config_json", f"has a Scope that is not the resource id of an Azure ML workspace: {scope!r}"
            )
        return names
    return {name: value.get(name) for name in _WORKSPACE}


def _read_scope(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The three names in the extra field ``Scope``; the extra is a config.json of the old form."""
    scope = fields.get(_SCOPE_FIELD)
    if _is_blank(scope):
        return {}
    names = _names_in(scope)
    if names is None:
        raise InvalidArgument(
            _SCOPE_FIELD,
            f"is {scope!r}, not the resource id of an Azure ML workspace, such as /subscriptions/ID/resourceGroups/"
            "NAME/providers/Microsoft.MachineLearningServices/workspaces/NAME",
        )
    for name, value in names.items():
        other = fields.get(name)
        # One of two equal forms would be a guess; config.json as a field of its own is only a default.
        if not _is_blank(other) and str(other).strip().casefold() != value.casefold():
            raise InvalidArgument(_SCOPE_FIELD, f"names the {name} {value!r}, but the field {name} is {other!r}")
    return names


def _names_in(scope: Any) -> dict[str, str] | None:
    """The subscription, resource group and workspace in a resource id; None if it is not one of a workspace."""
    found = re.fullmatch(_SCOPE, str(scope).strip(), re.IGNORECASE)
    return None if found is None else dict(zip(_WORKSPACE, found.groups(), strict=True))


def _trusted_endpoints() -> tuple[str, ...]:
    """The hosts that the administrator of Airflow trusts besides the cloud's own; a connection cannot add to them."""
    from aml_provider.client.settings import read_trusted
    from aml_provider.compat import conf

    return read_trusted(conf.get("azureml", "trusted_endpoints", fallback="") or "")


def settings_of(
    connection: Connection, *, extra: Mapping[str, Any] | None = None, named: bool = True
) -> WorkspaceSettings:
    """Read the workspace settings from an Airflow connection, however it was defined.

    Args:
        connection: The connection.
        extra: Its extra, if that was read already (in an event loop the connection must not read it itself).
        named: Whether errors name the connection in addition to the field.

    Raises:
        InvalidArgument: A field cannot be used; the message names it.
    """
    kind, where = getattr(connection, "conn_type", None), f"connection {connection.conn_id!r}, " if named else ""
    if kind and kind != CONN_TYPE:
        raise InvalidArgument(f"{where}conn_type", f"is {kind!r}; this needs a connection of type {CONN_TYPE!r}")
    variable = f"AIRFLOW_CONN_{(connection.conn_id or '').upper()}"
    if not kind and not os.environ.get(variable, "{").strip().startswith("{"):
        raise InvalidArgument(
            f"{where}conn_type",
            f"is empty; the environment variable {variable} has to begin with {CONN_TYPE}://, or to be JSON",
        )
    check_readable(where, connection)
    extra = extra_of(connection) if extra is None else extra
    trusted = _trusted_endpoints()
    try:
        settings = read_settings(
            login=connection.login, password=connection.password, extra=extra, trusted_endpoints=trusted
        )
    except InvalidArgument as error:
        untyped = "" if kind else f". It has no conn_type either; is it really written as one of type {CONN_TYPE!r}?"
        raise InvalidArgument(f"{where}{error.argument}", f"{error.problem}{untyped}") from None
    # If it were ignored, the token would go to Azure, and the request would wait there for minutes.
    if not _is_blank(connection.host) and settings.endpoint is None:
        raise InvalidArgument(
            f"{where}host", "is not used here; an address of the workspace goes into the extra field 'endpoint'"
        )
    if named:
        _warn_of(connection.conn_id, *unknown_fields(extra))
    return settings


def check_readable(where: str, connection: Connection) -> None:
    """Check that a connection's extra is JSON: Airflow treats other text as empty.

    Raises:
        InvalidArgument: It is not JSON; the message shows no part of it.
    """
    try:
        # Airflow 2 parses it when it is read.
        extra = connection.extra
        if isinstance(extra, str) and not _is_blank(extra):
            json.loads(extra)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{where}extra", f"is not JSON: {_damage(error)}") from None


def _damage(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def extra_of(connection: Connection) -> Any:
    """The extra as Airflow reads it: empty if it is not JSON, or is nested too deeply."""
    try:
        return connection.extra_dejson
    except RecursionError:
        return {}


async def async_extra_of(connection: Connection) -> Any:
    """The same as :func:`extra_of`, for an event loop, where ``extra_dejson`` must not call Airflow's masker."""
    from aml_provider.compat import get_async_extra_dejson

    try:
        return await get_async_extra_dejson(connection)
    except RecursionError:
        return {}


@functools.cache
def _warn_of(conn_id: str, *fields: str) -> None:
    """Warn of ignored fields, only once per process: a triggerer reads a connection for each of its waits."""
    if fields:
        log.warning("Connection %r has extra fields that are ignored: %s.", conn_id, ", ".join(fields))


@contextmanager
def explained_not_found(conn_id: str) -> Iterator[None]:
    """Explain why a connection was not found, if an environment variable defines it in a form that Airflow ignores.

    Raises:
        AirflowNotFoundException: There is no such connection.
    """
    from aml_provider.client.help import CONNECTION_NOT_FOUND, text_of, with_address
    from aml_provider.compat import AirflowNotFoundException

    try:
        yield
    except AirflowNotFoundException as error:
        problem = _problem_with_variable(f"AIRFLOW_CONN_{conn_id.upper()}")
        text = text_of(error) if problem is None else f"{text_of(error)}: the environment variable {problem}"
        raise AirflowNotFoundException(with_address(text, CONNECTION_NOT_FOUND)) from None


def _problem_with_variable(name: str) -> str | None:
    """The problem with an environment variable, without any part of its value, which may be a secret.

    The errors of parsers are left out too, because they quote the value.
    """
    if name not in os.environ:
        twin = next((other for other in os.environ if other.upper() == name), None)
        return twin and f"{twin} is set, but Airflow reads {name}, in capitals"
    text = os.environ[name].strip()
    if not text:
        return f"{name} is set, but empty"
    if not text.startswith("{"):
        return f"{name} is set, but {_problem_with_uri(text)}"
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"{name} is set, but is not JSON: {_damage(error)}"
    unknown = sorted(set(fields) - _FIELDS)
    if unknown:
        names = ", ".join(map(repr, unknown))
        return (
            f"{name} is set, but has {names}, which Airflow does not know; it knows {', '.join(sorted(_FIELDS))}, "
            "and a workspace's fields go into extra"
        )
    if "extra" in fields and (problem := _problem_with_extra(fields["extra"])):
        return f"{name} is set, but {problem}"
    return f"{name} is set, but Airflow cannot read its fields; port has to be a number, all others text"


def _problem_with_extra(extra: Any) -> str | None:
    """The problem with an extra because of which Airflow 3.1 counts the whole connection as missing."""
    try:
        value = json.loads(extra) if isinstance(extra, str) and not _is_blank(extra) else extra
    except (ValueError, RecursionError) as error:
        return f"its extra is not JSON: {_damage(error)}"
    return None if isinstance(value, dict | str | None) else "its extra is not a JSON object"


def _problem_with_uri(text: str) -> str:
    encoded = "write / ? # [ ] : and @ in it as %2F %3F %23 %5B %5D %3A and %40, or use the JSON form"
    if text.count("://") > 1:
        return f"contains :// more than once, unencoded, as in an endpoint; {encoded}"
    if "://" not in text:
        return "is neither JSON nor a URI"
    fields = dict(parse_qsl(text.partition("?")[2]))
    if "__extra__" in fields and (problem := _problem_with_extra(fields["__extra__"])):
        return problem
    return f"cannot be read as a URI, perhaps because a secret contains reserved characters; {encoded}"


@contextmanager
def airflow_errors(conn_id: str | None = None) -> Iterator[None]:
    """Make permanent errors Airflow's own as well, so that they use up no retries. No other code does this.

    Args:
        conn_id: The connection in use, for the metric that counts errors.

    Raises:
        AirflowFailException: The error is permanent: a retry would fail the same way. It still has its own class too.
        AzureMLError: Any other error, unchanged; the task fails and may be retried.
    """
    try:
        yield
    except AzureMLError as error:
        from aml_provider import metrics
        from aml_provider.compat import AirflowFailException

        metrics.failed(error, conn_id)
        if not error.permanent or isinstance(error, AirflowFailException):
            raise
        from aml_provider.fail_errors import fail_error

        # A second traceback in the task's log would say the same.
        raise fail_error(error) from None
