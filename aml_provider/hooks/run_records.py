"""The hook's methods for the results of runs, and for their tags, properties and names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.hooks.operation import in_event_loop, operation
from aml_provider.hooks.workspace import WorkspaceHook

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aml_provider.client.calls import Call
    from aml_provider.client.entities import HistoryRun, MetricValue, Output
    from aml_provider.client.http.messages import Flow


class RunRecordMethods(WorkspaceHook):
    """Logs, outputs and metrics of runs; their tags, properties and names.

    Tags, properties and names are in the run history, under the run's experiment. If the experiment is not given, it
    is looked up with one more request.
    """

    @operation
    def get_run_logs(
        self, run_id: str, step: str | None = None, *, max_bytes: int | None = 1_048_576
    ) -> Flow[dict[str, str]]:
        """Read the logs of a run's steps.

        A step's log files are fetched with the links that the service gives for them, without a token. If it gives
        none, the step's standard output is requested. A file that cannot be fetched is left out, and a warning is
        logged.

        Args:
            run_id: The pipeline run.
            step: Only the logs of this step: its name, or the id of its run.
            max_bytes: The bytes to read from the end of each file; None: the whole file.

        Returns:
            Texts by ``step/file``, in the order of the steps. A step with the same name as another one is named by the
            id of its run.

        Raises:
            InvalidArgument: The run has no such step; the message names those that it has.
            AzureMLError: Nothing could be read.
        """
        from aml_provider.client.flows.run_results import read_logs

        return read_logs(run_id, step, max_bytes=max_bytes, warn=self.log.warning)

    async_get_run_logs = in_event_loop(get_run_logs)

    @operation
    def get_run_outputs(self, run_id: str, step: str | None = None) -> Flow[dict[str, Output]]:
        """Read the places of the outputs of a run's steps.

        An output's ``data_path`` can be passed to another run as the value of a DataPath parameter.

        Args:
            run_id: The pipeline run.
            step: Only the outputs of this step: its name, or the id of its run.

        Returns:
            Outputs by ``step/output``, in the order of the steps.

        Raises:
            InvalidArgument: The run has no such step; the message names those that it has.
        """
        from aml_provider.client.flows.run_results import read_outputs

        return read_outputs(run_id, step)

    async_get_run_outputs = in_event_loop(get_run_outputs)

    @operation
    def get_run_metrics(self, run_id: str, step: str | None = None) -> Flow[dict[str, tuple[MetricValue, ...]]]:
        """Read the metrics that a run and its steps have logged.

        The requests are those of Microsoft's SDK; the service's documentation does not describe them.

        Args:
            run_id: The pipeline run.
            step: Only the metrics of this step: its name, or the id of its run.

        Returns:
            Values in the service's order, by ``metric`` for the run itself, and by ``step/metric`` for its steps.

        Raises:
            InvalidArgument: The run has no such step; the message names those that it has.
        """
        from aml_provider.client.flows.run_results import read_metrics

        return read_metrics(run_id, step)

    async_get_run_metrics = in_event_loop(get_run_metrics)

    @operation
    def get_pipeline_output(self, run_id: str, name: str) -> Call[Output]:
        """Read the place of an output of the pipeline itself.

        Args:
            run_id: The pipeline run.
            name: The output's name in the pipeline.
        """
        from aml_provider.client import calls

        return calls.get_pipeline_output(run_id, name)

    async_get_pipeline_output = in_event_loop(get_pipeline_output)

    @operation
    def tag_run(
        self, run_id: str, tags: Mapping[str, str | None], *, experiment_name: str | None = None
    ) -> Flow[HistoryRun]:
        """Add tags to a run or to a step; other tags are kept.

        Args:
            run_id: The pipeline run, or the run of a step.
            tags: Tags by name; None makes a tag without a value.
            experiment_name: The run's experiment; None: it is looked up.
        """
        from aml_provider.client import calls
        from aml_provider.client.flows.run_results import in_experiment
        from aml_provider.client.specs.run import as_tag_names, as_tags

        wanted = {name: None if value is None else as_tags({name: value})[name] for name, value in tags.items()}
        as_tag_names("tags", wanted)
        return in_experiment(run_id, experiment_name, lambda name: calls.tag_run(name, run_id, wanted))

    async_tag_run = in_event_loop(tag_run)

    @operation
    def untag_run(self, run_id: str, names: Iterable[str], *, experiment_name: str | None = None) -> Flow[HistoryRun]:
        """Remove tags from a run or from a step.

        Args:
            run_id: The pipeline run, or the run of a step.
            names: The tags' names.
            experiment_name: The run's experiment; None: it is looked up.
        """
        from aml_provider.client import calls
        from aml_provider.client.flows.run_results import in_experiment
        from aml_provider.client.specs.run import as_tag_names

        wanted = as_tag_names("names", names)
        return in_experiment(run_id, experiment_name, lambda name: calls.untag_run(name, run_id, wanted))

    async_untag_run = in_event_loop(untag_run)

    @operation
    def set_run_properties(
        self, run_id: str, properties: Mapping[str, str], *, experiment_name: str | None = None
    ) -> Flow[HistoryRun]:
        """Add properties to a run or to a step. Existing properties cannot be changed; use tags for values that change.

        Args:
            run_id: The pipeline run, or the run of a step.
            properties: Properties by name.
            experiment_name: The run's experiment; None: it is looked up.
        """
        from aml_provider.client import calls
        from aml_provider.client.flows.run_results import in_experiment

        return in_experiment(run_id, experiment_name, lambda name: calls.set_run_properties(name, run_id, properties))

    async_set_run_properties = in_event_loop(set_run_properties)

    @operation
    def set_run_display_name(
        self, run_id: str, display_name: str, *, experiment_name: str | None = None
    ) -> Flow[HistoryRun]:
        """Give a run or a step the name that the studio shows.

        Args:
            run_id: The pipeline run, or the run of a step.
            display_name: The name.
            experiment_name: The run's experiment; None: it is looked up.
        """
        from aml_provider.client import calls
        from aml_provider.client.flows.run_results import in_experiment

        return in_experiment(
            run_id, experiment_name, lambda name: calls.set_run_display_name(name, run_id, display_name)
        )

    async_set_run_display_name = in_event_loop(set_run_display_name)

    @operation
    def set_run_description(
        self, run_id: str, description: str, *, experiment_name: str | None = None
    ) -> Flow[HistoryRun]:
        """Set the description of a run or of a step.

        Args:
            run_id: The pipeline run, or the run of a step.
            description: The text.
            experiment_name: The run's experiment; None: it is looked up.
        """
        from aml_provider.client import calls
        from aml_provider.client.flows.run_results import in_experiment

        return in_experiment(run_id, experiment_name, lambda name: calls.set_run_description(name, run_id, description))

    async_set_run_description = in_event_loop(set_run_description)
