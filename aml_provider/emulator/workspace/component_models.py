"""The registered items of the v2 API. Field names are the keys of seed files and state files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.models import Step

COMPONENT_TYPES = ("pipeline", "command")
LITERAL_TYPES = ("string", "number", "integer", "boolean")
DATA_TYPES = ("uri_file", "uri_folder", "mltable", "custom_model", "mlflow_model", "triton_model")
INPUT_TYPES = LITERAL_TYPES + DATA_TYPES


@dataclass(frozen=True, slots=True)
class ComponentInput:
    """An input of a component; required if it has no default and is not optional.

    Attributes:
        default: A text, as in the service, whatever the type.
        min: The smallest value of a number, as text.
        max: The largest value of a number, as text.
    """

    name: str
    type: str = "string"
    default: str | None = None
    optional: bool = False
    description: str | None = None
    enum: list[str] = field(default_factory=list)
    min: str | None = None
    max: str | None = None

    @property
    def required(self) -> bool:
        """Whether a job must contain a value."""
        return self.default is None and not self.optional


@dataclass(slots=True)
class Component:
    """A version of a registered component. A job can run only one of the type ``pipeline``.

    Attributes:
        outputs: The type of each output by its name.
        steps: What a job of the component does, one after another.
        start_seconds: How long a job is NotStarted.
        spec: Its ``componentSpec`` as it was registered; None: it is derived from the other fields.
    """

    name: str
    version: str = "1"
    type: str = "pipeline"
    display_name: str | None = None
    description: str | None = None
    inputs: list[ComponentInput] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    start_seconds: float = 0.2
    tags: dict[str, str | None] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    archived: bool = False
    spec: dict[str, Any] | None = None
    created: float = 0.0

    @property
    def id(self) -> str:
        """Its name and version, as ``name:version``."""
        return f"{self.name}:{self.version}"


@dataclass(slots=True)
class Deployment:
    """A deployment of a batch endpoint: a component with the settings of its jobs.

    Attributes:
        component: The component as ``name:version``.
        settings: Texts by name, in snake_case.
        job_description: The description of the jobs that it runs.
        job_tags: The tags of these jobs.
        provisioned: When its provisioning ends.
        provisioning_error: Why its provisioning fails.
    """

    name: str
    component: str
    description: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str | None] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    job_description: str | None = None
    job_tags: dict[str, str | None] = field(default_factory=dict)
    created: float = 0.0
    modified: float = 0.0
    provisioned: float = 0.0
    provisioning_error: str | None = None


@dataclass(slots=True)
class BatchEndpoint:
    """A name for one of several deployments.

    Attributes:
        default_deployment: The name of the deployment for callers who name no deployment.
        provisioned: When its provisioning ends.
        provisioning_error: Why its provisioning fails.
    """

    name: str
    deployments: list[Deployment] = field(default_factory=list)
    default_deployment: str | None = None
    description: str | None = None
    tags: dict[str, str | None] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    created: float = 0.0
    modified: float = 0.0
    provisioned: float = 0.0
    provisioning_error: str | None = None
