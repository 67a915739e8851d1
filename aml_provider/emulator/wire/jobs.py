"""The JSON of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.emulator.wire.arm import resource, tracking_uri

if TYPE_CHECKING:
    from aml_provider.emulator.quirks import Quirks
    from aml_provider.emulator.workspace.body import JsonObject
    from aml_provider.emulator.workspace.models import Run
    from aml_provider.emulator.workspace.timeline import RunView

_OTHER_STATUSES = {"NotStarted": "Queued", "Running": "NotResponding"}


def job_dto(run: Run, view: RunView, scope: str, base: str, quirks: Quirks) -> JsonObject:
    """A job: its definition as it was sent, the properties that may change, and its status.

    Args:
        run: The run of the job.
        view: The run as it is now.
        scope: The workspace's ARM id.
        base: The emulator's address, for the link to the job's page.
        quirks: How the service differs from the default.
    """
    assert run.job is not None
    status: str | None = view.history_status
    if quirks.null_status and status == "NotStarted":
        status = None
    elif quirks.odd_statuses:
        status = _OTHER_STATUSES.get(status or "", status)
    properties = {
        **run.job.definition,
        "displayName": run.display_name,
        "description": run.description,
        "tags": run.history_tags,
        "properties": run.history_properties,
        "experimentName": run.experiment,
        "isArchived": run.hidden,
        "status": status,
        "parentJobName": run.parent_run_id,
        "services": {
            "Tracking": _service("Tracking", tracking_uri(scope)),
            "Studio": _service("Studio", f"{base}/runs/{run.id}?wsid={_short(scope)}"),
        },
    }
    return resource(scope, "jobs", f"jobs/{run.id}", properties, run.created)


def step_job_dto(run: Run, index: int, scope: str) -> JsonObject:
    """A step of a job, which has no properties on ARM (azureml-v2-rest 4.1)."""
    return resource(scope, "jobs", f"jobs/{run.steps[index].id}", None, run.created)


def _service(kind: str, endpoint: str) -> JsonObject:
    empty = dict.fromkeys(("port", "status", "errorMessage", "properties", "nodes"))
    return {"jobServiceType": kind, "endpoint": endpoint, **empty}


def _short(scope: str) -> str:
    # The form of links to the studio.
    group, workspace = scope.split("/providers/Microsoft.MachineLearningServices")
    return f"{group.replace('/resourceGroups/', '/resourcegroups/')}{workspace}"
