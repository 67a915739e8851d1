"""Allows Airflow to read our classes back from XCom, so that nobody has to list them in Airflow's configuration.

Airflow creates objects of allowed classes only. The plugin allows ours in each process of Airflow before a task runs;
the hook does the same for processes that load no plugins.
"""

from __future__ import annotations

import importlib

# By name: a class is imported only when a value of it is read.
_ENTITIES = {
    "components": ("BatchDeployment", "BatchEndpoint", "Component", "ComponentInput", "ComponentVersion"),
    "experiments": ("Experiment",),
    "job_schedules": ("JobSchedule",),
    "metrics": ("MetricValue",),
    "permissions": ("Permission",),
    "pipelines": ("Parameter", "PipelineEndpoint", "PipelineInterface", "PipelineSummary", "PublishedPipeline"),
    "runs": ("HistoryRun", "Output", "PipelineRun", "RunDetails", "RunState", "StepStatus"),
    "schedules": ("Schedule",),
    "stores": ("Artifact", "Datastore", "ServicePrincipal"),
    "workspace": ("Workspace",),
}
CLASSES = frozenset(
    {
        *(f"aml_provider.client.entities.{module}.{name}" for module, names in _ENTITIES.items() for name in names),
        "aml_provider.client.secret.Secret",
        "aml_provider.client.settings.WorkspaceSettings",
    }
)


def allow_classes() -> None:
    """Allow our classes in this process."""
    try:
        serde = importlib.import_module("airflow.sdk.serde")
    except ImportError:  # before 3.2
        serde = importlib.import_module("airflow.serialization.serde")
    # Airflow 3.3 has a public function for this, but that would import all these classes.
    serde._extra_allowed.update(CLASSES)  # noqa: SLF001
