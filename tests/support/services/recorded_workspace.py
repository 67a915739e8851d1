"""A local workspace that Airflow's processes use, and its list of their runs."""

from __future__ import annotations

from aml_provider.testing.workspace import LocalWorkspace

TOKEN = "very-secret-token"


class RecordedWorkspace(LocalWorkspace):
    """Serves the things of a seed; time is real.

    Args:
        seed: As a mapping.
    """

    def __init__(self, seed, **options):
        super().__init__(seed, token=TOKEN, **options)

    # Subclasses have other ``runs``.
    record = LocalWorkspace.runs
