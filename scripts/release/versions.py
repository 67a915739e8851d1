"""The version, the changelog and the repository's address: each is written in several places, which must agree."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from release.repository import Repository

#: In the changelog, the date of a version that is still to be released.
_UNRELEASED = "unreleased"
_HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
_VERSION = re.compile(r"\[([^]]+)\] - (\S+)")


def problems_of_versions(version: str, places: Mapping[str, str]) -> list[str]:
    """The places with another version than the source."""
    return [f"{place} has version {other}, the source {version}" for place, other in places.items() if other != version]


def problems_of_changelog(changelog: str, version: str, address: str) -> list[str]:
    """The mistakes in the changelog's headings.

    Args:
        changelog: Its text.
        version: The version of the source, which must be the first one.
        address: The repository's address.
    """
    problems, listed = [], []
    for heading in _HEADING.findall(changelog):
        parts = _VERSION.fullmatch(heading)
        if parts is None:
            problems.append(f"the changelog's heading {heading!r} is not '[version] - date'")
            continue
        try:
            listed.append(Version(parts[1]))
            if parts[2] != _UNRELEASED or len(listed) > 1:
                date.fromisoformat(parts[2])
        except InvalidVersion:
            problems.append(f"the changelog has {parts[1]}, which is not a version")
        except ValueError:
            problems.append(f"the changelog's date of {parts[1]} is {parts[2]}")
        if f"\n[{parts[1]}]: {address}/releases/tag/v{parts[1]}\n" not in f"{changelog}\n":
            problems.append(f"the changelog has no link for {parts[1]} to its release")
    if listed != sorted(set(listed), reverse=True):
        problems.append("the changelog's versions are not in order, the newest first")
    if listed[:1] != [Version(version)]:
        problems.append(f"the changelog begins with {listed[0] if listed else 'no version'}, not with {version}")
    return problems


def problems_of_tags(repository: Repository) -> list[str]:
    """The mistakes of a commit that is tagged as a release; without a tag there are none."""
    if not repository.tags:
        return []
    problems = [
        f"the commit has the tag {tag}, the version is {repository.version}"
        for tag in repository.tags
        if tag != f"v{repository.version}"
    ]
    if _HEADING.findall(repository.text("CHANGELOG.md"))[:1] == [f"[{repository.version}] - {_UNRELEASED}"]:
        problems.append(f"the commit has a tag, but the changelog calls {repository.version} {_UNRELEASED}")
    if repository.changed:
        problems.append(f"the commit has a tag, but files differ from it: {', '.join(repository.changed)}")
    return problems


def problems_of_addresses(repository: Repository) -> list[str]:
    """The files that name the repository by another address than pyproject.toml's ``Repository``."""
    ours = repository.address.removeprefix("https://")
    written = re.compile(rf"github\.com/[\w.-]+/{re.escape(repository.name)}\b(?!-)")
    problems = []
    for path in sorted(repository.files):
        content = (repository.root / path).read_bytes()
        found = set(written.findall(content.decode("utf-8", errors="replace"))) - {ours}
        problems += [f"{path} has the address {address}, pyproject.toml {ours}" for address in sorted(found)]
    return problems
