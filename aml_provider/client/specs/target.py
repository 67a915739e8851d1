"""The pipeline, endpoint or component that a submission runs: as an author names it, and as it was found."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from aml_provider.client.arguments import as_name, as_version, given_once
from aml_provider.client.errors import InvalidArgument


class PipelineReference(NamedTuple):
    """A pipeline, an endpoint or a component, as an author names it: by exactly one of the names and ids.

    Args:
        pipeline_id: The published pipeline.
        pipeline_name: The name of a published pipeline. Exactly one active pipeline must have this name.
        endpoint_id: The pipeline endpoint.
        endpoint_name: The pipeline endpoint's name.
        endpoint_version: The pipeline endpoint's version; None: its default version.
        component_name: The registered pipeline component.
        component_version: The component's version; None: the newest version.
        batch_endpoint_name: The batch endpoint, which names a component through a deployment.
        deployment_name: The batch endpoint's deployment; None: its default deployment.
    """

    pipeline_id: str | None = None
    pipeline_name: str | None = None
    endpoint_id: str | None = None
    endpoint_name: str | None = None
    endpoint_version: str | None = None
    component_name: str | None = None
    component_version: str | None = None
    batch_endpoint_name: str | None = None
    deployment_name: str | None = None

    @classmethod
    def of(cls, arguments: object) -> PipelineReference:
        """Read the fields from the attributes of an object, and check them; a missing attribute counts as not given.

        Raises:
            InvalidArgument: A value cannot be used; the message names it.
        """
        reference = cls(*(getattr(arguments, name, None) for name in cls._fields))
        return reference.check(tuple(name for name in (*ONE_OF, *ONE_OF_V2) if hasattr(arguments, name)))

    def check(self, one_of: tuple[str, ...] | None = None) -> PipelineReference:
        """Check the fields, after rendering; returns them with the versions as text.

        Args:
            one_of: The names and ids of which the author must give exactly one; None: all names and ids.

        Raises:
            InvalidArgument: None or several are given, a value cannot be used, or two values exclude each other.
        """
        given_once(self, (*ONE_OF, *ONE_OF_V2) if one_of is None else one_of)
        for name, others in GOES_WITH.items():
            if getattr(self, name) is not None and all(getattr(self, other) is None for other in others):
                raise InvalidArgument(name, f"can be used only with {' or '.join(others)}")
        if self.component_name is not None:
            as_component_name("component_name", self.component_name)
        versions = {
            name: as_version(name, value)
            for name in ("endpoint_version", "component_version")
            if (value := getattr(self, name)) is not None
        }
        if self.deployment_name is not None:
            as_name("deployment_name", self.deployment_name)
        return self._replace(**versions)

    def describe(self) -> str:
        """The pipeline, endpoint or component in words, for the log."""
        name = next(name for name in _NOUNS if getattr(self, name) is not None)
        version = self.endpoint_version or self.component_version
        return f"{_NOUNS[name]} {getattr(self, name)!r}{f' version {version}' if version else ''}"

    @property
    def is_v2(self) -> bool:
        """Whether it names a component, directly or through a batch endpoint: its runs are pipeline jobs."""
        return self.component_name is not None or self.batch_endpoint_name is not None

    def to_text(self) -> str:
        """The reference as text, for fingerprints. Submission records contain them, so this text must never change."""
        if self.is_v2:
            return json.dumps({name: value for name, value in self._asdict().items() if value is not None})
        return json.dumps(self[:5])


#: The arguments of which exactly one names what is run: published pipelines and pipeline endpoints.
ONE_OF = PipelineReference._fields[:4]
#: The same for components and batch endpoints.
ONE_OF_V2 = ("component_name", "batch_endpoint_name")
_NOUNS = {
    "pipeline_id": "published pipeline",
    "pipeline_name": "published pipeline",
    "endpoint_id": "pipeline endpoint",
    "endpoint_name": "pipeline endpoint",
    "component_name": "component",
    "batch_endpoint_name": "batch endpoint",
}
#: Arguments that can only be given together with some of these names and ids.
GOES_WITH = {
    "endpoint_version": ("endpoint_id", "endpoint_name"),
    "component_version": ("component_name",),
    "deployment_name": ("batch_endpoint_name",),
}
# They separate a component's name from its version or its registry in the forms that Microsoft's tools use.
_NOT_IN_NAMES = re.compile(r"[:/@]")


def as_component_name(argument: str, value: Any) -> str:
    """Check that a value is only the name of a component of the workspace, without a version or a registry.

    Raises:
        InvalidArgument: It is something else; the message names ``argument``.
    """
    if _NOT_IN_NAMES.search(as_name(argument, value)):
        raise InvalidArgument(
            argument,
            f"is {value!r}; give the name alone, of a component of the workspace, and its version as "
            "component_version. To run a component of a registry, register it in the workspace",
        )
    return str(value)


class Target(NamedTuple):
    """A published pipeline, a pipeline endpoint or a version of a component that was found in the workspace.

    Args:
        kind: ``pipeline``, ``endpoint`` or ``component``.
        id: Its id; for a component's version, the id in Azure Resource Manager.
        version: The endpoint's version (None: its default version), or the component's version.
        pipeline_id: The published pipeline behind it, if that is known; or the id of the component's version.
        name: The component's name.
        settings: The settings of the batch endpoint's deployment, as the service has them: texts by name.
        data_inputs: The types of the component's inputs that take data, by name; None: they have not been read.
    """

    kind: str
    id: str
    version: str | None = None
    pipeline_id: str | None = None
    name: str = ""
    settings: tuple[tuple[str, str], ...] = ()
    data_inputs: tuple[tuple[str, str], ...] | None = None

    def __str__(self) -> str:
        version = f" version {self.version}" if self.version is not None else ""
        return f"{self.kind} {self.name or self.id}{version}"
