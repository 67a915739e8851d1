"""How Sphinx builds the documentation site. ``make docs`` runs it, with scripts/website as an extension."""

from __future__ import annotations

import tomllib
from pathlib import Path

from aml_provider import __version__

_ROOT = Path(__file__).resolve().parents[1]
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_REPOSITORY = _PROJECT["urls"]["Repository"]

project = _PROJECT["name"]
author = _PROJECT["authors"][0]["name"]
project_copyright = f"{author}, Apache License 2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "website"]
# Files at the tag of the version, as on PyPI: the page of an old release leads to the files of that release.
repository_files = f"{_REPOSITORY}/blob/v{__version__}"

# Every reference must lead somewhere, and website.names knows those of other packages.
nitpicky = True
# Blocks are tested elsewhere, and quotes over several lines are an error to the lexer of `console`.
suppress_warnings = ["misc.highlighting_failure"]
# Headings have the anchors that GitHub gives them.
myst_heading_anchors = 6
# Code and options stay as they were written.
smartquotes = False

autodoc_typehints = "description"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"{project} {release}"
html_baseurl = _PROJECT["urls"]["Documentation"]
html_logo = html_favicon = "integration-logos/azureml-pipelines.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_search_scorer = str(_ROOT / "docs" / "_static" / "scorer.js")
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "source_repository": _REPOSITORY,
    "source_branch": "main",
    "source_directory": "docs/",
    "top_of_page_buttons": ["edit"],
}
# A console block is copied without its prompts and without what the commands print.
copybutton_exclude = ".linenos, .gp, .go"
