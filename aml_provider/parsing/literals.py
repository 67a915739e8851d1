"""Finds mistakes in literal arguments, which have no template, when a DAG file is parsed."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from aml_provider.client.errors import InvalidArgument
from aml_provider.compat import AirflowFailException, is_tasks_test

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_PLAIN = (type(None), bool, int, float, timedelta, datetime, Enum)
_TEMPLATE_STARTS = ("{{", "{%", "{#")


class InvalidTask(InvalidArgument, AirflowFailException):
    """Arguments of a task cannot be used as they are written in its DAG file; the message names all of them.

    For a mapped task this error is raised on the worker, where the values are first known. It uses up no retries there
    either.

    Args:
        task_id: The task.
        problems: The problems, each the rest of a sentence that begins with the task.
    """

    def __init__(self, task_id: str, problems: list[str]) -> None:
        task = f"Task {task_id!r}"
        super().__init__(task, "; ".join(problem.removeprefix(": ") for problem in problems))
        self.args = ("\n".join(f"{task}{problem}" for problem in problems),)


class Literals:
    """Checks a task's arguments at the end of its constructor, and raises one error for all mistakes.

    It checks only values that rendering does not change. It does not check an XComArg, a text with a template, or a
    text that native rendering would read as a number or a list. After rendering, the same functions check all values
    again.

    Args:
        task: The operator or sensor, with its arguments as attributes; they are only read.
    """

    def __init__(self, task: Any) -> None:
        self._task = task
        self._problems: list[str] = []
        dag = task.dag if task.has_dag() else None
        # These may define other delimiters of templates.
        self._own_delimiters = bool(getattr(dag, "jinja_environment_kwargs", None))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raise the error.

        Raises:
            InvalidTask: There are mistakes; the message names all of them.
            InvalidArgument: The same, during ``airflow tasks test``.
        """
        if kind is not None or not self._problems:
            return
        invalid = InvalidTask(self._task.task_id, self._problems)
        if is_tasks_test():
            # `airflow tasks test` of a mapped task: Airflow 3 takes the test's result for the task's own, in a DAG run
            # that may be active. So the test must not end the task without retries.
            raise InvalidArgument(invalid.argument, invalid.problem)
        raise invalid

    def exactly_one(self, *names: str) -> None:
        """Check that exactly one of these arguments is given."""
        given = [name for name in names if getattr(self._task, name) is not None]
        if len(given) == 1:
            return
        if len(names) == 2:
            self._wrong(f" needs either {names[0]} or {names[1]}; it was given {'both' if given else 'neither'}.")
            return
        found = " and ".join(given) or "none"
        self._wrong(f" needs exactly one of {', '.join(names[:-1])} and {names[-1]}; it was given {found}.")

    def goes_with(self, name: str, *others: str) -> None:
        """Check that the first argument is given only together with one of the others."""
        given = any(getattr(self._task, other) is not None for other in others)
        if getattr(self._task, name) is not None and not given:
            missing = f"{others[0]} is not given" if len(others) == 1 else f"neither {' nor '.join(others)} is given"
            self._wrong(f": {name}: can be used only with {' or '.join(others)}, but {missing}")

    def differs_with(self, name: str, others: tuple[str, ...], problem: str) -> None:
        """Check that one of the other arguments has a template if the first one has one."""
        # Its own delimiters are not known here.
        if self._own_delimiters or not self._may_differ(getattr(self._task, name)):
            return
        if not any(self._may_differ(getattr(self._task, other)) for other in others):
            self._wrong(f": {name}: {problem}")

    def _may_differ(self, value: Any) -> bool:
        """Whether a rendered value may differ between two DAG runs."""
        if isinstance(value, str):
            return self._is_template(value)
        if isinstance(value, (list, tuple)):
            return any(map(self._may_differ, value))
        return not isinstance(value, _PLAIN)

    def _wrong(self, problem: str) -> None:
        if problem not in self._problems:
            self._problems.append(problem)

    def check(self, name: str, check: Callable[[str, Any], object], *, optional: bool = False) -> None:
        """Check one argument.

        Args:
            name: The argument's name.
            check: Takes the name and the value; raises InvalidArgument.
            optional: Accept None.
        """
        value = getattr(self._task, name)
        if value is not None or not optional:
            self.check_value(name, value, partial(check, name, value))

    def check_value(self, name: str, value: Any, check: Callable[[], object]) -> None:
        """Check a value that is an argument or a part of one."""
        if not self.is_literal(name, value):
            return
        try:
            check()
        except InvalidArgument as error:
            # Without the message's hint about rendering: nothing has been rendered yet.
            self._wrong(f": {error.argument}: {error.problem}")

    def check_each(self, name: str, check: Callable[[str, Any], object]) -> None:
        """Check each entry of a mapping alone, as a mapping with one entry; check any other value as it is."""
        value = getattr(self._task, name)
        entries = [{key: item} for key, item in value.items()] if isinstance(value, Mapping) else [value]
        for entry in entries:
            self.check_value(name, entry, partial(check, name, entry))

    def is_literal(self, name: str, value: Any) -> bool:
        """Whether rendering leaves a value of this argument as it is."""
        rendered = name in self._task.template_fields
        return not (rendered and self._own_delimiters) and self._stays(value, rendered=rendered)

    def _stays(self, value: Any, *, rendered: bool) -> bool:
        if isinstance(value, str):
            return not rendered or not (self._is_template(value) or _reads_as_python(value))
        if isinstance(value, Mapping):
            return all(self._stays(part, rendered=rendered) for pair in value.items() for part in pair)
        if isinstance(value, (list, tuple)):
            return all(self._stays(part, rendered=rendered) for part in value)
        return isinstance(value, _PLAIN)

    def _is_template(self, text: str) -> bool:
        # A subclass may accept template files.
        return any(start in text for start in _TEMPLATE_STARTS) or text.endswith(tuple(self._task.template_ext))


def _reads_as_python(text: str) -> bool:
    """Whether native rendering could turn a text into something else; asked even before the DAG is known."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True
