"""The text of a run operator's call for a pipeline that exists: with every parameter, its type and its default.

The commands print it, and the local workspace shows it, so this module imports nothing of either. Names, defaults and
documentation come from the workspace. They cannot become code or templates: all of them are written as Python literals,
a text that Jinja would read as a template is written as one that renders to it, and comments are single lines.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MARKS = ("{{", "{%", "{#", "\r")
_LONGEST_NOTE = 80


class Input(NamedTuple):
    """A parameter, data path or dataset.

    Attributes:
        name: Its name.
        type: Its type, in the service's words.
        default: Its default as text; None: it has none.
        required: Whether a run needs a value.
        note: What else is known about it.
        omitted: Show it only as a comment.
    """

    name: str
    type: str
    default: str | None = None
    required: bool = False
    note: str = ""
    omitted: bool = False


def operator_call(
    name: str,
    target: Mapping[str, str],
    *,
    parameters: Iterable[Input] = (),
    data_paths: Iterable[Input] = (),
    datasets: Iterable[Input] = (),
) -> str:
    """Write the call.

    Args:
        name: The name of the pipeline or component; the task and the experiment are named after it.
        target: The arguments that name what is run.
        parameters: The plain parameters.
        data_paths: The data paths; a default is ``store/path``.
        datasets: The datasets.

    Returns:
        Python for a DAG file: an import and an expression. What has no default is taken from a param of the DAG.
    """
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:100] or "run"
    lines = [f"task_id={quoted(slug)},"]
    lines += [f"{argument}={literal_text(value)}," for argument, value in target.items()]
    lines.append(f"experiment_name={quoted(slug)},  # created if it does not exist")
    for argument, inputs in (("parameters", parameters), ("data_paths", data_paths), ("datasets", datasets)):
        entries = [_entry(item) for item in inputs]
        if entries:
            lines += [f"{argument}={{", *(f"    {entry}" for entry in entries), "},"]
    lines.append("deferrable=True,  # waits in the triggerer, not on a worker")
    lines.append("retries=2,  # a retry takes over the run and does not start another one")
    call = "\n".join(f"    {line}" for line in lines)
    return (
        "from aml_provider.operators.pipeline import AzureMLRunPipelineOperator\n\n"
        f"AzureMLRunPipelineOperator(\n{call}\n)\n"
    )


def _entry(item: Input) -> str:
    if item.default is not None:
        value, state = _literal(item.type, item.default), "its default"
    elif item.required:
        # Not ``params.name``: the params have methods too.
        value, state = quoted(f"{{{{ params[{item.name!a}] }}}}"), "no default"
    else:
        value, state = '""', "optional"
    note = f": {comment_line(item.note)}" if item.note else ""
    comment = comment_line(", ".join(filter(None, (item.type, state)))) + note
    is_comment = item.omitted or (item.default is None and not item.required)
    return f"{'# ' if is_comment else ''}{quoted(item.name)}: {value},  # {comment}"


def _literal(kind: str, text: str) -> str:
    """A default in Python's form, if the operator would send exactly this text for it; else as text."""
    kind = kind.lower()
    if kind in {"bool", "boolean"} and text in {"True", "False"}:
        return text
    if kind in {"int", "integer"} and re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", text) and text != "-0":
        return text
    if kind in {"double", "number"} and re.fullmatch(r"-?[0-9.e+-]{1,30}", text):
        try:
            return text if repr(float(text)) == text else literal_text(text)
        except ValueError:
            return literal_text(text)
    return literal_text(text)


def literal_text(text: str) -> str:
    """A text that Airflow renders to this one."""
    # Jinja drops a newline at the end, and changes carriage returns.
    if any(mark in text for mark in _MARKS) or text.endswith("\n"):
        text = f"{{{{ {text!a} }}}}"
    return quoted(text)


def quoted(text: str) -> str:
    """A literal in double quotes, or in single ones if that needs fewer escapes. What cannot be printed is escaped."""
    if text.count('"') > text.count("'"):
        return repr(text)
    # With a double quote in the text, repr uses single quotes and escapes each of them.
    body = repr(f'{text}"')[1:-2]
    return '"{}"'.format(body.replace("\\'", "'").replace('"', '\\"'))


def comment_line(text: str, longest: int = _LONGEST_NOTE) -> str:
    """A text as part of a comment: one line, of limited length, without characters that change how it is displayed."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
