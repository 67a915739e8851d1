"""Whoever opens a client tells Airflow's masker what its replies hold, also where no call of today holds a secret."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from aml_provider.hooks.blob_location import WasbRights

PACKAGE = Path(__file__).parents[2] / "aml_provider"
# OpenLineage calls it in a fork, which shares the worker's connection to Airflow: a secret that the fork sends to the
# masker could get between the worker's own messages. It masks what it reports itself (aml_provider/client/text.py).
FORKED = "worker/lineage"


def opened():
    """Each place where a client is made, but for those of the emulator, which serves, and of a fork."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "emulator" in path.parts or path.is_relative_to(PACKAGE / FORKED):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Client", "AsyncClient"}:
                where = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                yield pytest.param(ast.unparse(node), node.func.id, id=where)


def names(module):
    """What a module imports, and the names and keywords of its calls."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        if isinstance(node, ast.alias | ast.FunctionDef):
            yield node.name
        if isinstance(node, ast.keyword):
            yield node.arg
        if isinstance(node, ast.Name):
            yield node.id


@pytest.mark.parametrize(("made", "kind"), [*opened()])
def test_a_client_tells_the_masker(made, kind):
    assert f"hide={'mask' if kind == 'Client' else 'async_mask'}" in made


def test_a_fork_of_the_worker_sends_nothing_to_the_masker():
    sources = [path.read_text() for path in sorted((PACKAGE / FORKED).glob("*.py"))]
    assert "Client(" in "".join(sources)
    named = {name for source in sources for name in names(ast.parse(source))}
    assert not named & {"hide", "mask", "async_mask", "mask_secret", "aml_provider.masking"}


def test_the_password_of_a_service_principal_is_hidden_as_it_is_sent():
    rights = WasbRights("storage", "client", " ab~secret ", {"tenant_id": "tenant"})
    assert {"ab~secret", " ab~secret "} <= {secret.reveal() for secret in rights.secrets}
