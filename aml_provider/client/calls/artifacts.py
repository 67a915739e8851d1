"""The operations on artifacts, the files that runs leave behind. Their links carry a signature of their own."""

from __future__ import annotations

from aml_provider.client.calls.call import RIGHTS, Call, each, segment
from aml_provider.client.entities import Artifact

_READ = f"{RIGHTS}/experiments/runs/read"
_ORIGIN = "ExperimentRun"


def list_artifacts(container: str) -> Call[tuple[Artifact, ...]]:
    """List the files of a run's container, without links."""
    return Call(
        operation=f"list the artifacts of {container!r}",
        method="GET",
        service="artifact",
        path=f"/artifacts/{_ORIGIN}/{segment('container', container)}",
        parse=lambda wire: each(Artifact.from_wire, wire),
        page_key="continuationToken",
        right=_READ,
    )


def list_artifact_links(container: str, prefix: str) -> Call[tuple[Artifact, ...]]:
    """List the files of a run's container below a prefix such as ``user_logs``, with links."""
    return Call(
        operation=f"list the artifacts {prefix!r} of {container!r}",
        method="GET",
        service="artifact",
        path=f"/artifacts/prefix/contentinfo/{_ORIGIN}/{segment('container', container)}/{_path('prefix', prefix)}",
        parse=lambda wire: each(Artifact.from_wire, wire),
        page_key="continuationToken",
        right=_READ,
    )


def get_artifact_link(container: str, path: str) -> Call[Artifact]:
    """Read one file's metadata and link."""
    return Call(
        operation=f"get artifact {path!r} of {container!r}",
        method="GET",
        service="artifact",
        path=f"/artifacts/contentinfo/{_ORIGIN}/{segment('container', container)}/{_path('path', path)}",
        parse=Artifact.from_wire,
        right=_READ,
    )


def list_run_artifacts(experiment: str, run_id: str) -> Call[tuple[Artifact, ...]]:
    """List the files of a run, without links."""
    run = f"/experiments/{segment('experiment_name', experiment)}/runs/{segment('run_id', run_id)}"
    return Call(
        operation=f"list the artifacts of run {run_id!r}",
        method="GET",
        service="history",
        path=f"{run}/artifacts",
        parse=lambda wire: each(Artifact.from_wire, wire),
        page_key="continuationToken",
        right=_READ,
    )


def _path(argument: str, value: str) -> str:
    """A path of several segments, each of which must name something."""
    return "/".join(segment(argument, item) for item in value.split("/"))
