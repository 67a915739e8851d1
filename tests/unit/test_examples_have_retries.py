"""Every task that we show has retries: Airflow itself loses one now and then on a busy machine, and people copy."""

from __future__ import annotations

import ast
import re

import pytest
from support.documents.blocks import ROOT, find_pages, name_of_page, read_page

SNIPPETS = [
    (f"{name_of_page(page)}, line {block.line}", block.code)
    for page in find_pages()
    for block in read_page(page)
    if block.language == "python"
]
SOURCES = SNIPPETS + [(path.name, path.read_text()) for path in sorted((ROOT / "example_dags").glob("*.py"))]
TASK = re.compile(r"\w+(Operator|Sensor)")


def name_of(call: ast.Call) -> str:
    """A class's name, also where a mapped task is made of it."""
    target = call.func
    if isinstance(target, ast.Attribute) and target.attr == "partial":
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


def has_retries(call: ast.Call) -> bool:
    """Whether a task has them itself, or a DAG gives them to all of its tasks."""
    for keyword in call.keywords:
        if keyword.arg == "retries":
            return ast.literal_eval(keyword.value) > 0
        if keyword.arg == "default_args":
            return '"retries"' in ast.unparse(keyword.value).replace("'", '"')
    return False


def is_dag(node: ast.AST) -> bool:
    """Whether it is the call that makes a DAG."""
    return isinstance(node, ast.Call) and name_of(node) == "DAG"


def is_task(node: ast.AST) -> bool:
    """Whether it makes a task that could have retries of its own."""
    return isinstance(node, ast.Call) and (TASK.fullmatch(name_of(node)) is not None or name_of(node) == "task")


def without_retries(code: str) -> list[str]:
    """The tasks in a piece of code that have none: neither of their own nor of each DAG around."""
    nodes = list(ast.walk(ast.parse(code)))
    dags = [node for node in nodes if is_dag(node)]
    if dags and all(has_retries(dag) for dag in dags):
        return []
    calls = [name_of(node) for node in nodes if is_task(node) and not has_retries(node)]
    bare = [
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(decorator, ast.Name) and decorator.id == "task" for decorator in node.decorator_list)
    ]
    return calls + bare


def test_there_are_examples():
    assert len(SNIPPETS) >= 15
    assert len(SOURCES) - len(SNIPPETS) >= 10


@pytest.mark.parametrize(("source", "code"), SOURCES, ids=[name for name, _ in SOURCES])
def test_every_task_has_retries(source, code):
    assert without_retries(code) == [], source


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("with DAG('d'):\n    AOperator(task_id='a')", 1),
        ("with DAG('d', default_args={'retries': 2}):\n    AOperator.partial(task_id='a').expand(x=[1])", 0),
        ("ASensor(task_id='a', retries=2)", 0),
        ("ASensor(task_id='a', retries=0)", 1),
        ("@task\ndef a(): ...", 1),
        ("@task(retries=2)\ndef a(): ...", 0),
    ],
)
def test_examples_without_retries_are_found(code, found):
    assert len(without_retries(code)) == found
