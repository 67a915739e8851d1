"""The example of docs/testing-your-dags.md: a project of its own, whose tests pass on the Airflow at hand."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROJECT = ROOT / "tests" / "users_project"
PAGE = (ROOT / "docs" / "testing-your-dags.md").read_text()
# pytest-asyncio warns without its own setting.
OPTIONS = ("-W", "error::pytest.PytestWarning", "-o", "asyncio_default_fixture_loop_scope=function")
FILES = sorted(path.relative_to(PROJECT).as_posix() for path in PROJECT.rglob("*.*") if "__pycache__" not in path.parts)


def test_its_three_tests_pass(tmp_path, azurite_program):
    program, environment = azurite_program
    folder = shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *OPTIONS, "-o", f"azureml_azurite={program}"],
        cwd=folder,
        env={"HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert re.search(r"=+ 3 passed\b.*=", done.stdout), done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES)
def test_the_page_has_the_files_of_the_project_as_they_are(file):
    content = (PROJECT / file).read_text().strip()
    language = {".py": "python", ".ini": "ini"}[Path(file).suffix]
    assert re.search(rf"`{re.escape(file)}`[^`]*\n```{language}\n{re.escape(content)}\n```\n", PAGE)


def test_the_page_documents_what_the_plugin_has():
    source = (ROOT / "aml_provider" / "pytest_plugin.py").read_text()
    fixtures = set(re.findall(r"^def (azureml_\w+)", source, re.MULTILINE))
    table = PAGE.partition("## Fixtures\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(azureml_\w+)` \|", table, re.MULTILINE)) == fixtures
