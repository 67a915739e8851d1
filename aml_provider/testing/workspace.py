"""The local workspace of a test, and the Airflow connection to it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.routes.control import describe, describe_job_schedule, describe_schedule
from aml_provider.emulator.server import EmulatorServer
from aml_provider.emulator.workspace.models import Datastore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aml_provider.emulator.seeds.reader import Seed
    from aml_provider.testing.blobs import Blobs

DATASTORE = "workspaceblobstore"
"""The datastore that is the test's own container, if the test has one."""

_NAMES = {
    "subscription_id": "00000000-0000-0000-0000-000000000000",
    "resource_group": "local",
    "workspace_name": "local",
}
# The instants of each schedule that a test is shown.
_UPCOMING = 5


class LocalWorkspace(EmulatorServer):
    """A local workspace that a test starts, inspects and steers; a context manager.

    It listens on a free port of this machine, and only calls with its own token are answered. Besides the members
    below, it has those of :class:`~aml_provider.emulator.server.EmulatorServer`.

    Args:
        seed: ``demo``, ``none``, a file, or a mapping in the format of a seed file (docs/reference/emulator.md).
        blobs: The container that becomes the datastore ``workspaceblobstore``, the default one. None: the datastores
            are those of the seed, and nothing can read or write blobs.
        speed: Workspace seconds per real second.
        quirks: Texts like ``history_lag=30s`` (docs/reference/emulator-details.md).
        token: The bearer token that calls must send; None: a new one.

    Raises:
        ValueError: An argument is invalid, or the seed does not describe a workspace; the message says where.
        OSError: The seed's file cannot be read.

    Attributes:
        url: Where it listens.
        token: The bearer token that calls must send.
        clock: Its clock: ``hold()``, ``release()``, ``advance(seconds)``, ``set(speed=…)``, ``now()``.
        faults: Its faults: ``add("status", status=503, method="GET", path="*/PipelineRuns/*", times=2)``, ``clear()``.
    """

    def __init__(
        self,
        seed: Seed = "demo",
        *,
        blobs: Blobs | None = None,
        speed: float = 1.0,
        quirks: Iterable[str] = (),
        token: str | None = None,
    ) -> None:
        self.token = token or secrets.token_urlsafe(24)
        self._blobs = blobs
        blob_endpoint = blobs.endpoint if blobs else None
        super().__init__(seed, blob_endpoint=blob_endpoint, speed=speed, quirks=quirks, token=self.token)
        self._use_blobs()

    def reset(self) -> None:
        """Return to the seed and to real time, without faults and logged requests; blobs stay."""
        super().reset()
        self._use_blobs()

    def connection(self, workspace_name: str = _NAMES["workspace_name"]) -> dict[str, Any]:
        """The Airflow connection to this workspace, as ``AIRFLOW_CONN_…`` takes it when it is written as JSON.

        Args:
            workspace_name: The name of the workspace; it answers to every name.
        """
        names = {**_NAMES, "workspace_name": workspace_name}
        extra = {**names, "auth_method": "static_token", "endpoint": self.url}
        if self._blobs is not None:
            extra["blob_endpoint"] = self._blobs.endpoint
        return {"conn_type": "azureml", "password": self.token, "extra": extra}

    def runs(self, experiment: str | None = None) -> list[dict[str, Any]]:
        """All runs and jobs, oldest first, or those of one experiment.

        Each is as ``GET /_emulator/runs`` of the control API shows it (docs/reference/emulator.md): ``id``, ``status``,
        ``experiment``, ``pipeline_name``, ``component_id``, ``parameters``, ``data_paths``, ``tags``, ``steps`` and
        more.
        """
        state = self.state
        with state.lock:
            runs = [run for run in state.runs.values() if experiment in (None, run.experiment)]
            return [describe(state, run) for run in runs]

    def schedules(self) -> list[dict[str, Any]]:
        """All native schedules of v1, oldest first, as ``GET /_emulator/schedules`` shows them."""
        state = self.state
        with state.lock:
            return [describe_schedule(state, item, _UPCOMING) for item in state.schedules.all()]

    def job_schedules(self) -> list[dict[str, Any]]:
        """All native schedules of v2, as ``GET /_emulator/schedules`` shows them."""
        state = self.state
        with state.lock:
            return [describe_job_schedule(state, item, _UPCOMING) for item in state.job_schedules.all()]

    def _use_blobs(self) -> None:
        if self._blobs is not None:
            store = Datastore(**self._blobs.datastore(DATASTORE))
            with self.state.changing():
                self.state.datastores[store.name] = store
                self.state.default_datastore_name = store.name
