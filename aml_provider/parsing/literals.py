"""Mistakes in a DAG file that can be seen where it is read: arguments that no template will change."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from airflow.providers.common.compat.sdk import AirflowFailException

from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_PLAIN = (type(None), bool, int, float, timedelta, datetime, Enum)
_MARKS = ("{{", "{%", "{#")


class InvalidTask(InvalidArgument, AirflowFailException):
    """Arguments of a task cannot be used as they stand in its DAG file; the message names all of them.

    Of a mapped task it is raised on the worker, where the values come to be known: also there it costs no retry.

    Args:
        task_id: The task.
        problems: What is wrong, each the rest of a sentence that begins with the task.
    """

    def __init__(self, task_id: str, problems: list[str]) -> None:
        task = f"Task {task_id!r}"
        super().__init__(task, "; ".join(problem.removeprefix(": ") for problem in problems))
        self.args = ("\n".join(f"{task}{problem}" for problem in problems),)


class Literals:
    """Checks a task's arguments at the end of its constructor, and raises one error for all that are wrong.

    Checked is only what rendering leaves as it is: no text with a template in it, or that native rendering would read
    as a number or a list, and no XComArg. After rendering, the same functions check all of it again.

    Args:
        task: The operator or sensor, with its arguments as attributes. None of them is changed.
    """

    def __init__(self, task: Any) -> None:
        self._task = task
        self._problems: list[str] = []
        dag = task.dag if task.has_dag() else None
        # They may give templates other marks.
        self._own_marks = bool(getattr(dag, "jinja_environment_kwargs", None))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raise the error.

        Raises:
            InvalidTask: Something is wrong; the message has all of it.
            InvalidArgument: The same, while somebody tests the task.
        """
        if kind is not None or not self._problems:
            return
        invalid = InvalidTask(self._task.task_id, self._problems)
        if os.environ.get("AIRFLOW_TEST_MODE") == "True":
            # `airflow tasks test` of a mapped task: Airflow 3 takes the test's end for the task's own, in a DAG run
            # that may be active. So the test leaves it its retries.
            raise InvalidArgument(invalid.argument, invalid.problem)
        raise invalid

    def exactly_one(self, *names: str) -> None:
        """Of these arguments just one may be given."""
        given = [name for name in names if getattr(self._task, name) is not None]
        if len(given) == 1:
            return
        if len(names) == 2:
            self._wrong(f" needs either {names[0]} or {names[1]}; it was given {'both' if given else 'neither'}.")
            return
        found = " and ".join(given) or "none"
        self._wrong(f" needs exactly one of {', '.join(names[:-1])} and {names[-1]}; it was given {found}.")

    def goes_with(self, name: str, *others: str) -> None:
        """The first argument may be given only with one of the others."""
        given = any(getattr(self._task, other) is not None for other in others)
        if getattr(self._task, name) is not None and not given:
            missing = f"{others[0]} is not given" if len(others) == 1 else f"neither {' nor '.join(others)} is given"
            self._wrong(f": {name}: goes with {' or '.join(others)}, but {missing}")

    def _wrong(self, problem: str) -> None:
        if problem not in self._problems:
            self._problems.append(problem)

    def check(self, name: str, check: Callable[[str, Any], object], *, optional: bool = False) -> None:
        """Check one argument.

        Args:
            name: Its name.
            check: Takes the name and the value, and raises InvalidArgument.
            optional: None is no mistake.
        """
        value = getattr(self._task, name)
        if value is not None or not optional:
            self.check_value(name, value, partial(check, name, value))

    def check_value(self, name: str, value: Any, check: Callable[[], object]) -> None:
        """Check a value that is an argument or a part of it."""
        if not self.is_literal(name, value):
            return
        try:
            check()
        except InvalidArgument as error:
            # Without what the message says of rendering: nothing has been rendered yet.
            self._wrong(f": {error.argument}: {error.problem}")

    def check_each(self, name: str, check: Callable[[str, Any], object]) -> None:
        """Check the entries of a mapping one by one, each as a mapping of its own; another value as it is."""
        value = getattr(self._task, name)
        entries = [{key: item} for key, item in value.items()] if isinstance(value, Mapping) else [value]
        for entry in entries:
            self.check_value(name, entry, partial(check, name, entry))

    def is_literal(self, name: str, value: Any) -> bool:
        """Whether a value of this argument stays as it is."""
        rendered = name in self._task.template_fields
        return not (rendered and self._own_marks) and self._stays(value, rendered=rendered)

    def _stays(self, value: Any, *, rendered: bool) -> bool:
        if isinstance(value, str):
            return not rendered or not (self._is_template(value) or _reads_as_python(value))
        if isinstance(value, Mapping):
            return all(self._stays(part, rendered=rendered) for pair in value.items() for part in pair)
        if isinstance(value, (list, tuple)):
            return all(self._stays(part, rendered=rendered) for part in value)
        return isinstance(value, _PLAIN)

    def _is_template(self, text: str) -> bool:
        # A subclass may have files for templates.
        return any(mark in text for mark in _MARKS) or text.endswith(tuple(self._task.template_ext))


def _reads_as_python(text: str) -> bool:
    """Whether native rendering could make something else of a text; which DAG it is for may not be known yet."""
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True
