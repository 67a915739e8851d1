"""``python -m website``: build the documentation site and check its pages; the exit code is 1 if something is wrong."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from website.pages import check

_ROOT = Path(__file__).resolve().parents[2]
_DOCS = _ROOT / "docs"
_BUILT = _ROOT / ".cache" / "docs"


def main() -> None:
    """Build and check.

    Raises:
        SystemExit: Sphinx has warned, or a page is wrong.
    """
    from sphinx.cmd.build import build_main  # noqa: PLC0415 - it takes a second

    start = time.monotonic()
    pages = _BUILT / "html"
    # Nothing of an earlier build: pages may be gone, and Sphinx does not know on what the generated texts depend.
    shutil.rmtree(_BUILT, ignore_errors=True)
    options = ["--quiet", "--fail-on-warning", "--jobs", "auto", "--doctree-dir", str(_BUILT / "doctrees")]
    if build_main([*options, "--builder", "html", str(_DOCS), str(pages)]):
        sys.exit("The site was not built: see the warnings above.")
    checked = check(pages, private=str(_ROOT))
    if checked.problems:
        sys.exit("\n".join([*checked.problems, f"Problems in the built pages: {len(checked.problems)}"]))
    print(
        f"{checked.pages} pages in {pages.relative_to(_ROOT)}/index.html: {checked.links} links between them lead "
        f"somewhere, {checked.loaded} loaded files are their own. It took {time.monotonic() - start:.0f} s."
    )


if __name__ == "__main__":
    main()
