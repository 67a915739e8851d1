"""The page that says which part of ``tests/support`` to take names parts that are there."""

from __future__ import annotations

import re
from pathlib import Path

SUPPORT = Path(__file__).parents[2] / "support"


def test_the_readme_names_every_folder_and_only_modules_that_exist():
    named = set(re.findall(r"`([a-z_]+)`", (SUPPORT / "README.md").read_text())) - {"tests", "azurite"}
    folders = {path.name for path in SUPPORT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    modules = {path.stem for path in SUPPORT.glob("*/*.py")}
    assert folders <= named
    assert named - folders <= modules
