"""The events of the submission protocol that metrics count."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aml_provider.client.entities import RunState
    from aml_provider.client.flows.cancel_run import CancelReason


class RunObserver:
    """Is notified of what happens to the runs of one task. This one ignores it; a subclass must not raise or block."""

    def looked_up(self) -> None:
        """Called when a look-up begins, because it is in doubt whether a submission was carried out."""

    def ended(self, state: RunState) -> None:
        """Called with the final state of a run whose end no earlier try has seen."""

    def cancelled(self, reason: CancelReason) -> None:
        """Called when the service has accepted to cancel a run."""
