"""A mistake in a page stops the build: one small site has them all, and each must be reported."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aml_provider import __version__

ROOT = Path(__file__).parents[2]
PAGES = {
    "docs/index.md": """\
# Title

<!-- site: pages part/* -->

[right](part/page.md#a-heading) [out](../example_dags/run_pipeline.py) [folder](../example_dags/)

[page](part/none.md) [heading](part/page.md#none) [own](#nowhere) [file](../none.py)

![picture](none.svg)
""",
    "docs/part/page.md": """\
# Page

## A heading

```{eval-rst}
:class:`aml_provider.client.errors.NoSuchError`, :class:`NotFound`, :mod:`aml_provider.client.retries`,
:class:`~aml_provider.client.http.retry.RetryPolicy`, :class:`~airflow.sdk.AssetWatcher`
```
""",
    "docs/alone.md": "# Alone\n",
    "docs/part/both.md": "# Both\n\n![In both themes](one-light.png) ![In one](two-light.png)\n",
    "docs/part/one-light.png": "",
    "docs/part/one-dark.png": "",
    "docs/part/two-light.png": "",
    "example_dags/run_pipeline.py": "",
}
MISTAKES = [
    ("index.md", "target not found: 'part/none.md'"),
    ("index.md", "local id not found in doc 'part/page': 'none'"),
    ("index.md", "'nowhere'"),
    ("index.md", "'../none.py'"),
    ("index.md", "image file not readable: none.svg"),
    ("page.md", "aml_provider.client.errors.NoSuchError"),
    ("page.md", "NotFound"),
    ("page.md", "aml_provider.client.retries"),
    ("alone.md", "isn't included in any toctree"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def warnings(folder):
    """The warnings of the build of a site with mistakes, one a line."""
    for name, text in PAGES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    docs = ROOT / "docs"
    # What the configuration names.
    for name in ("_static", "integration-logos"):
        (folder / "docs" / name).symlink_to(docs / name)
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-c", docs, folder / "docs", folder / "html"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 1, built.stderr
    return [line for line in built.stderr.splitlines() if "WARNING" in line]


@pytest.mark.parametrize(("page", "words"), MISTAKES, ids=[words for _, words in MISTAKES])
def test_a_mistake_is_reported(warnings, page, words):
    assert [line for line in warnings if page in line and words in line]


def test_nothing_else_is_reported(warnings):
    unknown = [line for line in warnings if not any(page in line and words in line for page, words in MISTAKES)]
    assert unknown == []


def test_a_link_out_of_the_documentation_leads_to_the_repository(warnings, folder):
    page = (folder / "html/index.html").read_text()
    address = f"https://github.com/airflow-provider-azureml/airflow-provider-azureml/blob/v{__version__}/example_dags"
    assert f'href="{address}/run_pipeline.py"' in page
    assert f'href="{address}"' in page
    assert 'href="part/page.html#a-heading"' in page


def test_a_picture_in_two_versions_follows_the_theme(warnings, folder):
    pictures = re.findall(r"<img ([^>]*)>", (folder / "html/part/both.html").read_text())
    shown = {
        (re.search(r"_images/([\w-]+)", picture)[1], kind)
        for picture in pictures
        for kind in re.findall(r"only-\w+", picture) or [""]
        if "_images/" in picture
    }
    assert shown == {("one-light", "only-light"), ("one-dark", "only-dark"), ("two-light", "")}
