"""Azurite, Microsoft's local blob storage, for the tests and the demo.

``make test`` and ``make demo`` install it into ``.cache/azurite``; run by hand, ``python scripts/azurite.py`` serves it
until it is interrupted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

from aml_provider.testing import azurite
from aml_provider.testing.azurite import ACCOUNT_KEY, ACCOUNT_NAME, AzuriteError

__all__ = ["ACCOUNT_KEY", "ACCOUNT_NAME", "Azurite", "AzuriteError"]

_CACHE = Path(__file__).resolve().parents[1] / ".cache"


class Azurite(azurite.Azurite):
    """The blob service that is installed into this checkout; its arguments are those of its base."""

    def __init__(self, **options: Any) -> None:
        super().__init__((_node(), str(_main())), **options)


def _main() -> Path:
    main = Path(os.environ.get("AZURITE_MAIN") or _CACHE / "azurite/node_modules/azurite/dist/src/blob/main.js")
    if not main.is_file():
        raise AzuriteError(f"Azurite is not installed ({main} is missing): run `make test` once, it installs it.")
    return main


def _node() -> str:
    linked = _CACHE / "node/bin/node"
    node = str(linked) if linked.exists() else shutil.which("node")
    if node is None:
        raise AzuriteError("Azurite needs Node.js: remove .cache and run `make test`, it installs both.")
    return node


def _serve() -> None:
    with Azurite(log=Path("/dev/stdout")) as azurite:
        print(f"listening on {azurite.blob_endpoint}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _serve()
    sys.exit(0)
