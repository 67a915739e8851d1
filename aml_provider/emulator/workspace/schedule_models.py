"""A schedule of the workspace, and its trigger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aml_provider.emulator.workspace.recurrence import Recurrence
    from aml_provider.emulator.workspace.submission import Submission


@dataclass(frozen=True, slots=True)
class DatastoreTrigger:
    """A trigger on the blobs directly in a folder; ``polling_interval`` is in minutes."""

    datastore: str
    path: str | None = None
    polling_interval: int = 5
    data_path_parameter: str | None = None


@dataclass(slots=True)
class Schedule:
    """A schedule of a pipeline or of an endpoint's default version, with a recurrence or a trigger.

    Attributes:
        submission: The submission of each run.
        anchored: The instant from which its times count.
        provisioned: When its provisioning ends; until then it starts no runs.
        provisioning_error: Why its provisioning fails.
        seen: The blobs of the last poll with their ETags; None before the first poll.
        last_fired: When it was last due.
        last_error: Why its last run could not be started, or its last poll failed.
        last_polled: When it last polled, whether or not that failed.
        last_change: The poll that last found added or modified blobs.
        changed_blobs: The blobs that this poll found added or modified.
    """

    name: str
    submission: Submission
    id: str = ""
    pipeline_id: str | None = None
    endpoint_id: str | None = None
    recurrence: Recurrence | None = None
    trigger: DatastoreTrigger | None = None
    status: str = "Active"
    created: float = 0.0
    modified: float = 0.0
    anchored: float = 0.0
    provisioned: float = 0.0
    provisioning_error: str | None = None
    seen: dict[str, str] | None = None
    last_fired: float | None = None
    last_error: str | None = None
    last_polled: float | None = None
    last_change: float | None = None
    changed_blobs: list[str] = field(default_factory=list)
