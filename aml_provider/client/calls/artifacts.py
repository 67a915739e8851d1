"""The operations on artifacts, the files that runs leave behind. Their links carry a signature of their own."""

from __future__ import annotations

from aml_provider.client.calls.call import Call, Resource, segment
from aml_provider.client.entities import Artifact

_ARTIFACTS = Resource("artifact", "experiments/runs")
_RUNS = Resource("history", "experiments/runs")
_ORIGIN = "ExperimentRun"


def list_artifacts(container: str) -> Call[tuple[Artifact, ...]]:
    """List the files of a run's container, without links."""
    path = f"/artifacts/{_ORIGIN}/{segment('container', container)}"
    return _ARTIFACTS.read_list(f"list the artifacts of {container!r}", path, Artifact.from_wire)


def list_artifact_links(container: str, prefix: str) -> Call[tuple[Artifact, ...]]:
    """List the files of a run's container below a prefix such as ``user_logs``, with links."""
    path = f"/artifacts/prefix/contentinfo/{_ORIGIN}/{segment('container', container)}/{_path('prefix', prefix)}"
    return _ARTIFACTS.read_list(f"list the artifacts {prefix!r} of {container!r}", path, Artifact.from_wire)


def get_artifact_link(container: str, path: str) -> Call[Artifact]:
    """Read one file's metadata and link."""
    link = f"/artifacts/contentinfo/{_ORIGIN}/{segment('container', container)}/{_path('path', path)}"
    return _ARTIFACTS.read(f"get artifact {path!r} of {container!r}", link, Artifact.from_wire)


def list_run_artifacts(experiment: str, run_id: str) -> Call[tuple[Artifact, ...]]:
    """List the files of a run, without links."""
    path = f"/experiments/{segment('experiment_name', experiment)}/runs/{segment('run_id', run_id)}/artifacts"
    return _RUNS.read_list(f"list the artifacts of run {run_id!r}", path, Artifact.from_wire)


def _path(argument: str, value: str) -> str:
    """A path of several segments, each of which must name something."""
    return "/".join(segment(argument, item) for item in value.split("/"))
