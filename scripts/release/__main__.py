"""Build the package, examine it as PyPI and users would, and leave in ``dist/`` what can be uploaded.

``make release-check`` runs it. It exits with 0, or with a list of what is wrong. It needs no network, apart from
packages that are not in uv's cache yet.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from release.building import BuildError, Built, build_twice
from release.contents import problems_of_sdist, problems_of_wheel
from release.description import examine
from release.installing import describe, import_everything, install
from release.repository import Repository
from release.versions import problems_of_addresses, problems_of_changelog, problems_of_tags, problems_of_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).resolve().parents[2]
_DIST = _ROOT / "dist"
_BUILD = _ROOT / "build"


def main() -> int:
    """Run all checks; returns the exit code."""
    repository = Repository(_ROOT)
    shutil.rmtree(_DIST, ignore_errors=True)
    _BUILD.mkdir(exist_ok=True)
    problems = []
    with tempfile.TemporaryDirectory(dir=_BUILD) as scratch:
        try:
            built = build_twice(repository, Path(scratch), _DIST)
            print(f"release-check of {repository.name} {built.version}", flush=True)
            for title, found in _checks(repository, built, Path(scratch)):
                print(f"  {title:<13} {'; '.join(found) if isinstance(found, list) else found}", flush=True)
                problems += found if isinstance(found, list) else []
        except BuildError as error:
            problems.append(str(error))
    if problems:
        print(f"\n{len(problems)} to correct before {repository.version} can be released:")
        print("\n".join(f"- {problem}" for problem in problems))
        # What was found wrong is not left where an upload would find it.
        shutil.rmtree(_DIST, ignore_errors=True)
        return 1
    print(f"\nReady to be released: {', '.join(str(path.relative_to(_ROOT)) for path in built)}")
    return 0


def _checks(repository: Repository, built: Built, scratch: Path) -> Iterator[tuple[str, str | list[str]]]:
    """Each check's title with its problems, or with a line about what is fine."""
    yield "build", f"twice, with the same bytes: {built.wheel.name}, {built.sdist.name}"

    twine = _run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", built.wheel, built.sdist)
    yield "twine", [f"twine check --strict: {twine}"] if twine else "check --strict passed"

    yield (
        "wheel",
        problems_of_wheel(built.wheel_files, repository.files, built.dist_info)
        or f"{len(built.wheel_files)} files: those of aml_provider/ and its metadata",
    )
    yield (
        "sdist",
        problems_of_sdist(built.sdist_files, repository.files)
        or f"{len(built.sdist_files)} files: the whole repository, so its tests run",
    )

    description = examine(built.description, repository, tag=f"v{built.version}")
    yield (
        "description",
        description.problems
        or f"rendered; {description.inside} links into the repository exist, {description.outside} lead elsewhere",
    )

    versions = problems_of_versions(repository.version, built.versions)
    versions += problems_of_changelog(repository.text("CHANGELOG.md"), repository.version, repository.address)
    versions += problems_of_tags(repository)
    yield "version", versions or f"{repository.version} in package, metadata and changelog"
    yield "addresses", problems_of_addresses(repository) or f"of the repository: {repository.address} everywhere"

    environment = install(built, repository, scratch)
    imported = import_everything(environment, built.version, scratch)
    yield "installed", imported.problems or f"into a fresh environment; all {imported.modules} modules can be imported"

    target = _BUILD / f"{repository.name}-{built.version}.cdx.json"
    sbom = describe(environment, built, repository, target)
    yield "SBOM", sbom.problems or f"{target.relative_to(_ROOT)}: {sbom.components} packages"


def _run(*command: str | Path) -> str:
    """What a command says if it fails; otherwise nothing."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else " ".join((result.stdout + result.stderr).split())


if __name__ == "__main__":
    sys.exit(main())
