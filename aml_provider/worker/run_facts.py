"""The facts that one try of the run operator has learnt about its run; lineage reads them when the try has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aml_provider.client.entities import PipelineRun
    from aml_provider.client.errors import RunError
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.client.specs.target import Target
    from aml_provider.durable.submitted_data import SubmittedData


@dataclass
class RunFacts:
    """The facts about a try's run, as far as the try knows them.

    Attributes:
        settings: The workspace.
        data: The data that the run was submitted with.
        target: The pipeline, endpoint or component, if this try has found it to submit a run.
        run_id: The run.
        run: The run as it was read at its end.
        taken_over: Whether an earlier try has submitted the run; None: that is not known.
        failed_steps: The names of the steps that failed.
    """

    settings: WorkspaceSettings | None = None
    data: SubmittedData | None = None
    target: Target | None = None
    run_id: str | None = None
    run: PipelineRun | None = None
    taken_over: bool | None = None
    failed_steps: tuple[str, ...] = ()

    def note_failure(self, error: RunError) -> None:
        """Keep what an error says about the run."""
        self.run_id = self.run_id or error.run_id
        self.failed_steps = getattr(error, "failed_steps", ())
