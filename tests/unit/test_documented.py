"""The pages name what there is."""

from __future__ import annotations

import re
from pathlib import Path

from aml_provider.hooks.azure_ml import AzureMLHook

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "hook.md").read_text()


def test_every_method_of_the_hook_is_on_its_page():
    known = {name for name in dir(AzureMLHook) if hasattr(AzureMLHook, f"async_{name}")}
    named = set(re.findall(r"`(\w+)\(", PAGE))
    assert known
    assert known - {"client", "settings", "run"} - named == set()
    assert {name for name in named if not hasattr(AzureMLHook, name)} == {"AzureMLHook"}
