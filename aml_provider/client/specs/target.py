"""What a submission starts: a published pipeline, or the one behind an endpoint."""

from __future__ import annotations

from typing import NamedTuple


class Target(NamedTuple):
    """What is to be run.

    Args:
        kind: ``pipeline`` or ``endpoint``.
        id: Its id.
        version: The endpoint's version; None: its default one.
        pipeline_id: The published pipeline behind it, where that is known.
    """

    kind: str
    id: str
    version: str | None = None
    pipeline_id: str | None = None

    def __str__(self) -> str:
        version = f" version {self.version}" if self.version is not None else ""
        return f"{self.kind} {self.id}{version}"
