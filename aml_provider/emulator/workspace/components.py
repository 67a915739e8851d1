"""The registered components, their versions, and the texts that refer to them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.core import find
from aml_provider.emulator.workspace.errors import not_found

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.emulator.workspace.component_models import Component

# An ARM id of a version, or name:version; both also with azureml: in front (azureml-v2-rest 4.2).
_REFERENCE = re.compile(r"(?i)(?:azureml:)?(?:/.+/components/)?(?P<name>[^/:]+)(?:/versions/|:)(?P<version>[^/:]+)")


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

    def referred(self, reference: str) -> Component | None:
        """The version that an ARM id or ``name:version`` names; letter case does not matter. None if there is none."""
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            return None
        wanted = f"{match['name']}:{match['version']}".lower()
        return next((item for item in self._components.values() if item.id.lower() == wanted), None)

    def defaults(self, component_id: str | None) -> dict[str, str]:
        """The default of every input that has one; empty for a job without a component."""
        component = self._components.get(component_id or "")
        inputs = component.inputs if component is not None else []
        return {item.name: item.default for item in inputs if item.default is not None}
