"""The base of the operators that obtain a run or a schedule and wait for it, on a worker or in the triggerer."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aml_provider.compat import BaseOperator
from aml_provider.operators.one_exception import as_one_exception

if TYPE_CHECKING:
    from collections.abc import Mapping

    import jinja2

    from aml_provider.compat import Context
    from aml_provider.worker.create_schedule import ScheduleTry
    from aml_provider.worker.run_pipeline import RunTry
    from aml_provider.worker.wait import Wait


class DeferringOperator(BaseOperator):
    """An operator whose work is done by a try of :mod:`aml_provider.worker`, which a deferral may interrupt."""

    # Arguments as they are in the DAG file, until they are compared with what they were rendered to.
    _written: Mapping[str, Any] = {}

    @as_one_exception
    def execute(self, context: Context) -> str:
        """Obtain the run or schedule, and wait for it; Airflow calls this on a worker."""
        self._read_files(context)
        return self._end_or_defer(self._begin(context).start())

    @as_one_exception
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> str:
        """Resume after the trigger fired; the run or schedule is read again, never taken from the event.

        Raises:
            ValueError: The event does not come from the operator's trigger.
        """
        return self._end_or_defer(self._begin(context).resume(event))

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """Render the arguments, and read those that are files, so that Airflow shows what is in the files."""
        super().render_template_fields(context, jinja_env)
        # A task that resumes after a deferral does not need them. Otherwise ``execute`` raises the error.
        with suppress(Exception):
            self._read_files(context)

    def _read_files(self, context: Context) -> None:
        """Read the arguments that are files; Airflow renders a mapped operator past its own method."""
        from aml_provider.worker import written_text
        from aml_provider.worker.argument_files import read_files

        written_text.keep(self, self._written)
        # Later values, such as those of a decorated function, are not rendered.
        self._written = {}
        read_files(self, context)

    @abstractmethod
    def _begin(self, context: Context) -> RunTry | ScheduleTry:
        """Prepare a try with the rendered arguments."""

    def _end_or_defer(self, outcome: str | Wait) -> str:
        if isinstance(outcome, str):
            return outcome
        # Airflow stores the method's name with the deferral, so it must never change.
        self.defer(trigger=outcome.trigger, method_name="execute_complete", timeout=outcome.timeout)
        raise AssertionError  # defer() never returns
