"""The facts of runs that have ended, and how a source adds those that its list of runs lacks."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, NotFound, is_gone
from aml_provider.client.http.messages import OwnSettings
from aml_provider.durable.attempts import Attempts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aml_provider.client.entities import PipelineRun, PublishedPipeline
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings

T = TypeVar("T")

#: A 404 of the run history counts as final once the service has repeated it for so many seconds. The history is a copy,
#: so it may be late; what is no copy answers sooner.
SURE_OF_HISTORY = 3600.0
_SURE = 300.0
# The names of this many pipelines are remembered.
_MOST_NAMES = 1000
_COMPONENT = re.compile(r"(?:.*/components/([^/]+)/(?:versions|labels)/[^/]+|(?:azureml:)?([^/:@]+)[:@][^/:@]+)")


class EndedRun(NamedTuple):
    """A run that has ended, with all that a watcher can choose by and report.

    Attributes:
        run: The run; its ``pipeline_id`` is that of the published pipeline, or of the component's version.
        pipeline_name: The name of the published pipeline or component; empty if there is none, or it is unknown.
        is_job: Whether it runs a component (Azure ML v2).
        workspace: The workspace's id in Azure Resource Manager, in lower case.
        link: The run's page in the studio.
    """

    run: PipelineRun
    pipeline_name: str
    is_job: bool
    workspace: str
    link: str


class RunSource(ABC):
    """Runs of one kind.

    Attributes:
        problems: Lines to log: facts that could not be read, and names that the workspace does not have. The caller
            takes them out.
        errors: Failures that do not discard the poll, for the metrics. The caller takes them out.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.errors: list[AzureMLError] = []
        self._now = 0.0
        self._names: dict[str, str] = {}
        # When the service said first that it does not have something.
        self._missing: dict[str, float] = {}
        self._attempts = Attempts()

    def begin(self, now: float) -> None:
        """Begin a poll.

        Args:
            now: The time in seconds, by any clock: only differences matter.
        """
        self._now = now
        self._attempts.begin()

    @abstractmethod
    def read_active(self) -> Flow[Sequence[PipelineRun]]:
        """Read all active runs, whenever they were created, unless :meth:`read` has them already."""

    @abstractmethod
    def read(self, since: int, active: Sequence[str]) -> Flow[Sequence[PipelineRun]]:
        """Read the runs that were created at ``since`` or later, and those with the ids ``active``."""

    @abstractmethod
    def _complete(self, run: PipelineRun) -> Flow[PipelineRun | None]:
        """Add what the list lacks; None if the run belongs to another run."""

    def complete(self, run: PipelineRun) -> Flow[EndedRun | None]:
        """Add what the list lacks to a run that has ended.

        Returns:
            The run; None if it belongs to another run and is not reported.

        Raises:
            AzureMLError: A fact cannot be read now.
        """
        full = yield from self._complete(run)
        if full is None:
            return None
        settings: WorkspaceSettings = yield OwnSettings()
        component = component_name(full.pipeline_id)
        name = component if component is not None else (yield from self._name_of(full.pipeline_id))
        return EndedRun(full, name, component is not None, settings.arm_id.lower(), settings.run_url(full.id))

    def _name_of(self, pipeline_id: str) -> Flow[str]:
        if not pipeline_id or pipeline_id in self._names:
            return self._names.get(pipeline_id, "")
        try:
            pipeline: PublishedPipeline = yield calls.get_pipeline(pipeline_id)
        except AzureMLError as error:
            self._lacks(error, f"The name of published pipeline {pipeline_id}")
            # Not remembered: the next run asks again.
            return ""
        _remember(self._names, pipeline_id, pipeline.name)
        return pipeline.name

    def _lacks(self, error: AzureMLError, what: str, sure: float = _SURE) -> None:
        """Continue without a fact that the service does not have; raises the error if it may have it later."""
        if not is_gone(error):
            if not isinstance(error, NotFound):
                raise error
            since = min(self._missing.get(what, self._now), self._now)
            _remember(self._missing, what, since)
            if self._now - since < sure:
                raise error
        self.problems.append(f"{what} could not be read: {error.text}")

    def _postpone(self, error: AzureMLError, run_id: str) -> None:
        """Continue without an active run that cannot be read now; raises the error if the service wants a pause."""
        is_new = self._attempts.note(run_id, error)
        self.errors.append(error)
        if is_new:
            self.problems.append(f"Run {run_id} could not be read; the next polls try again. {error.text}")


def component_name(pipeline_id: str) -> str | None:
    """The component's name in the id of its version, in any of the forms in which a job may have it; None: a pipeline.

    The forms: an id in Azure Resource Manager, ``azureml:NAME:VERSION``, and ``NAME:VERSION`` (azureml-v2-rest 4.2).
    """
    match = _COMPONENT.fullmatch(pipeline_id)
    return None if match is None else match[1] or match[2]


def _remember(memory: dict[str, T], name: str, value: T) -> None:
    """Store a value, in the place of the oldest one if there are too many."""
    if name not in memory and len(memory) >= _MOST_NAMES:
        del memory[next(iter(memory))]
    memory[name] = value
