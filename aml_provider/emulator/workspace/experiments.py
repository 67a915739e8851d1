"""The workspace's experiments and their rules."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.errors import bad_request, conflict, not_found
from aml_provider.emulator.workspace.models import Experiment, Run, stable_id
from aml_provider.emulator.workspace.submission import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aml_provider.emulator.workspace.core import Core


class Experiments:
    """All experiments. At most one active experiment has a given name; any number of archived ones can share it.

    So a submission to the name of an archived experiment creates a new one, as Azure ML's documentation says
    (``Experiment.archive`` of the v1 SDK).
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._experiments: dict[str, Experiment] = {}

    def records(self) -> list[Experiment]:
        """All experiments for a state file, including deleted ones."""
        return list(self._experiments.values())

    def load(self, experiment: Experiment) -> None:
        """Add an experiment from a file."""
        self._experiments[experiment.id] = experiment

    def all(self) -> list[Experiment]:
        """All experiments, oldest first."""
        return [item for item in self._experiments.values() if item.deleted is None]

    def get(self, experiment_id: str) -> Experiment:
        """An experiment by id."""
        found = self._experiments.get(experiment_id)
        if found is None or found.deleted is not None:
            raise not_found(f"Experiment {experiment_id}")
        return found

    def named(self, name: str) -> Experiment:
        """The active experiment with a name, else the experiment with this name that was archived last."""
        found = [item for item in self.all() if item.name == name]
        if not found:
            raise not_found(f"Experiment {name}")
        return max(found, key=lambda item: (item.archived is None, item.archived or 0.0))

    def ensure(self, name: str) -> Experiment:
        """Find the active experiment with a name, or create it."""
        check_name("experiment", name)
        with self._core.lock:
            active = self._active(name)
            if active is None:
                first = stable_id(f"experiment/{name}")
                experiment_id = str(uuid.uuid4()) if first in self._experiments else first
                active = Experiment(name, experiment_id, self._core.clock.now())
                self._experiments[active.id] = active
                self._core.changed()
            return active

    def update(
        self,
        experiment: Experiment,
        *,
        name: str | None = None,
        description: str | None = None,
        archive: bool | None = None,
        tags: Mapping[str, str | None],
    ) -> None:
        """Change what is given; tags are added to the existing ones."""
        if name is not None:
            check_name("experiment", name)
        with self._core.changing():
            stays_archived = experiment.archived is not None if archive is None else archive
            wanted = experiment.name if name is None else name
            holder = None if stays_archived else self._active(wanted)
            if holder is not None and holder is not experiment:
                raise conflict(f"An active experiment with the name {wanted} already exists.")
            if wanted != experiment.name:
                for run in self.runs_of(experiment):
                    run.experiment = wanted
            experiment.name = wanted
            experiment.description = experiment.description if description is None else description
            experiment.tags |= tags
            if archive is not None and archive != (experiment.archived is not None):
                experiment.archived = self._core.clock.now() if archive else None

    def delete_tags(self, experiment: Experiment, names: Iterable[str]) -> None:
        """Remove tags; unknown ones are ignored."""
        with self._core.changing():
            for name in names:
                experiment.tags.pop(name, None)

    def delete(self, experiment: Experiment) -> None:
        """Delete an experiment that has no runs."""
        with self._core.changing():
            if next(iter(self.runs_of(experiment)), None) is not None:
                raise bad_request(
                    f"Experiment {experiment.name} has runs; only an empty one can be deleted. Archive it instead.",
                    "ExperimentNotEmpty",
                )
            experiment.deleted = self._core.clock.now() + self._core.quirks.slow_delete

    def is_deleted(self, experiment_id: str) -> bool:
        """Whether the deletion of an experiment has finished."""
        found = self._experiments.get(experiment_id)
        if found is None or found.deleted is None:
            raise not_found(f"A deletion of experiment {experiment_id}")
        return found.deleted <= self._core.clock.now()

    def runs_of(self, experiment: Experiment) -> Iterable[Run]:
        """The runs of an experiment, oldest first."""
        return (run for run in self._core.runs.values() if run.experiment_id == experiment.id)

    def _active(self, name: str) -> Experiment | None:
        return next((item for item in self.all() if item.name == name and item.archived is None), None)
