"""Flows that find the version of a component that an author names, directly or through a batch endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, NotFound, PipelineError
from aml_provider.client.flows.finding import BATCH_ENDPOINT, COMPONENT, no_such_name, read_by_id
from aml_provider.client.text import some_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.client.entities import BatchDeployment, BatchEndpoint, Component, ComponentVersion
    from aml_provider.client.http.messages import Flow

# A deployment in one of these states does not say what should be run. In any other state it does, because a job of ours
# runs its component.
_BROKEN = frozenset({"failed", "canceled", "deleting"})


def find_component(name: str, version: str | None = None) -> Flow[ComponentVersion]:
    """Find a version of a component; without ``version``, the one that was created last, archived ones excluded.

    Raises:
        PipelineError: The component or the version does not exist, or all versions are archived; the message names
            others.
    """
    if version is not None:
        try:
            found: ComponentVersion = yield calls.get_component(name, version)
        except NotFound:
            versions = yield from _versions(name)
            if not versions:
                raise (yield from _missing(name)) from None
            raise PipelineError(
                f"component_version: component {name!r} has no version {version!r}; it has {_names(versions)}"
            ) from None
        return found
    versions = yield from _versions(name, limit=1)
    if not versions or versions[0].is_archived:
        # A service that does not leave archived versions out may have an older one that can be used.
        versions = yield from _versions(name)
    newest = next((item for item in versions if not item.is_archived), None)
    if newest is None:
        raise (yield from _missing(name))
    return newest


def _versions(name: str, limit: int | None = None) -> Flow[tuple[ComponentVersion, ...]]:
    """List versions, the newest first; nothing for a component that does not exist, whatever the service answers."""
    try:
        found: tuple[ComponentVersion, ...] = yield calls.list_component_versions(name, limit=limit)
    except NotFound:
        return ()
    return found


def _missing(name: str) -> Flow[AzureMLError]:
    components: tuple[Component, ...] = yield COMPONENT.listing()
    if any(item.name == name for item in components):
        return PipelineError(
            f"component_name: all versions of component {name!r} are archived; restore one, or give component_version"
        )
    return no_such_name(COMPONENT, name, components, "component_name")


def _names(items: Iterable[ComponentVersion] | Iterable[BatchDeployment]) -> str:
    return some_of([getattr(item, "version", item.name) for item in items], ", ") or "none"


def find_batch_endpoint(name: str) -> Flow[BatchEndpoint]:
    """Read a batch endpoint by its name.

    Raises:
        PipelineError: It does not exist; the message suggests similar names.
    """
    return read_by_id(BATCH_ENDPOINT, calls.get_batch_endpoint(name), name, "batch_endpoint_name")


def find_deployment(endpoint_name: str, deployment_name: str | None) -> Flow[BatchDeployment]:
    """Find a deployment of a batch endpoint that runs a component; by default the endpoint's default deployment.

    Raises:
        PipelineError: There is no such endpoint or deployment, or it does not run a component; the message gives the
            next step.
    """
    wanted = deployment_name
    if wanted is None:
        endpoint = yield from find_batch_endpoint(endpoint_name)
        wanted = endpoint.default_deployment
        if not wanted:
            known = yield from _deployments(endpoint_name)
            raise PipelineError(
                f"batch_endpoint_name: batch endpoint {endpoint_name!r} has no default deployment; give "
                f"deployment_name (it has {_names(known)}), or set a default deployment in the studio"
            )
    try:
        found: BatchDeployment = yield calls.get_batch_deployment(endpoint_name, wanted)
    except NotFound:
        yield from find_batch_endpoint(endpoint_name)
        known = yield from _deployments(endpoint_name)
        which = f"{wanted!r}" if deployment_name is not None else f"{wanted!r}, which is its default one"
        raise PipelineError(
            f"deployment_name: batch endpoint {endpoint_name!r} has no deployment {which}; it has {_names(known)}"
        ) from None
    which = f"deployment_name: deployment {found.name!r} of batch endpoint {endpoint_name!r}"
    if not found.component_id:
        raise PipelineError(
            f"{which} runs a model, not a pipeline component; give a deployment of a component, or its component_name"
        )
    if found.status.lower() in _BROKEN:
        raise PipelineError(
            f"{which} is {found.status}; deploy it again, or give another deployment or its component_name"
        )
    return found


def _deployments(endpoint_name: str) -> Flow[tuple[BatchDeployment, ...]]:
    found: tuple[BatchDeployment, ...] = yield calls.list_batch_deployments(endpoint_name)
    return found
