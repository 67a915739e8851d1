"""The operations on batch endpoints and their deployments, as Azure Resource Manager has them (azureml-v2-rest 3.1)."""

from __future__ import annotations

from aml_provider.client.calls.call import ARM_VERSION, Call, Resource, segment
from aml_provider.client.entities import BatchDeployment, BatchEndpoint

_ENDPOINTS = Resource("arm", "batchEndpoints")
_DEPLOYMENTS = Resource("arm", "batchEndpoints/deployments")


def _path(name: str) -> str:
    return f"/batchEndpoints/{segment('batch_endpoint_name', name)}"


def list_batch_endpoints() -> Call[tuple[BatchEndpoint, ...]]:
    """List the batch endpoints."""
    return _ENDPOINTS.read_list(
        "list batch endpoints", "/batchEndpoints", BatchEndpoint.from_wire, query=ARM_VERSION, page_key="$skip"
    )


def get_batch_endpoint(name: str) -> Call[BatchEndpoint]:
    """Read a batch endpoint."""
    return _ENDPOINTS.read(f"get batch endpoint {name!r}", _path(name), BatchEndpoint.from_wire, query=ARM_VERSION)


def list_batch_deployments(endpoint_name: str) -> Call[tuple[BatchDeployment, ...]]:
    """List the deployments of a batch endpoint."""
    return _DEPLOYMENTS.read_list(
        f"list the deployments of batch endpoint {endpoint_name!r}",
        f"{_path(endpoint_name)}/deployments",
        BatchDeployment.from_wire,
        query=ARM_VERSION,
        page_key="$skip",
    )


def get_batch_deployment(endpoint_name: str, deployment_name: str) -> Call[BatchDeployment]:
    """Read a deployment of a batch endpoint."""
    return _DEPLOYMENTS.read(
        f"get deployment {deployment_name!r} of batch endpoint {endpoint_name!r}",
        f"{_path(endpoint_name)}/deployments/{segment('deployment_name', deployment_name)}",
        BatchDeployment.from_wire,
        query=ARM_VERSION,
    )
