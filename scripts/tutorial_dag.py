"""The DAG of the tutorial, as it stands in the document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, Self

TUTORIAL = Path(__file__).resolve().parents[1] / "docs" / "start" / "tutorial.md"
_BLOCK = re.compile(r"<!-- file: my_airflow/dags/(\w+)\.py -->\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CHANGE = re.compile(r"^```diff\n-(.*)\n\+(.*)\n```$", re.MULTILINE)


class TutorialDag(NamedTuple):
    """The DAG that the reader writes.

    Attributes:
        dag_id: Its id, and the name of its file.
        code: What the reader writes first.
        failing: The same with the one line that the tutorial changes, so that the pipeline fails.
    """

    dag_id: str
    code: str
    failing: str

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return f"{self.dag_id}.py"

    @classmethod
    def read(cls, document: Path = TUTORIAL) -> Self:
        """Read it from the tutorial.

        Args:
            document: The page.

        Raises:
            ValueError: The page has no such block, or its change does not fit.
        """
        text = document.read_text(encoding="utf-8")
        block, change = _BLOCK.search(text), _CHANGE.search(text)
        if block is None or change is None:
            raise ValueError(f"{document.name} has no block with the file of its DAG, or no change of a line of it")
        dag_id, code = block.groups()
        old, new = change.groups()
        if code.count(old) != 1 or f'"{dag_id}"' not in code:
            raise ValueError(f"{document.name}: {old.strip()} is not in the DAG once, or the DAG is not {dag_id}")
        return cls(dag_id, code, code.replace(old, new))
