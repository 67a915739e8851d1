"""The registered components, their versions, and the texts that refer to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.core import find
from aml_provider.emulator.workspace.errors import bad_request, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.emulator.workspace.component_models import Component

# An ARM id of a version, or name:version; both also with azureml: in front (azureml-v2-rest 4.2). Instead of a version,
# Microsoft's SDK also sends a label.
_REFERENCE = re.compile(
    r"(?i)(?:azureml:)?(?:/.+/components/)?(?P<name>[^/:@]+)"
    r"(?:(?:/versions/|:)(?P<version>[^/:@]+)|(?:/labels/|@)(?:default|latest))"
)
# What Microsoft's SDK asks for if its caller names no version.
_DEFAULT = "azureml_default"


class Components:
    """All versions of all components. A version never changes."""

    def __init__(self) -> None:
        self._components: dict[str, Component] = {}

    def all(self) -> list[Component]:
        """All versions, in the order in which they were registered."""
        return list(self._components.values())

    def load(self, component: Component) -> None:
        """Add a version from a file."""
        self._components[component.id] = component

    def by_name(self) -> Mapping[str, list[Component]]:
        """The versions of each component, oldest first."""
        found: dict[str, list[Component]] = {}
        for component in sorted(self._components.values(), key=lambda item: item.created):
            found.setdefault(component.name, []).append(component)
        return found

    def versions(self, name: str) -> list[Component]:
        """The versions of a component, oldest first."""
        found = self.by_name().get(name)
        if found is None:
            raise not_found(f"Component {name}")
        return found

    def get(self, component_id: str) -> Component:
        """A version of a component by its id, ``name:version``."""
        return find(self._components, component_id, "Component")

    def version(self, name: str, version: str) -> Component:
        """A version of a component; ``azureml_default`` is the newest one."""
        newest = self.newest(name) if version == _DEFAULT else None
        return newest or self.get(f"{name}:{version}")

    def newest(self, name: str) -> Component | None:
        """The newest version that is not archived, the default (azureml-v2-rest 5); None if there is no such one."""
        active = (item for item in reversed(self.by_name().get(name, ())) if not item.archived)
        return next(active, None)

    def referred(self, reference: str) -> Component | None:
        """Find the version that a text names: an ARM id, ``name:version``, or the label of the newest version.

        Letter case does not matter. None if there is no such version.
        """
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            return None
        if match["version"] is None:
            return self.newest(match["name"])
        wanted = f"{match['name']}:{match['version']}".lower()
        return next((item for item in self._components.values() if item.id.lower() == wanted), None)

    def put(self, new: Component) -> tuple[Component, bool]:
        """Register a version, or change the changeable properties of an existing one.

        Returns the version, and whether it is new.

        Raises:
            ServiceError: The version exists with other inputs or outputs.
        """
        existing = self._components.get(new.id)
        if existing is None:
            self.load(new)
            return new, True
        if (existing.type, _interface(existing)) != (new.type, _interface(new)):
            raise bad_request(
                f"The component {new.id} already exists with another type or other inputs or outputs. A version cannot "
                "be changed; register another one.",
                "Immutable",
            )
        existing.description, existing.tags = new.description, new.tags
        existing.properties, existing.archived = new.properties, new.archived
        if existing.spec is not None:
            existing.spec = new.spec
        return existing, False

    def archive(self, name: str, *, archived: bool) -> list[Component]:
        """Archive or restore all versions of a component; returns them."""
        versions = self.versions(name)
        for version in versions:
            version.archived = archived
        return versions

    def defaults(self, component_id: str | None) -> dict[str, str]:
        """The default of every input that has one; empty for a job without a component."""
        component = self._components.get(component_id or "")
        inputs = component.inputs if component is not None else []
        return {item.name: item.default for item in inputs if item.default is not None}


def _interface(component: Component) -> tuple[dict[str, str], dict[str, str]]:
    """The types of the inputs and outputs."""
    return {item.name: item.type for item in component.inputs}, component.outputs
