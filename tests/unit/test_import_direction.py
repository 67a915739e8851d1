"""Who may import whom. What is imported for types only counts too: it is a dependency of the mind."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = Path(__file__).parents[2] / "aml_provider"
MODULES = {
    ".".join(["aml_provider", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
PRODUCTION = {name for name in MODULES if not name.startswith("aml_provider.emulator")}


class Rule(NamedTuple):
    """Modules under ``who`` (all but ``but``) import nothing under ``what``."""

    who: tuple[str, ...]
    what: tuple[str, ...]
    but: tuple[str, ...] = ()

    def breaks(self, module, imported):
        return under(module, self.who) and not under(module, self.but) and under(imported, self.what)


AIRFLOW_SIDE = (
    "hooks",
    "api_server",
    "operators",
    "parsing",
    "plugin",
    "sensors",
    "triggerer",
    "triggers",
    "state",
    "worker",
    "links",
    "connection",
    "masking",
    "xcom",
    "cli",
)
OURS = tuple(f"aml_provider.{name}" for name in AIRFLOW_SIDE)
OUTSIDE_EMULATOR = tuple(sorted({".".join(name.split(".")[:2]) for name in PRODUCTION if name != "aml_provider"}))
HTTPX = tuple(f"aml_provider.client.http.{name}" for name in ("clients", "routes", "transfer"))
RULES = {
    "client and blobs import no Airflow": Rule(
        ("aml_provider.client", "aml_provider.blobs"), ("airflow", "asgiref", "sqlalchemy")
    ),
    "client and blobs import nothing above them": Rule(("aml_provider.client", "aml_provider.blobs"), OURS),
    "client does not know blobs": Rule(("aml_provider.client",), ("aml_provider.blobs",)),
    "nothing outside the emulator imports it": Rule(OUTSIDE_EMULATOR, ("aml_provider.emulator",)),
    "production code does without the emulator's dependencies": Rule(
        OUTSIDE_EMULATOR, ("starlette", "uvicorn", "yaml", "h11", "jinja2")
    ),
    "the emulator knows nothing of what it serves": Rule(
        ("aml_provider.emulator",), ("airflow", "aml_provider.client", "aml_provider.blobs", *OURS)
    ),
    "the transport imports httpx": Rule(OUTSIDE_EMULATOR, ("httpx", "httpcore"), but=HTTPX),
    "nobody else makes requests": Rule(
        OUTSIDE_EMULATOR, ("requests", "aiohttp", "urllib.request", "urllib3", "http.client")
    ),
    "Azure's libraries are for credentials and signatures": Rule(
        OUTSIDE_EMULATOR, ("azure",), but=("aml_provider.client.auth", "aml_provider.blobs.access")
    ),
    "what reads the connection imports nothing above it": Rule(
        ("aml_provider.connection", "aml_provider.links", "aml_provider.get_provider_info", "aml_provider.durations"),
        tuple(name for name in OURS if name != "aml_provider.connection"),
    ),
    "hooks import no operators, sensors, triggers or state": Rule(
        ("aml_provider.hooks",),
        ("aml_provider.operators", "aml_provider.sensors", "aml_provider.triggers", "aml_provider.state"),
    ),
    "state imports no operators, sensors, triggers or hooks": Rule(
        ("aml_provider.state",),
        ("aml_provider.operators", "aml_provider.sensors", "aml_provider.triggers", "aml_provider.hooks"),
    ),
    "triggers import no operators or sensors": Rule(
        ("aml_provider.triggers",), ("aml_provider.operators", "aml_provider.sensors")
    ),
    "the API server imports no operators, sensors or triggers": Rule(
        ("aml_provider.api_server", "aml_provider.plugin"),
        ("aml_provider.operators", "aml_provider.sensors", "aml_provider.triggers"),
    ),
    "nothing but the plugin imports the API server's part": Rule(
        tuple(name for name in OUTSIDE_EMULATOR if name not in {"aml_provider.api_server", "aml_provider.plugin"}),
        ("aml_provider.api_server",),
    ),
    "operators and sensors do without each other": Rule(("aml_provider.operators",), ("aml_provider.sensors",)),
    "the command line imports no operators, sensors, triggers or state": Rule(
        ("aml_provider.cli", "aml_provider.__main__"),
        ("aml_provider.operators", "aml_provider.sensors", "aml_provider.triggers", "aml_provider.state"),
    ),
    "nothing imports the command line": Rule(
        ("aml_provider",),
        ("aml_provider.cli", "aml_provider.__main__"),
        but=("aml_provider.cli", "aml_provider.__main__"),
    ),
    "tests are not imported": Rule(("aml_provider",), ("tests", "support", "pytest", "hypothesis")),
}


def under(name, prefixes):
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def imports(source, module="aml_provider.x"):
    """Everything that a source imports, wherever it does: at the top, in a function, for types only, by name."""
    package = module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            start = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, (start, node.module)))
            # ``from a import b`` imports a, and perhaps a module a.b.
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value)


def broken(rule, sources):
    return sorted(
        f"{module} imports {imported}"
        for module, source in sources.items()
        for imported in imports(source, module)
        if rule.breaks(module, imported)
    )


@pytest.fixture(scope="module")
def sources():
    return {name: path.read_text() for name, path in MODULES.items()}


@pytest.mark.parametrize("name", RULES)
def test_nobody_breaks_the_rule_that(name, sources):
    assert broken(RULES[name], sources) == []


def test_httpx_is_imported_where_it_may_be(sources):
    importers = {name for name in PRODUCTION if any(under(item, ("httpx",)) for item in imports(sources[name]))}
    assert importers == set(HTTPX)


def test_names_that_rules_speak_of_are_there():
    known = {name.split(".")[1] for name in MODULES if "." in name}
    assert {*AIRFLOW_SIDE, "client", "blobs", "emulator", "durations", "get_provider_info"} <= known


@pytest.mark.parametrize(
    "source",
    [
        "import airflow",
        "import airflow.models as models",
        "import os, airflow.sdk",
        "from airflow import DAG",
        "from airflow.sdk import DAG",
        "def run():\n    from airflow.sdk import DAG",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from airflow.sdk import DAG",
        "try:\n    import airflow\nexcept ImportError:\n    pass",
        "import importlib\nimportlib.import_module('airflow.sdk')",
        "__import__('airflow')",
    ],
)
def test_the_checker_catches_airflow_in_the_client(source):
    rule = RULES["client and blobs import no Airflow"]
    assert broken(rule, {"aml_provider.client.new": source}) != []
    assert broken(rule, {"aml_provider.blobs": source}) != []
    assert broken(rule, {"aml_provider.hooks.new": source}) == []


@pytest.mark.parametrize(
    "source", ["import airflows", "from airflow_x import y", "import my.airflow", "'import airflow'"]
)
def test_the_checker_does_not_cry_wolf(source):
    assert broken(RULES["client and blobs import no Airflow"], {"aml_provider.client.new": source}) == []


@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        ("nothing outside the emulator imports it", "aml_provider.hooks.new", "from aml_provider import emulator"),
        ("nothing outside the emulator imports it", "aml_provider.hooks.new", "from ..emulator.server import X"),
        ("nothing outside the emulator imports it", "aml_provider.links", "from . import emulator"),
        ("production code does without the emulator's dependencies", "aml_provider.client.new", "import yaml"),
        ("the transport imports httpx", "aml_provider.hooks.new", "import httpx"),
        ("the transport imports httpx", "aml_provider.client.http.protocol", "from httpx import URL"),
        (
            "hooks import no operators, sensors, triggers or state",
            "aml_provider.hooks.x",
            "from aml_provider import state",
        ),
        (
            "triggers import no operators or sensors",
            "aml_provider.triggers.x",
            "import aml_provider.operators.pipeline",
        ),
        ("Azure's libraries are for credentials and signatures", "aml_provider.hooks.x", "import azure.identity"),
        ("nothing imports the command line", "aml_provider.get_provider_info", "from aml_provider import cli"),
    ],
)
def test_the_checker_catches_a_breach_of(rule, module, source):
    assert broken(RULES[rule], {module: source}) != []
