"""Version, changelog and addresses agree; what does not is named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from release.repository import Repository
from release.versions import problems_of_addresses, problems_of_changelog, problems_of_tags, problems_of_versions

HOME = "https://github.com/owner/project"
CHANGELOG = f"""# Changelog

## [1.1] - unreleased

## [1.0] - 2026-11-29

[1.1]: {HOME}/releases/tag/v1.1
[1.0]: {HOME}/releases/tag/v1.0
"""


def test_our_own_changelog_begins_with_our_version():
    """What `make release-check` also says, found out by the suite already."""
    ours = Repository(Path(__file__).parents[3])
    assert problems_of_changelog(ours.text("CHANGELOG.md"), ours.version, ours.address) == []


def test_a_changelog_with_released_and_unreleased_versions_is_right():
    assert problems_of_changelog(CHANGELOG, "1.1", HOME) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("[1.1] - unreleased", "Unreleased", "the changelog's heading 'Unreleased' is not '[version] - date'"),
        ("2026-11-29", "unreleased", "the changelog's date of 1.0 is unreleased"),
        ("2026-11-29", "2026-11-31", "the changelog's date of 1.0 is 2026-11-31"),
        ("## [1.0]", "## [1.2]", "the changelog's versions are not in order, the newest first"),
        ("## [1.1]", "## [1.x]", "the changelog has 1.x, which is not a version"),
        ("tag/v1.0", "tag/1.0", "the changelog has no link for 1.0 to its release"),
        (HOME, "https://github.com/other/project", "the changelog has no link for 1.1 to its release"),
    ],
)
def test_a_mistake_in_a_changelog_is_named(old, new, problem):
    assert problem in problems_of_changelog(CHANGELOG.replace(old, new), "1.1", HOME)


def test_a_changelog_without_the_version_is_named():
    assert problems_of_changelog(CHANGELOG, "1.2", HOME) == ["the changelog begins with 1.1, not with 1.2"]
    assert problems_of_changelog("", "1.2", HOME) == ["the changelog begins with no version, not with 1.2"]


def test_a_place_with_another_version_is_named():
    assert problems_of_versions("1.1", {"the wheel": "1.1"}) == []
    assert problems_of_versions("1.1", {"the wheel": "1.0"}) == ["the wheel has version 1.0, the source 1.1"]


@pytest.fixture
def checkout(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("an unpacked sdist needs no Git, so this machine may have none")
    (tmp_path / "aml_provider").mkdir()
    (tmp_path / "aml_provider/__init__.py").write_text('__version__ = "1.1"\n')
    (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "project"\nurls.Repository = "{HOME}"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "--quiet")
    return commit(tmp_path)


def git(folder, *arguments):
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True)


def commit(folder):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A commit")
    return Repository(folder)


def test_a_commit_without_a_tag_needs_no_date(checkout):
    assert problems_of_tags(checkout) == []


def test_a_commit_with_a_tag_is_the_version_with_a_date_and_nothing_else(checkout):
    git(checkout.root, "tag", "v1.2")
    (checkout.root / "stray").touch()
    assert problems_of_tags(checkout) == [
        "the commit has the tag v1.2, the version is 1.1",
        "the commit has a tag, but the changelog calls 1.1 unreleased",
        "the commit has a tag, but files differ from it: stray",
    ]


def test_a_commit_that_can_be_released(checkout):
    (checkout.root / "CHANGELOG.md").write_text(CHANGELOG.replace("unreleased", "2026-12-01"))
    released = commit(checkout.root)
    git(released.root, "tag", "v1.1")
    assert released.tags == ["v1.1"]
    assert problems_of_tags(released) == []


def test_another_address_of_the_repository_is_named(checkout):
    assert problems_of_addresses(checkout) == []
    (checkout.root / "SECURITY.md").write_text(
        "https://github.com/someone/project/security, github.com/owner/project-b"
    )
    assert problems_of_addresses(commit(checkout.root)) == [
        "SECURITY.md has the address github.com/someone/project, pyproject.toml github.com/owner/project"
    ]
