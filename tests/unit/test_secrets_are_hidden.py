"""Whoever opens a client tells Airflow's masker what its replies hold, also where no call of today holds a secret."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from aml_provider.hooks.blob_location import WasbRights

PACKAGE = Path(__file__).parents[2] / "aml_provider"


def opened():
    """Each place where a client is made, but for those of the emulator, which serves."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "emulator" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"Client", "AsyncClient"}:
                where = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                yield pytest.param(ast.unparse(node), node.func.id, id=where)


@pytest.mark.parametrize(("made", "kind"), [*opened()])
def test_a_client_tells_the_masker(made, kind):
    assert f"hide={'mask' if kind == 'Client' else 'async_mask'}" in made


def test_the_password_of_a_service_principal_is_hidden_as_it_is_sent():
    rights = WasbRights("storage", "client", " ab~secret ", {"tenant_id": "tenant"})
    assert {"ab~secret", " ab~secret "} <= {secret.reveal() for secret in rights.secrets}
