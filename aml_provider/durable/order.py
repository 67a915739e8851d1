"""The run that a task asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.http.messages import Flow
    from aml_provider.client.specs.run import RunRequest
    from aml_provider.client.specs.target import PipelineReference, Target


class RunOrder(NamedTuple):
    """The run that one try of a task asks for.

    Args:
        reference: The pipeline, as the author named it. A retry that names another pipeline asks for another run.
        find_target: Finds the pipeline, and makes sure that it accepts the request, just before a submission. It is not
            called when an existing run is taken over: the pipeline may have been renamed or disabled since.
    """

    reference: PipelineReference
    request: RunRequest
    find_target: Callable[[], Flow[Target]]
    parent_run_id: str | None = None

    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that differ if two tries ask for different runs."""
        return self.request.fingerprint(f"{self.reference.to_text()}/{self.parent_run_id}")
