"""The asset URI of a place in a datastore: ``azureml://SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE/datastores/STORE/paths/PATH``.

Airflow imports this module wherever a DAG file makes an asset, so it imports nothing of weight.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openlineage.client.event_v2 import Dataset as OpenLineageDataset

    from aml_provider.client.errors import InvalidArgument
    from aml_provider.compat import Asset

__all__ = ["DatastoreUri", "convert_asset_to_openlineage", "create_asset", "sanitize_uri"]

_SCHEME = "azureml"
_FORM = f"{_SCHEME}://SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE/datastores/STORE/paths/PATH"
# What follows subscription, resource group and workspace; "paths" alone is the root of the datastore.
_IN_WORKSPACE = re.compile(r"datastores/(?P<store>[^/]+)/paths(?:/(?P<path>.*))?", re.IGNORECASE)
# The same after Azure's own way to name a workspace (azureml-v2-rest 4.2).
_LONG = re.compile(
    r"subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)/(?:providers/"
    r"Microsoft\.MachineLearningServices/)?workspaces/(?P<workspace>[^/]+)/(?P<rest>.+)",
    re.IGNORECASE,
)
_SUBSCRIPTION = re.compile(r"[A-Za-z0-9-]+")
# Azure's rules, except for lengths; a resource group may also have letters of other scripts.
_GROUP = re.compile(r"[\w().-]*[\w()-]")
_WORKSPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
# As for data paths, see client/specs/run.py.
_STORE = re.compile(r"[A-Za-z0-9_-]+")
# Other addresses of Azure Machine Learning begin with these words in the place of the subscription.
_NO_SUBSCRIPTION = frozenset({"datastores", "locations", "registries", "subscriptions"})
_NO_PART = f"must not contain {{!r}}; in a blob's name, write {{}}: {_FORM}"
# Characters that the path of a URI has without a percent sign (RFC 3986, 3.3).
_PLAIN = "/!$&'()*+,;=:@~"


class DatastoreUri(NamedTuple):
    """A place in a datastore, with the workspace that the datastore belongs to.

    All but the path are in small letters, because Azure ignores their case. Make it with :meth:`at` or :meth:`of`,
    which check the parts.
    """

    subscription_id: str
    resource_group: str
    workspace_name: str
    datastore: str
    path: str = ""

    @classmethod
    def at(
        cls, subscription_id: str, resource_group: str, workspace_name: str, datastore: str, path: str = ""
    ) -> DatastoreUri:
        """Check the parts of a place.

        Args:
            subscription_id: The workspace's subscription.
            resource_group: The workspace's resource group.
            workspace_name: The workspace.
            datastore: The datastore's name.
            path: The blob or folder, not percent-encoded; empty for the root of the datastore.

        Raises:
            InvalidArgument: A part cannot be used; the message names it.
        """
        for what, value, form, rule in (
            ("subscription id", subscription_id, _SUBSCRIPTION, "letters, digits and hyphens"),
            (
                "resource group",
                resource_group,
                _GROUP,
                "letters, digits, '_', '-', '.' and brackets, no '.' at the end",
            ),
            ("workspace name", workspace_name, _WORKSPACE, "letters, digits, '_' and '-'"),
            ("datastore name", datastore, _STORE, "letters, digits, '_' and '-'"),
        ):
            # In small letters as well: a few letters become two, of which one is none, as in İ.
            if not isinstance(value, str) or not all(map(form.fullmatch, (value, value.lower()))):
                raise _wrong(f"must contain a {what} ({rule}), not {value!r}: {_FORM}")
        return cls(
            subscription_id.lower(),
            resource_group.lower(),
            workspace_name.lower(),
            datastore.lower(),
            _checked_path(path),
        )

    @classmethod
    def of(cls, text: str) -> DatastoreUri:
        """Read a URI, in the form of assets or in Azure's own long form.

        The long form is ``azureml://subscriptions/…/resourcegroups/…/workspaces/…/datastores/STORE/paths/PATH``.

        Raises:
            InvalidArgument: It is not the URI of a place in a datastore.
        """
        parts = urlsplit(text)
        if parts.scheme.lower() != _SCHEME:
            raise _wrong(f"must begin with {_SCHEME}://: {_FORM}")
        _check_plain(parts)
        # What urlsplit() cuts off or leaves out without a word would be missing in the blob's name.
        for character in "?#\t\r\n":
            if character in text:
                raise _wrong(_NO_PART.format(character, quote(character)))
        found = _LONG.fullmatch(f"{parts.netloc}{parts.path}")
        if found is None:
            return cls.parse(parts)
        return cls._of_parts(found["subscription"], found["group"], found["workspace"], found["rest"])

    @classmethod
    def parse(cls, parts: SplitResult) -> DatastoreUri:
        """Read a URI in the form of assets.

        Raises:
            InvalidArgument: It is not the URI of a place in a datastore. The message does not repeat a query string or
                a password, as these may be secrets.
        """
        _check_plain(parts)
        if not parts.netloc:
            raise _wrong(
                f"must name a place in a datastore, and this is a reference to a data asset or "
                f"to another resource: {_FORM}"
            )
        if parts.netloc.lower() in _NO_SUBSCRIPTION:
            try:
                meant = f"write {cls.of(parts.geturl())}" if parts.netloc.lower() == "subscriptions" else _FORM
            except ValueError:
                meant = _FORM
            raise _wrong(
                f"must begin with the subscription id, followed by the resource group and the "
                f"workspace, and not with {parts.netloc!r}: {meant}"
            )
        group, workspace, rest = [*parts.path.lstrip("/").split("/", 2), "", "", ""][:3]
        return cls._of_parts(parts.netloc, group, workspace, rest)

    @classmethod
    def _of_parts(cls, subscription_id: str, group: str, workspace: str, rest: str) -> DatastoreUri:
        found = _IN_WORKSPACE.fullmatch(rest)
        if found is None:
            raise _wrong(f"must contain datastores/STORE/paths/PATH after the workspace: {_FORM}")
        return cls.at(
            _decoded(subscription_id),
            _decoded(group),
            _decoded(workspace),
            _decoded(found["store"]),
            _decoded(found["path"] or ""),
        )

    @property
    def namespace(self) -> str:
        """The workspace, as the namespace of datasets in OpenLineage."""
        return f"{_SCHEME}://{self.subscription_id}/{quote(self.resource_group, safe=_PLAIN)}/{self.workspace_name}"

    @property
    def name(self) -> str:
        """The place in the workspace, as the name of a dataset in OpenLineage; not percent-encoded."""
        return f"datastores/{self.datastore}/paths/{self.path}".rstrip("/")

    def __str__(self) -> str:
        return f"{self.namespace}/{quote(self.name, safe=_PLAIN)}"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Check the URI of an asset; Airflow calls this for each asset whose URI has the scheme ``azureml``.

    In the normal form, subscription, resource group, workspace and datastore are lower-case, since Azure ignores their
    case. The path keeps its case; its characters are percent-encoded in one way only. Airflow 2 gets a URI in this
    form. Airflow 3 would keep the author's text as the asset's name, and two names for one place would be two assets,
    so there the author has to write the normal form; :func:`create_asset` does.

    Raises:
        InvalidArgument: It has another form. Airflow 3 raises this where the asset is made, Airflow 2 logs a warning
            (or raises it with ``[core] strict_dataset_uri_validation``).
    """
    from aml_provider.compat import AIRFLOW_V_3_0_PLUS  # noqa: PLC0415 - as in create_asset

    normal = urlsplit(str(DatastoreUri.parse(uri)))
    if AIRFLOW_V_3_0_PLUS and normal != uri:
        raise _wrong(
            f"must be in its normal form, because Airflow also takes the text as the asset's "
            f"name: write {normal.geturl()}"
        )
    return normal


def create_asset(
    *,
    uri: str | None = None,
    subscription_id: str = "",
    resource_group: str = "",
    workspace_name: str = "",
    datastore: str = "",
    path: str = "",
    extra: Mapping[str, Any] | None = None,
) -> Asset:
    """Make the asset (on Airflow 2: the dataset) of a place in a datastore.

    Args:
        uri: The whole URI, in the form of assets or in Azure's long form, as the studio shows it; or
        subscription_id: the workspace's subscription,
        resource_group: its resource group,
        workspace_name: its name,
        datastore: the name of one of its datastores, and
        path: the blob or folder, not percent-encoded; empty for the root of the datastore.
        extra: The asset's ``extra``.

    Raises:
        InvalidArgument: A part is missing or cannot be used; the message names it.
    """
    from aml_provider.compat import Asset  # noqa: PLC0415 - Airflow imports this module while it makes an asset

    if uri is None:
        place = DatastoreUri.at(subscription_id, resource_group, workspace_name, datastore, path)
    elif subscription_id or resource_group or workspace_name or datastore or path:
        raise _wrong("cannot be given together with parts of it")
    else:
        place = DatastoreUri.of(uri)
    return Asset(uri=str(place), extra=None if extra is None else dict(extra))


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> OpenLineageDataset:  # noqa: ARG001 - Airflow's signature
    """Name an asset's place as a dataset of OpenLineage, by its workspace.

    Nothing is requested: the storage account behind the datastore is not known here. Where it is known, datasets have
    the storage's name, and this name as a symlink.
    """
    from openlineage.client.event_v2 import Dataset  # noqa: PLC0415 - optional

    place = DatastoreUri.of(asset.uri)
    return Dataset(namespace=place.namespace, name=place.name)


def _wrong(problem: str) -> InvalidArgument:
    from aml_provider.client.errors import InvalidArgument  # noqa: PLC0415 - nearly all URIs are right

    return InvalidArgument("uri", problem)


def _check_plain(parts: SplitResult) -> None:
    if "@" in parts.netloc or ":" in parts.netloc:
        raise _wrong(f"must not contain a user name, a password or a port: {_FORM}")
    if parts.query:
        raise _wrong(
            f"must not contain a query string; a question mark in a blob's name is written "
            f"%3F, and secrets belong in the connection: {_FORM}"
        )
    if parts.fragment:
        raise _wrong(_NO_PART.format("#", "%23"))


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _wrong(
            f"must be percent-encoded as UTF-8, and {text!r} is not; a percent sign in a blob's name is written %25"
        ) from None


def _checked_path(path: str) -> str:
    if not isinstance(path, str):
        raise _wrong(f"must contain a path that is text, not {path!r}")
    if "\\" in path:
        raise _wrong(f"must separate folders with '/', and the path {path!r} has a backslash")
    path = path.strip("/")
    if any(segment in {".", ".."} for segment in path.split("/")):
        raise _wrong(
            f"must not contain the segments '.' and '..', which blob storage does not resolve; the path is {path!r}"
        )
    return path
