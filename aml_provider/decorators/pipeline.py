"""The decorator that runs published pipelines and components with arguments that a function computes."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypedDict, TypeVar

from aml_provider.client.errors import InvalidArgument
from aml_provider.compat import DecoratedOperator, context_merge, determine_kwargs, task_decorator_factory
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.sdk.bases.decorator import Task

    from aml_provider.client.models import DataPath
    from aml_provider.compat import Context

_P = ParamSpec("_P")
_F = ParamSpec("_F")
_R = TypeVar("_R", bound="Mapping[str, Any] | None")


class PipelineArguments(TypedDict, total=False):
    """The result of a function under ``@task.azureml_pipeline``, for type checkers.

    The keys are arguments of :class:`~aml_provider.operators.pipeline.AzureMLRunPipelineOperator`.
    """

    parameters: Mapping[str, Any] | None
    data_paths: Mapping[str, DataPath | Mapping[str, Any] | str] | None
    datasets: Mapping[str, str] | None
    tags: Mapping[str, Any] | None


class _AzureMLPipelineDecoratedOperator(DecoratedOperator, AzureMLRunPipelineOperator):
    """Calls the function, then runs the pipeline with what the function returned."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *AzureMLRunPipelineOperator.template_fields)
    template_fields_renderers = {  # noqa: RUF012 - as Airflow declares it
        **DecoratedOperator.template_fields_renderers,
        **AzureMLRunPipelineOperator.template_fields_renderers,
    }
    custom_operator_name: str = "@task.azureml_pipeline"
    # Airflow 3 then shows the arguments with which the run was submitted.
    overwrite_rtif_after_execution = True

    def __init__(self, *, python_callable: Callable[..., Any], **kwargs: Any) -> None:
        if iscoroutinefunction(python_callable):
            name = getattr(python_callable, "__name__", python_callable)
            raise InvalidArgument(self.custom_operator_name, f"needs a plain function, but {name} is async")
        super().__init__(python_callable=python_callable, **kwargs)

    def execute(self, context: Context) -> Any:
        """Call the function and run the pipeline; Airflow calls this on a worker, once in each try.

        A task that resumes after a deferral does not call the function again: its run exists.
        """
        self._read_files(context)
        context_merge(context, self.op_kwargs)
        arguments = determine_kwargs(self.python_callable, self.op_args, context)
        returned = self.python_callable(*self.op_args, **arguments)
        from aml_provider.worker.returned_arguments import apply

        apply(returned, self)
        return super().execute(context)


class _Decorator(Protocol):
    """A decorator that makes a task of a function which computes the arguments of a run."""

    def __call__(self, function: Callable[_F, _R]) -> Task[_F, _R]: ...


def _takes_arguments_of(operator: Callable[_P, object]) -> Callable[[Callable[..., Any]], Callable[_P, _Decorator]]:  # noqa: ARG001 - for type checkers
    """Give a function the arguments of an operator, for type checkers."""
    return lambda function: function


@_takes_arguments_of(AzureMLRunPipelineOperator)
def azureml_pipeline_task(python_callable: Callable[..., Any] | None = None, **arguments: Any) -> Any:
    """Make a task of a function: it runs a pipeline with the arguments that the function returns, exactly once.

    Airflow has this decorator as ``@task.azureml_pipeline``. Imported from here, type checkers check its arguments.

    It takes every argument of :class:`~aml_provider.operators.pipeline.AzureMLRunPipelineOperator`, and the task ends,
    retries, defers and is killed as the operator is. The function is called once in each try, before anything is
    submitted. It returns None, or a mapping with some of ``parameters``, ``data_paths``, ``datasets`` and ``tags``.
    Their entries win over those of the decorator, name by name. They are not rendered as templates. If a retry's
    function returns something else, the request has changed, and the active run is cancelled and replaced.

    Args:
        python_callable: The function, if the decorator is used without parentheses.
        **arguments: The arguments of the operator and of every task.

    Returns:
        A decorator; or, with a function, the decorated function. The result of its task is the run's id.

    Raises:
        InvalidArgument: ``multiple_outputs`` is set, although the result is one value; or the function is async.
    """
    if arguments.pop("multiple_outputs", None):
        raise InvalidArgument("multiple_outputs", "cannot be used: the task returns one value, the run's id")
    # Given, because Airflow would otherwise infer it from the type that the function returns.
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=False,
        decorated_operator_class=_AzureMLPipelineDecoratedOperator,
        **arguments,
    )
