"""The form of error messages, in all modules of the package."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "aml_provider"
# They run when a DAG file is parsed, where an author makes mistakes.
PARSED = (
    "assets.py",
    "argument_types.py",
    "connection.py",
    "decorators",
    "hooks",
    "operators",
    "parsing",
    "retry_policies.py",
)
PARSED += ("sensors", "triggers")
# triggers/base.py: Airflow survives only a TypeError, and it has the text of our own error.
ALLOWED = {("triggers/base.py", "TypeError")}
# The beginning of a sentence after a value.
SENTENCE = re.compile(r"\s[A-Z][a-z]* [a-z]")
# None is not the beginning of a sentence, and "Proceed?" is one that follows a question.
NO_SENTENCE = re.compile(r"\s(None|UTC)\b")


def trees(*names):
    for name in names:
        place = PACKAGE / name
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text())


def plain_raises(name, tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            kind = node.exc.func.id
            if kind in {"ValueError", "TypeError", "RuntimeError", "KeyError"} and (name, kind) not in ALLOWED:
                yield f"{name}:{node.lineno}: {kind}"


def open_quotations(name, tree):
    """Each text from elsewhere that a sentence follows, and that nothing has ended with a full stop."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, rest in zip(node.values, node.values[1:], strict=False):
            if not isinstance(value, ast.FormattedValue) or not isinstance(rest, ast.Constant):
                continue
            text = str(rest.value)
            is_ended = ast.unparse(value.value).startswith("sentence(")
            if SENTENCE.match(text) and not NO_SENTENCE.match(text) and not is_ended:
                yield f"{name}:{node.lineno}: {{{ast.unparse(value.value)}}}{text[:30]}"


def test_a_mistake_in_a_dag_file_has_an_address():
    found = [line for name, tree in trees(*PARSED) for line in plain_raises(name, tree)]
    assert not found, "\n".join(["raise an error of client/errors.py, which has an address:", *found])


def test_a_quoted_text_ends_with_a_full_stop_before_the_next_sentence():
    found = [line for name, tree in trees(".") for line in open_quotations(name, tree)]
    assert not found, "\n".join(["write sentence(…) of client/help.py around the quoted text:", *found])


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ('f"Run {run} failed: {why} The run continues"', 1),
        ('f"Run {run} failed: {sentence(why)} The run continues"', 0),
        ('f"{why} Nothing was sent."', 1),
        ('f"was given {name} None"', 0),
    ],
)
def test_the_check_finds_what_it_should(code, count):
    assert len(list(open_quotations("x", ast.parse(code)))) == count
