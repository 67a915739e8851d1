"""Reads a page of the documentation: its blocks, and the comments that say how they are executed.

CONTRIBUTING.md, "Examples in documents", describes the rules for authors.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import textwrap
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]

EXECUTED = {"python", "console"}
CHECKED = {"json", "yaml", "ini", "toml"}
SHOWN = {"text", "diff", "promql", "dockerfile", "mermaid"}

# Why a Python block is not run, and the packages of which it has to import one.
REASONS = {
    "sdk-v1": ("azureml",),
    "sdk-v2": ("azure.ai.ml",),
    "spark": ("pyspark",),
}

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")
_COMMENT = re.compile(r"^ *<!--(?P<text>.*?)-->\s*$", re.DOTALL)
_OPTION = re.compile(r"^(file|exits|ends|not run): (\S+)$|^(output)$")
_MISSPELT = re.compile(r"^(tests?|testing|hidden|setup|given|then)\b", re.IGNORECASE)
_TASK = re.compile(r"\w+(Operator|Sensor)")


class PageError(Exception):
    """A page breaks a rule for authors."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Args:
        line: The line of the page on which its content begins.
        language: Its language; ``test`` if it is hidden.
        code: Its content.
        options: The comments before it, by name.
    """

    line: int
    language: str
    code: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str | None:
        """The name of the file that it is, in the page's folder."""
        return self.options.get("file")

    @property
    def kind(self) -> str:
        """How it is executed: ``dag``, ``tasks``, ``tests``, ``snippet``, or its language."""
        if self.language != "python":
            return self.language
        return kind_of(ast.parse(self.code))


def find_pages() -> list[Path]:
    """The pages whose examples are executed; decisions show what was."""
    pages = (path for path in sorted((ROOT / "docs").rglob("*.md")) if "decisions" not in path.parts)
    return [ROOT / "README.md", ROOT / "example_dags" / "README.md", *pages]


def name_of_page(path: Path) -> str:
    """A page's name, such as ``docs/reference/hook``."""
    return path.relative_to(ROOT).with_suffix("").as_posix()


def read_page(path: Path) -> list[Block]:
    """Read a page.

    Raises:
        PageError: It breaks a rule for authors.
    """
    return list(_read(path.read_text()))


def kind_of(tree: ast.Module) -> str:
    """How a piece of Python is executed: as a DAG file, tasks of a DAG, tests, or a snippet."""
    if _imports(tree, "pytest") or any(
        isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in tree.body
    ):
        return "tests"
    nodes = list(ast.walk(tree))
    if any(isinstance(node, ast.Call) and _called(node) == "DAG" for node in nodes) or any(
        isinstance(node, ast.FunctionDef) and any(_decorator(item) == "dag" for item in node.decorator_list)
        for node in nodes
    ):
        return "dag"
    if any(isinstance(node, ast.Call) and _TASK.fullmatch(_called(node)) for node in nodes):
        return "tasks"
    return "snippet"


def reason_not_to_run(block: Block) -> str | None:
    """Why a Python block is not run: an accepted reason, or None.

    Raises:
        PageError: The reason is not an accepted one, or it does not fit the block.
    """
    reason = block.options.get("not run")
    if reason is None:
        return None
    if reason not in REASONS or block.language != "python":
        raise PageError(block.line, f"'not run: {reason}' is not one of {sorted(REASONS)}, which are for Python")
    tree = ast.parse(block.code)
    if not any(_imports(tree, package) for package in REASONS[reason]):
        raise PageError(block.line, f"a block with 'not run: {reason}' imports one of {REASONS[reason]}")
    if _imports(tree, "aml_provider"):
        raise PageError(block.line, "a block that imports this provider is run")
    return reason


def check_content(block: Block) -> None:
    """Check that the content of a block that is not executed is valid.

    Raises:
        PageError: It is not; the message says why.
    """
    try:
        match block.language:
            case "json":
                json.loads(block.code)
            case "yaml":
                list(yaml.safe_load_all(block.code))
            case "ini":
                configparser.ConfigParser(interpolation=None).read_string(block.code)
            case "toml":
                tomllib.loads(block.code)
    except (ValueError, yaml.YAMLError, configparser.Error) as error:
        raise PageError(block.line, f"invalid {block.language}: {error}") from error
    if block.language in SHOWN:
        _check_shown(block)


def only_defines(code: str) -> set[str]:
    """The names of functions and classes, if that is all that a snippet defines; otherwise nothing."""
    body = ast.parse(code).body
    defined = [node for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]
    others = [node for node in body if node not in defined and not isinstance(node, (ast.Import, ast.ImportFrom))]
    return set() if others else {node.name for node in defined}


def imported(code: str) -> set[str]:
    """The names that a piece of Python imports at its top level."""
    nodes = [node for node in ast.parse(code).body if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {(item.asname or item.name).partition(".")[0] for node in nodes for item in node.names}


def _read(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    options: dict[str, str] = {}
    # Fences of directives, such as ```{note}, whose content is part of the page.
    around: list[str] = []
    unknown: tuple[int, str] | None = None
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.lstrip().startswith("<!--"):
            first = number
            while "-->" not in line and number < len(lines):
                line += "\n" + lines[number]
                number += 1
            comment = _COMMENT.match(line)
            if comment is None:
                continue
            words = comment["text"].strip()
            if comment["text"].lstrip(" ").startswith("test\n"):
                code = textwrap.dedent(comment["text"].partition("\n")[2])
                yield Block(first + 1, "test", code)
            elif option := _OPTION.match(words):
                options[option[1] or option[3]] = option[2] or ""
            elif _MISSPELT.match(words):
                raise PageError(first, f"the comment {words.splitlines()[0]!r} is not one that the rules have")
            else:
                unknown = first, words
            continue
        fence = _FENCE.match(line)
        if fence is None:
            if line.strip():
                if options:
                    raise PageError(number, f"after the comment {options} comes a block, not text")
                unknown = None
            continue
        mark, info = fence["fence"], fence["info"].strip()
        if around and not info and mark == around[-1]:
            around.pop()
            continue
        if info.startswith("{"):
            if re.match(r"\{(code|code-block|code-cell|sourcecode|eval-rst|testcode|doctest)\}", info):
                raise PageError(number, f"a block begins with its language, not with {info}")
            around.append(mark)
            continue
        first = number + 1
        content: list[str] = []
        while number < len(lines) and not re.fullmatch(rf" *{mark[0]}{{{len(mark)},}}\s*", lines[number]):
            content.append(lines[number])
            number += 1
        if number == len(lines):
            raise PageError(first - 1, "the block does not end")
        number += 1
        if unknown is not None:
            raise PageError(unknown[0], f"the comment {unknown[1]!r} before a block is not one that the rules have")
        language = info.split(maxsplit=1)[0] if info else ""
        code = textwrap.dedent("\n".join(content)) + "\n"
        block, options = Block(first, language, code, options), {}
        _check_language(block)
        yield block


def _check_language(block: Block) -> None:
    known = EXECUTED | CHECKED | SHOWN
    if block.language not in known and block.file is None:
        raise PageError(block.line, f"{block.language or 'no language'!r} is not one of {sorted(known)}")
    allowed = {"python": {"file", "ends", "not run"}, "console": {"exits"}, "text": {"file", "output"}}
    if wrong := set(block.options) - allowed.get(block.language, {"file"}):
        raise PageError(block.line, f"a {block.language} block has no {sorted(wrong)}")


def _check_shown(block: Block) -> None:
    if re.search(r"^\$ ", block.code, re.MULTILINE):
        raise PageError(block.line, f"commands are in a console block, not in {block.language}")
    try:
        tree = ast.parse(block.code)
    except SyntaxError:
        return
    if any(isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef)) for node in tree.body):
        raise PageError(block.line, f"Python is in a python block, not in {block.language}")


def _imports(tree: ast.Module, package: str) -> bool:
    names = [
        name
        for node in ast.walk(tree)
        for name in (
            [item.name for item in node.names]
            if isinstance(node, ast.Import)
            else [f"{node.module}", *(f"{node.module}.{item.name}" for item in node.names)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    return any(name == package or name.startswith(f"{package}.") for name in names)


def _called(call: ast.Call) -> str:
    target = call.func
    if isinstance(target, ast.Attribute) and target.attr == "partial":
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


def _decorator(node: ast.expr) -> str:
    target = node.func if isinstance(node, ast.Call) else node
    return target.id if isinstance(target, ast.Name) else ""
