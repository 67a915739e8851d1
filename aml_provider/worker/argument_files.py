"""Arguments in files: a file in JSON or YAML that holds a mapping, and that is rendered before it is parsed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aml_provider.client.arguments import MAPPINGS, is_file_name
from aml_provider.client.errors import InvalidArgument
from aml_provider.compat import render_template_to_string
from aml_provider.connection import airflow_errors

if TYPE_CHECKING:
    from aml_provider.compat import Context


def read_files(operator: Any, context: Context) -> None:
    """Replace the names of files among an operator's rendered arguments by the mappings in these files.

    Raises:
        FileNotFoundError: There is no such file in the DAG's folder or its ``template_searchpath``.
        AirflowFailException: The file holds something other than a mapping.
    """
    for argument in MAPPINGS:
        value = getattr(operator, argument, None)
        if is_file_name(value):
            text = _render(operator, argument, value, context)
            with airflow_errors():
                setattr(operator, argument, parse(argument, value, text))


def _render(operator: Any, argument: str, name: str, context: Context) -> str:
    from jinja2 import TemplateNotFound

    dag = operator.get_dag()
    # Native rendering would read the text as Python; it is JSON or YAML.
    environment = operator.get_template_env() if dag is None else dag.get_template_env(force_sandboxed=True)
    try:
        template = environment.get_template(name)
    except TemplateNotFound as missing:
        raise FileNotFoundError(
            f"{argument}: is {name!r}, but {missing.name} is neither in the folder of the DAG's file nor in the DAG's "
            "template_searchpath"
        ) from missing
    return render_template_to_string(template, context)


def parse(argument: str, name: str, text: str) -> dict[str, Any]:
    """Parse the text of a file.

    Args:
        argument: The operator's argument, for messages.
        name: The file's name, whose ending says what it is.
        text: Its text, rendered.

    Raises:
        InvalidArgument: The text cannot be parsed, or is not a mapping. The message has no part of the text, which may
            contain secrets.
    """
    try:
        value = _load(name, text)
    except (ValueError, RecursionError) as error:
        # The message of a RecursionError is about Python.
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        problem = f"names the file {name!r}, which cannot be parsed after rendering: {reason}"
        raise InvalidArgument(argument, problem) from None
    if not isinstance(value, Mapping):
        raise InvalidArgument(argument, f"names the file {name!r}, which is not a mapping from names to values")
    return dict(value)


def _load(name: str, text: str) -> Any:
    if not name.endswith(".json"):
        from aml_provider.worker import yaml_values

        return yaml_values.load(text)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno} is not valid JSON") from None
