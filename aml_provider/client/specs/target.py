"""The subject of a submission: a published pipeline, or a pipeline endpoint and the pipeline behind it."""

from __future__ import annotations

import json
from typing import NamedTuple

from aml_provider.client.arguments import as_version, given_once


class PipelineReference(NamedTuple):
    """A published pipeline or a pipeline endpoint, as an author names it; one of the first four fields is given.

    Args:
        pipeline_id: The published pipeline.
        pipeline_name: The name of the one active published pipeline that has it.
        endpoint_id: The pipeline endpoint.
        endpoint_name: The pipeline endpoint's name.
        endpoint_version: The endpoint's version; None: its default one.
    """

    pipeline_id: str | None = None
    pipeline_name: str | None = None
    endpoint_id: str | None = None
    endpoint_name: str | None = None
    endpoint_version: str | None = None

    @classmethod
    def of(cls, arguments: object) -> PipelineReference:
        """Read the fields from the attributes of an object, and check them; one that it lacks is not given.

        Raises:
            InvalidArgument: A value cannot be used; the message names it.
        """
        return cls(*(getattr(arguments, name, None) for name in cls._fields)).check()

    def check(self) -> PipelineReference:
        """Check the fields, after rendering; returns them with the version as text.

        Raises:
            InvalidArgument: Not just one of the first four fields is given, or a value cannot be used.
        """
        given_once(self, ONE_OF)
        if self.endpoint_version is None:
            return self
        return self._replace(endpoint_version=as_version("endpoint_version", self.endpoint_version))

    def to_text(self) -> str:
        """The reference as text, for a request's fingerprint. Submission records hold it, so it must never change."""
        return json.dumps(self)


#: The arguments of which exactly one names what is run.
ONE_OF = PipelineReference._fields[:4]


class Target(NamedTuple):
    """A published pipeline or a pipeline endpoint that was found in the workspace.

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
