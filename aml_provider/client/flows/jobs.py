"""Flows that submit pipeline jobs without a submission record."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from aml_provider.client import calls
from aml_provider.client.flows.targets import Known, find_target_for
from aml_provider.client.specs.job import check_order, job_id, job_to_wire

if TYPE_CHECKING:
    from aml_provider.client.entities import PipelineRun, Workspace
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.specs.run import RunRequest
    from aml_provider.client.specs.target import PipelineReference


def submit_job(reference: PipelineReference, request: RunRequest, wanted_id: str | None = None) -> Flow[PipelineRun]:
    """Submit one job of a component, once, without comparing the request with the component's interface.

    Args:
        reference: The component, or the batch endpoint that names it.
        request: The run.
        wanted_id: The job's id; None: a random one.

    Raises:
        InvalidArgument: A value cannot be sent; nothing was submitted.
        PipelineError: There is no such component or batch endpoint.
    """
    check_order(reference, request, None)
    workspace: Workspace = yield calls.get_workspace()
    target = yield from find_target_for(request, reference, Known(workspace=workspace.id), validate=False)
    body = job_to_wire(request, target, workspace=workspace.id, own_tags={})
    submit = calls.submit_job(job_id(uuid.uuid4().hex, 0) if wanted_id is None else wanted_id, body)
    job: PipelineRun = yield submit
    return job
