"""The operations on components, as Azure Resource Manager has them (azureml-v2-rest 5)."""

from __future__ import annotations

from aml_provider.client.calls.call import ARM_VERSION, Call, Resource, segment
from aml_provider.client.entities import Component, ComponentVersion

_COMPONENTS = Resource("arm", "components")
_VERSIONS = Resource("arm", "components/versions")


def _path(name: str) -> str:
    return f"/components/{segment('component_name', name)}/versions"


def list_components(*, active_only: bool = True) -> Call[tuple[Component, ...]]:
    """List the names of the registered components."""
    query = (*ARM_VERSION, ("listViewType", "ActiveOnly" if active_only else "All"))
    return _COMPONENTS.read_list("list components", "/components", Component.from_wire, query=query, page_key="$skip")


def list_component_versions(name: str, *, limit: int | None = None) -> Call[tuple[ComponentVersion, ...]]:
    """List a component's versions that are not archived, the newest first; at most ``limit`` of them."""
    size = () if limit is None else (("$top", str(limit)),)
    return _VERSIONS.read_list(
        f"list the versions of component {name!r}",
        _path(name),
        ComponentVersion.from_wire,
        query=(*ARM_VERSION, ("listViewType", "ActiveOnly"), ("$orderBy", "createdtime desc"), *size),
        page_key="$skip",
        limit=limit,
    )


def get_component(name: str, version: str) -> Call[ComponentVersion]:
    """Read a version of a component."""
    path = f"{_path(name)}/{segment('component_version', version)}"
    return _VERSIONS.read(
        f"get component {name!r} version {version!r}", path, ComponentVersion.from_wire, query=ARM_VERSION
    )
