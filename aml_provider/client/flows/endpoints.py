"""Flows for pipeline endpoints."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from aml_provider.client import calls
from aml_provider.client.arguments import DISABLED, as_name
from aml_provider.client.errors import AzureMLError, BadRequest, NotFound, PipelineError
from aml_provider.client.flows.finding import ENDPOINT, no_such_name
from aml_provider.client.flows.read_modify_write import rewrite
from aml_provider.client.http.messages import flow_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineEndpoint
    from aml_provider.client.http.messages import Flow

_BATCH = 100
# More endpoints than any workspace has.
_MOST = 100_000


def list_endpoints(*, active_only: bool = True) -> Flow[tuple[PipelineEndpoint, ...]]:
    """List all pipeline endpoints. The service returns at most N of them, and does not say whether there are more."""
    size = _BATCH
    while True:
        found: tuple[PipelineEndpoint, ...] = yield calls.list_endpoints(active_only=active_only, batch_size=size)
        if len(found) < size or size >= _MOST:
            return found
        size *= 10


def find_endpoint(name: str) -> Flow[PipelineEndpoint]:
    """Find the pipeline endpoint of this name, active or not.

    Raises:
        PipelineError: It does not exist; the message suggests similar names.
    """
    found = yield from _named(name)
    if found is not None:
        return found
    others = yield from list_endpoints(active_only=False)
    raise no_such_name(ENDPOINT, name, others, "endpoint_name")


def _named(name: str) -> Flow[PipelineEndpoint | None]:
    try:
        found: PipelineEndpoint = yield calls.get_endpoint_by_name(as_name("name", name))
    except (NotFound, BadRequest):
        # It is not established which of the two the service answers for an unknown name.
        return None
    return found


def create_endpoint(name: str, pipeline_id: str, *, description: str = "") -> Flow[PipelineEndpoint]:
    """Create a pipeline endpoint whose version 0 is a published pipeline.

    Raises:
        PipelineError: The name is taken.
    """
    as_name("pipeline_id", pipeline_id)
    taken = yield from _named(name)
    if taken is not None:
        raise PipelineError(
            f"name: a pipeline endpoint named {name!r} exists already ({taken.id}, {taken.status}). Add a version to "
            "it, or use another name."
        )
    try:
        made: PipelineEndpoint = yield calls.create_endpoint(name, pipeline_id, description)
    except AzureMLError as error:
        if not error.in_doubt:
            raise
        found = yield from _named(name)
        if found is None or list(found.versions.values()) != [pipeline_id]:
            raise
        return found
    return made


def _change(endpoint_id: str, edit: Callable[[PipelineEndpoint], dict[str, Any] | None]) -> Flow[PipelineEndpoint]:
    endpoint, _ = yield from rewrite(
        lambda: flow_of(calls.get_endpoint(endpoint_id)), edit, lambda wire: calls.update_endpoint(endpoint_id, wire)
    )
    return endpoint


def add_version(endpoint_id: str, pipeline_id: str, *, set_default: bool = False) -> Flow[PipelineEndpoint]:
    """Add a published pipeline to an endpoint as its next version, unless it is already a version."""
    as_name("pipeline_id", pipeline_id)

    def edit(endpoint: PipelineEndpoint) -> dict[str, Any] | None:
        known = [version for version, known_id in endpoint.versions.items() if known_id.lower() == pipeline_id.lower()]
        wire = dict(endpoint.wire)
        if known:
            version = known[-1]
        else:
            numbers = [int(version) for version in endpoint.versions if version.isdecimal()]
            version = str(max(numbers, default=-1) + 1)
            added = {"Version": version, "PipelineId": pipeline_id}
            wire["PipelineVersionList"] = [*(wire.get("PipelineVersionList") or ()), added]
        if set_default:
            wire["DefaultVersion"] = version
        return None if wire == endpoint.wire else wire

    return _change(endpoint_id, edit)


def set_default_version(endpoint_id: str, version: str) -> Flow[PipelineEndpoint]:
    """Set the version that runs if a submission names none.

    Raises:
        PipelineError: The endpoint has no such version.
    """
    as_name("version", version)

    def edit(endpoint: PipelineEndpoint) -> dict[str, Any] | None:
        if version not in endpoint.versions:
            raise PipelineError(
                f"version: endpoint {endpoint.name!r} ({endpoint.id}) has no version {version!r}; it has "
                f"{', '.join(sorted(endpoint.versions)) or 'none'}"
            )
        return None if endpoint.default_version == version else {**endpoint.wire, "DefaultVersion": version}

    return _change(endpoint_id, edit)


def update_endpoint(
    endpoint_id: str, *, name: str | None = None, description: str | None = None
) -> Flow[PipelineEndpoint]:
    """Change the name or the description of an endpoint; an argument that is None changes nothing."""
    if name is not None:
        as_name("name", name)

    def edit(endpoint: PipelineEndpoint) -> dict[str, Any] | None:
        same = name in {None, endpoint.name} and description in {None, endpoint.description}
        changes = {"Name": name, "Description": description}
        return None if same else endpoint.wire | {key: value for key, value in changes.items() if value is not None}

    return _change(endpoint_id, edit)


def set_endpoint_status(endpoint_id: str, status: str) -> Flow[PipelineEndpoint]:
    """Make an endpoint ``Active`` or ``Disabled``."""
    return _change(
        endpoint_id, lambda endpoint: None if endpoint.status == status else {**endpoint.wire, "EntityStatus": status}
    )


def archive_endpoint(endpoint_id: str) -> Flow[PipelineEndpoint]:
    """Disable an endpoint and free its name."""
    name = str(uuid.uuid4())
    return _change(
        endpoint_id,
        lambda endpoint: None if endpoint.name == name else {**endpoint.wire, "Name": name, "EntityStatus": DISABLED},
    )
