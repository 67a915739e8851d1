"""Reads what a try does not know about its run, when the try has ended: within seconds, and whatever fails."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError
from aml_provider.client.flows.datastores import list_datastores
from aml_provider.client.flows.runs import list_steps
from aml_provider.client.help import text_of
from aml_provider.client.http.clients import Client
from aml_provider.client.http.retry import RetryPolicy
from aml_provider.compat import conf
from aml_provider.worker.lineage.names import of_address, of_output

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import Datastore, HistoryRun, Output, PublishedPipeline
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.worker.lineage.names import NamedDataset

# Seconds after which OpenLineage drops the whole event, if its option says nothing else.
_EXECUTION_TIMEOUT = 10.0
# A request that fails is not repeated.
_ONCE = RetryPolicy(budget=0.0)


class Wanted:
    """The parts that lineage needs.

    Args:
        settings: The workspace.
        datastores: Whether the datastores are needed, which give inputs the names of their storage.
        pipeline_id: The published pipeline, for its name and version.
        run_id: The run whose outputs are needed.
        experiment: The run's experiment.
        is_job: Whether the run is a pipeline job.
    """

    def __init__(
        self,
        settings: WorkspaceSettings,
        *,
        datastores: bool,
        pipeline_id: str | None,
        run_id: str | None,
        experiment: str,
        is_job: bool,
    ) -> None:
        self.settings = settings
        self._datastores = datastores
        self._pipeline_id = pipeline_id
        self._run_id = run_id
        self._experiment = experiment
        self._is_job = is_job

    def read(self, log: Any) -> Found:
        """Read as much as can be read in time. A warning lists what could not be read; nothing is raised."""
        found = Found()
        if not (self._datastores or self._pipeline_id or self._run_id):
            return found
        # A thread, because nothing else limits the time for a token.
        reader = threading.Thread(target=self._read, args=(found,), name="azureml-lineage", daemon=True)
        reader.start()
        # The other half is for sending the event.
        seconds = conf.getfloat("openlineage", "execution_timeout", fallback=_EXECUTION_TIMEOUT) / 2
        reader.join(seconds)
        problems = list(found.problems)
        if reader.is_alive():
            problems.append(f"not everything was read within {seconds:g} s")
        if problems:
            log.warning("The lineage of this task is incomplete, which changes nothing else: %s", "; ".join(problems))
        return found.so_far()

    def _read(self, found: Found) -> None:
        try:
            with Client(self.settings, policy=_ONCE) as client:
                client.run(self._flow(found))
        except Exception as error:  # noqa: BLE001 - a task does not fail because of its lineage
            found.problems.append(text_of(error) or repr(error))

    def _flow(self, found: Found) -> Flow[None]:
        parts = []
        outputs = self._run_id is not None
        if self._datastores or (outputs and self._is_job):
            parts.append(self._read_datastores(found))
        if outputs:
            parts.append(self._read_job_outputs(found) if self._is_job else self._read_step_outputs(found))
        if self._pipeline_id is not None:
            parts.append(self._read_pipeline(found, self._pipeline_id))
        for part in parts:
            try:
                yield from part
            except AzureMLError as error:
                found.problems.append(error.text)

    def _read_datastores(self, found: Found) -> Flow[None]:
        listed = yield from list_datastores(secrets=False)
        found.datastores = {store.name.lower(): store for store in listed}

    def _read_pipeline(self, found: Found, pipeline_id: str) -> Flow[None]:
        pipeline: PublishedPipeline = yield calls.get_pipeline(pipeline_id)
        found.pipeline = pipeline

    def _read_step_outputs(self, found: Found) -> Flow[None]:
        assert self._run_id is not None
        steps: tuple[HistoryRun, ...] = yield from list_steps(self._experiment, self._run_id)
        for step in steps:
            if not step.node_id:
                continue
            outputs: dict[str, Output] = yield calls.list_step_outputs(self._run_id, step.node_id)
            for output in outputs.values():
                found.add(partial(of_output, self.settings, output))

    def _read_job_outputs(self, found: Found) -> Flow[None]:
        assert self._run_id is not None
        job = self._run_id
        addresses: dict[str, str] = yield calls.get_job_outputs(job)
        for name, address in addresses.items():
            found.add(partial(of_address, self.settings, address, found.datastores, job=job, output=name))


@dataclass
class Found:
    """The results of reading; another thread may still add to them."""

    datastores: dict[str, Datastore] = field(default_factory=dict)
    pipeline: PublishedPipeline | None = None
    outputs: list[NamedDataset] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def add(self, name: Callable[[], NamedDataset | None]) -> None:
        """Add an output, unless it has no name."""
        try:
            named = name()
        except ValueError as error:
            self.problems.append(str(error))
            return
        if named is not None:
            self.outputs.append(named)

    def so_far(self) -> Found:
        """A copy to which nobody adds."""
        return Found(self.datastores, self.pipeline, list(self.outputs), list(self.problems))
