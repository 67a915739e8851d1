"""The data that a submission names; the submission record keeps it for lineage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from aml_provider.client.models import DataPath
from aml_provider.client.text import masked, unsigned

if TYPE_CHECKING:
    from aml_provider.client.specs.run import RunRequest

# An Airflow Variable with the records of 16 DAG runs must stay below the 64 kB that MySQL allows.
_MOST_CHARACTERS = 2000


class SubmittedData(NamedTuple):
    """The data that a run was submitted with.

    Make it with :meth:`of` or :meth:`read`.

    Attributes:
        data_paths: The data paths.
        datasets: The ids of saved datasets; for a component, the data assets.
    """

    data_paths: tuple[DataPath, ...]
    datasets: tuple[str, ...]

    @classmethod
    def of(cls, request: RunRequest) -> SubmittedData:
        """Take the data of a request, without the signatures in paths and the ids that look like credentials."""
        return cls(
            tuple(path._replace(path=unsigned(path.path)) for path in request.data_paths.values()),
            tuple(map(masked, request.datasets.values())),
        )

    def to_text(self) -> str | None:
        """The data as text for the submission record; None if the text would be too long for a record."""
        text = json.dumps(self)
        return text if len(text) <= _MOST_CHARACTERS else None

    @classmethod
    def read(cls, text: str | None) -> SubmittedData | None:
        """Read the result of :meth:`to_text`; None if there is none, or if it cannot be read: lineage does without."""
        if text is None:
            return None
        try:
            data_paths, datasets = json.loads(text)
            read = cls(tuple(DataPath(*path) for path in data_paths), tuple(datasets))
        except (TypeError, ValueError):
            return None
        texts = [*(part for path in read.data_paths for part in path), *read.datasets]
        return read if all(isinstance(item, str) for item in texts) else None
