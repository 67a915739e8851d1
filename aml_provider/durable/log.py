"""The part of a logger that protocols use; Airflow 2 and 3 have different loggers."""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """Takes lines for the task's log, and the values for their ``%`` formats."""

    def info(self, message: str, /, *values: Any) -> Any:
        """Log progress."""

    def warning(self, message: str, /, *values: Any) -> Any:
        """Log a problem."""
