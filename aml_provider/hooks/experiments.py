"""The hook's methods for experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.hooks.operation import in_event_loop, operation
from aml_provider.hooks.workspace import WorkspaceHook

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aml_provider.client.entities import Experiment
    from aml_provider.client.http.messages import Flow


class ExperimentMethods(WorkspaceHook):
    """Methods for experiments. The arguments identify an experiment by its name, not by its id."""

    @operation
    def list_experiments(
        self, view: str = "ActiveOnly", *, tags: Mapping[str, str | None] | None = None, limit: int | None = None
    ) -> Flow[tuple[Experiment, ...]]:
        """List the workspace's experiments.

        Args:
            view: ``ActiveOnly``, ``ArchivedOnly``, ``All`` or ``Default`` (the service chooses).
            tags: Only experiments that have all of these tags; None as a value means any value.
            limit: The most experiments to return; None: all.

        Raises:
            InvalidArgument: There is no such view, or a tag cannot be searched for.
        """
        from aml_provider.client.flows.experiments import list_experiments

        return list_experiments(view=view, tags=tags, limit=limit)

    async_list_experiments = in_event_loop(list_experiments)

    @operation
    def get_experiment(self, experiment_name: str) -> Flow[Experiment]:
        """Read one experiment."""
        from aml_provider.client import calls
        from aml_provider.client.flows.finding import EXPERIMENT, advised

        return advised(calls.get_experiment(experiment_name), EXPERIMENT, experiment_name)

    async_get_experiment = in_event_loop(get_experiment)

    @operation
    def create_experiment(self, experiment_name: str) -> Flow[Experiment]:
        """Create an experiment, or return the existing one of this name.

        A submission creates its experiment if necessary.

        Args:
            experiment_name: 1 to 255 letters, digits, ``-`` and ``_``, a letter or digit first.

        Raises:
            InvalidArgument: The name cannot be used.
        """
        from aml_provider.client.flows.experiments import create_experiment

        return create_experiment(experiment_name)

    async_create_experiment = in_event_loop(create_experiment)

    @operation
    def update_experiment(
        self,
        experiment_name: str,
        *,
        new_name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Flow[Experiment]:
        """Change the name or description of an experiment, or add tags; an argument that is None changes nothing.

        Args:
            experiment_name: The experiment.
            new_name: Its new name.
            description: Its new description.
            tags: Tags to add, or to change.

        Raises:
            InvalidArgument: The new name cannot be used.
        """
        from aml_provider.client.flows.experiments import update_experiment

        return update_experiment(experiment_name, new_name=new_name, description=description, tags=tags)

    async_update_experiment = in_event_loop(update_experiment)

    @operation
    def untag_experiment(self, experiment_name: str, names: Iterable[str]) -> Flow[Experiment]:
        """Remove tags from an experiment.

        Args:
            experiment_name: The experiment.
            names: The tags' names.
        """
        from aml_provider.client.flows.experiments import untag_experiment

        return untag_experiment(experiment_name, names)

    async_untag_experiment = in_event_loop(untag_experiment)

    @operation
    def archive_experiment(self, experiment_name: str) -> Flow[Experiment]:
        """Hide an experiment and its runs from the studio's lists; nothing is deleted."""
        from aml_provider.client.flows.experiments import set_archived

        return set_archived(experiment_name, archived=True)

    async_archive_experiment = in_event_loop(archive_experiment)

    @operation
    def reactivate_experiment(self, experiment_name: str) -> Flow[Experiment]:
        """Undo :meth:`archive_experiment`."""
        from aml_provider.client.flows.experiments import set_archived

        return set_archived(experiment_name, archived=False)

    async_reactivate_experiment = in_event_loop(reactivate_experiment)

    @operation
    def delete_experiment(self, experiment_name: str) -> Flow[None]:
        """Delete an experiment that has no runs; this may take some time."""
        from aml_provider.client.flows.experiments import delete_experiment

        return delete_experiment(experiment_name)

    async_delete_experiment = in_event_loop(delete_experiment)
