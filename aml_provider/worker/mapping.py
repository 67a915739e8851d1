"""The longest result that a task can be mapped over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aml_provider.compat import conf

if TYPE_CHECKING:
    from aml_provider.compat import BaseOperator


def longest_mapping(task: BaseOperator, map_index: int) -> int | None:
    """The most items that Airflow accepts in a task instance's result; None where no task is mapped over the result.

    Args:
        task: The task, in its DAG.
        map_index: The instance's. The instances of a mapped task may return any number of items: a task that is mapped
            over them has one instance for each of them.
    """
    if map_index >= 0 or not task.has_dag() or next(task.iter_mapped_dependants(), None) is None:
        return None
    most: int = conf.getint("core", "max_map_length", fallback=1024)
    return most
