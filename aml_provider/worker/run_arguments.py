"""The run operator's arguments as values: rendered, and checked where the try needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.client.arguments import ON_TIMEOUT, as_choice, as_name
from aml_provider.client.specs.job import check_order
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import PipelineReference
from aml_provider.durations import in_seconds

if TYPE_CHECKING:
    from datetime import timedelta


class RunArguments(NamedTuple):
    """The author's values, by the names of the operator's arguments; a rendered value can be anything."""

    pipeline_id: Any
    pipeline_name: Any
    endpoint_id: Any
    endpoint_name: Any
    endpoint_version: Any
    component_name: Any
    component_version: Any
    batch_endpoint_name: Any
    deployment_name: Any
    experiment_name: Any
    parameters: Any
    data_paths: Any
    datasets: Any
    tags: Any
    description: Any
    continue_on_step_failure: bool | None
    parent_run_id: Any
    compute: Any
    validate: bool
    wait_for_completion: bool
    deferrable: bool
    poll_interval: float | timedelta
    durable: bool
    cancel_on_kill: bool
    on_timeout: str
    azureml_conn_id: Any
    execution_timeout: timedelta | None
    retries: int | None

    @classmethod
    def of(cls, operator: object) -> RunArguments:
        """Read the arguments from an operator's attributes, after rendering."""
        return cls(*(getattr(operator, name) for name in cls._fields))

    def check(self) -> tuple[PipelineReference, RunRequest]:
        """Check the arguments; returns the pipeline that is run, and the request for the run.

        Raises:
            InvalidArgument: An argument cannot be used; the message names it.
        """
        as_choice("on_timeout", self.on_timeout, ON_TIMEOUT)
        reference = PipelineReference.of(self)
        if self.parent_run_id is not None:
            as_name("parent_run_id", self.parent_run_id)
        request = RunRequest.of_arguments(self)
        check_order(reference, request, self.parent_run_id)
        self.seconds_between_polls()
        return reference, request

    def seconds_between_polls(self) -> float:
        """``poll_interval`` in seconds.

        Raises:
            InvalidArgument: It is not a duration, or too short.
        """
        return in_seconds("poll_interval", self.poll_interval, minimum=0.1)
