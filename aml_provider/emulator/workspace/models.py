"""The items of a workspace. Field names are the keys of seed files and state files."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

_NAMESPACE = uuid.UUID("5f0d4a2e-93c5-4c0b-9f5a-0d6c1a3e7b10")


def stable_id(text: str) -> str:
    """A GUID derived from a text, for items without an id in the seed."""
    return str(uuid.uuid5(_NAMESPACE, text))


@dataclass(frozen=True, slots=True)
class DataPath:
    """A place in a datastore, relative to its container."""

    datastore: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A pipeline parameter; required if it has no default and is not optional."""

    name: str
    type: str = "String"
    default: str | None = None
    optional: bool = False
    documentation: str | None = None

    @property
    def required(self) -> bool:
        """Whether a submission must contain a value."""
        return self.default is None and not self.optional


@dataclass(frozen=True, slots=True)
class DataParameter:
    """A data path or dataset parameter.

    Attributes:
        default: For a data path, a place. For a dataset parameter, the id of a saved dataset.
        value: The default of a dataset parameter as in the REST API, if it is not a saved dataset.
    """

    name: str
    default: DataPath | str | None = None
    optional: bool = False
    documentation: str | None = None
    value: dict[str, Any] | None = None

    @property
    def required(self) -> bool:
        """Whether a submission must contain a value."""
        return self.default is None and self.value is None and not self.optional


@dataclass(frozen=True, slots=True)
class Step:
    """A step: how long it waits and runs, and what it does.

    Attributes:
        function: ``module:function``; this function is called with a ``StepContext`` when the step starts.
        fails: The message with which the step fails after its usual time; None: it succeeds.
        log: The beginning of its log.
    """

    name: str
    node_id: str = ""
    queue_seconds: float = 0.2
    run_seconds: float = 1.0
    function: str | None = None
    fails: str | None = None
    log: str = ""
    target: str = "cpu-cluster"


@dataclass(slots=True)
class Pipeline:
    """A published pipeline; its steps run one after another.

    Attributes:
        graph: Its graph as it was published; None: the graph is derived from the steps.
    """

    name: str
    id: str = ""
    graph_id: str = ""
    description: str | None = None
    version: str | None = "1.0"
    status: str = "Active"
    start_seconds: float = 0.2
    continue_on_step_failure: bool = False
    parameters: list[Parameter] = field(default_factory=list)
    data_paths: list[DataParameter] = field(default_factory=list)
    datasets: list[DataParameter] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    properties: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str | None] = field(default_factory=dict)
    graph: dict[str, Any] | None = None
    enable_notification: bool = False
    created: float = 0.0
    modified: float = 0.0


@dataclass(frozen=True, slots=True)
class DataType:
    """A data type. Microsoft's SDK registers missing ones before anything else."""

    id: str
    name: str
    description: str
    is_directory: bool = False
    parents: list[str] = field(default_factory=list)
    created: float = 0.0


@dataclass(slots=True)
class Endpoint:
    """A pipeline endpoint; ``versions`` maps "0", "1", … to pipeline ids."""

    name: str
    id: str = ""
    description: str | None = None
    default_version: str = "0"
    versions: dict[str, str] = field(default_factory=dict)
    status: str = "Active"
    tags: dict[str, str | None] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    created: float = 0.0
    modified: float = 0.0


@dataclass(frozen=True, slots=True)
class Datastore:
    """A registered store of data, usually a storage container.

    Attributes:
        type: ``AzureBlob``, ``AzureFile`` or another ``dataStoreType`` of the service.
        section: Its further fields, with their names in the REST API: clientCredentials of a container, serverName
            of a database, and so on.
        description: Only Azure Resource Manager has it.
        properties: Only Azure Resource Manager has them.
    """

    name: str
    account_name: str = ""
    container: str = ""
    type: str = "AzureBlob"
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    endpoint: str = "core.windows.net"
    protocol: str = "https"
    section: dict[str, Any] = field(default_factory=dict, repr=False)
    tags: dict[str, str | None] = field(default_factory=dict)
    description: str | None = None
    properties: dict[str, str] = field(default_factory=dict)
    created: float = 0.0


@dataclass(slots=True)
class Permission:
    """The actions of a role of the caller, as patterns; the workspace lists them and does not check them."""

    actions: list[str]
    not_actions: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Experiment:
    """A named group of runs. At most one experiment with a given name is not archived.

    Attributes:
        deleted: When its deletion finishes; None if it is not deleted. As soon as the deletion begins, the experiment
            can no longer be found.
    """

    name: str
    id: str
    created: float
    description: str | None = None
    archived: float | None = None
    tags: dict[str, str | None] = field(default_factory=dict)
    deleted: float | None = None


@dataclass(slots=True)
class Metric:
    """The values that a run logged under one name.

    Attributes:
        columns: The type of each column, such as ``int``, ``double`` or ``string``.
        type: How to display it: ``azureml.v1.scalar``, ``azureml.v1.list``, ``azureml.v1.table``, …
        values: The rows as in the REST API.
    """

    name: str
    columns: dict[str, str]
    type: str
    values: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class StepRun:
    """A step of a run, with the results of its step function.

    Attributes:
        returned: When the function returned or raised.
        error: The message of the exception that it raised.
        blobs: The blobs that it wrote: datastore, path and size.
        parameters: Its parameters, if they are not those of its run.
        data_paths: Its data paths, if they are not those of its run.
    """

    id: str
    number: int
    step: Step
    returned: float | None = None
    error: str | None = None
    log: list[str] = field(default_factory=list)
    blobs: list[tuple[str, str, int]] = field(default_factory=list)
    parameters: dict[str, str] | None = None
    data_paths: dict[str, DataPath] | None = None
    tags: dict[str, str | None] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    display_name: str | None = None
    description: str | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)


@dataclass(slots=True)
class Job:
    """The part of a run that only the v2 API has: a job of Azure Resource Manager.

    Attributes:
        definition: The unchangeable properties from its PUT, as they were sent.
        schedule: The name of the job schedule that started it.
        endpoint: The batch endpoint that was invoked.
        deployment: The deployment of that endpoint.
        request_id: The ``repeatability_request-id`` of that invocation.
    """

    definition: dict[str, Any]
    schedule: str | None = None
    endpoint: str | None = None
    deployment: str | None = None
    request_id: str | None = None


@dataclass(slots=True)
class Run:
    """A pipeline run, as it was submitted, and with the later changes in run history.

    A job of the v2 API is a run with a ``job``; it has no published pipeline, so ``pipeline_id`` is empty.

    Attributes:
        experiment: The name of its experiment.
        experiment_id: The id of the experiment; a name can change and be used again.
        tags: The submitted tags, as the pipelines service shows them.
        history_tags: The tags in run history, which can be changed.
        canceled: When its cancellation was requested.
        cancel_effective: When the cancellation ends the run.
        outputs: The values in ``StepContext.outputs`` of its step functions.
        component_id: The component that a job runs, as ``name:version``; None for a job without a component.
        hidden: Whether it is archived.
    """

    id: str
    number: int
    pipeline_id: str
    graph_id: str
    experiment: str
    created: float
    start_seconds: float
    steps: list[StepRun]
    description: str | None = None
    display_name: str | None = None
    run_source: str = "Unavailable"
    run_type: str = "HTTP"
    parameters: dict[str, str] = field(default_factory=dict)
    data_paths: dict[str, DataPath] = field(default_factory=dict)
    datasets: dict[str, Any] = field(default_factory=dict)
    continue_on_step_failure: bool = False
    parent_run_id: str | None = None
    root_run_id: str = ""
    endpoint_id: str | None = None
    schedule_id: str | None = None
    tags: dict[str, str | None] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    history_tags: dict[str, str | None] = field(default_factory=dict)
    history_properties: dict[str, str] = field(default_factory=dict)
    canceled: float | None = None
    cancel_effective: float | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    component_id: str | None = None
    job: Job | None = None
    hidden: bool = False
    experiment_id: str = ""
    metrics: dict[str, Metric] = field(default_factory=dict)
