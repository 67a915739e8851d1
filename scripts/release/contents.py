"""The files that wheel and sdist must have: exactly those."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Beside the package, a wheel has these in its folder of metadata.
_METADATA = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
#: What belongs into no package, not even if it was committed.
_NEVER = re.compile(r"(^|/)(__pycache__|node_modules|\.venv[^/]*|\.env|\.pypirc)(/|$)|\.(pyc|pyo|so|log|db|pem|key)$")


def problems_of_wheel(files: frozenset[str], tracked: frozenset[str], dist_info: str) -> list[str]:
    """The files that a wheel lacks, and those that it should not have.

    Args:
        files: The wheel's files.
        tracked: The repository's files.
        dist_info: The wheel's folder of metadata.
    """
    package = {path for path in tracked if path.startswith("aml_provider/")}
    return _differences(
        "wheel", files, {*package, *(f"{dist_info}/{name}" for name in _METADATA)}, "of the repository's package"
    )


def problems_of_sdist(files: frozenset[str], tracked: frozenset[str]) -> list[str]:
    """The files that an sdist lacks, and those that it should not have.

    It is the whole repository, so that its tests run.

    Args:
        files: The sdist's files, below its folder.
        tracked: The repository's files.
    """
    return _differences("sdist", files, {*tracked, "PKG-INFO"}, "of the repository")


def _differences(kind: str, files: frozenset[str], expected: Iterable[str], origin: str) -> list[str]:
    wanted = frozenset(expected)
    return [
        *(f"the {kind} lacks {path}" for path in sorted(wanted - files)),
        *(f"the {kind} has {path}, which is not {origin}" for path in sorted(files - wanted)),
        *(f"the {kind} has {path}, which belongs into no package" for path in sorted(files) if _NEVER.search(path)),
    ]
