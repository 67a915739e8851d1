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
from typing import TYPE_CHECKING, NamedTuple

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


class _Check(NamedTuple):
    """A check and its result.

    Attributes:
        title: A word for it.
        problems: What is wrong.
        fine: A line for the case that nothing is.
    """

    title: str
    problems: list[str]
    fine: str


def main() -> int:
    """Run all checks; returns the exit code."""
    repository = Repository(_ROOT)
    if not (_ROOT / ".git").exists():
        print("The package is compared with the files that Git tracks, so this needs a checkout.")
        return 1
    shutil.rmtree(_DIST, ignore_errors=True)
    _BUILD.mkdir(exist_ok=True)
    problems: list[str] = []
    with tempfile.TemporaryDirectory(dir=_BUILD) as scratch:
        try:
            built = build_twice(repository, Path(scratch), _DIST)
            print(f"release-check of {repository.name} {built.version}", flush=True)
            for check in _checks(repository, built, Path(scratch)):
                result = f"WRONG: {len(check.problems)}" if check.problems else check.fine
                print(f"  {check.title:<13} {result}", flush=True)
                problems += check.problems
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


def _checks(repository: Repository, built: Built, scratch: Path) -> Iterator[_Check]:
    fine = f"twice, with the same bytes: {built.wheel.name}, {built.sdist.name}"
    yield _Check("build", [], fine)

    problems = _complaints(sys.executable, "-m", "twine", "--no-color", "check", "--strict", built.wheel, built.sdist)
    yield _Check("twine", problems, "check --strict passed")

    problems = problems_of_wheel(built.wheel_files, repository.files, built.dist_info)
    yield _Check("wheel", problems, f"{len(built.wheel_files)} files: those of aml_provider/ and its metadata")

    problems = problems_of_sdist(built.sdist_files, repository.files)
    yield _Check("sdist", problems, f"{len(built.sdist_files)} files: the whole repository, so its tests run")

    page = examine(built.description, repository, tag=f"v{built.version}")
    fine = f"rendered; {page.inside} links into the repository exist, {page.outside} lead elsewhere"
    yield _Check("description", page.problems, fine)

    problems = problems_of_versions(repository.version, built.versions)
    problems += problems_of_changelog(repository.text("CHANGELOG.md"), repository.version, repository.address)
    problems += problems_of_tags(repository)
    yield _Check("version", problems, f"{repository.version} in source, metadata and changelog")
    yield _Check("addresses", problems_of_addresses(repository), f"of the repository: {repository.address}")

    environment = install(built, repository, scratch)
    imported = import_everything(environment, built.version, scratch)
    fine = f"into a fresh environment; all {imported.modules} modules can be imported"
    yield _Check("installed", imported.problems, fine)

    target = _BUILD / f"{repository.name}-{built.version}.cdx.json"
    sbom = describe(environment, built, repository, target)
    yield _Check("SBOM", sbom.problems, f"{target.relative_to(_ROOT)}: {sbom.components} packages")


def _complaints(*command: str | Path) -> list[str]:
    """The output of a command that fails; otherwise nothing."""
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return [(result.stdout + result.stderr).strip()] if result.returncode else []


if __name__ == "__main__":
    sys.exit(main())
