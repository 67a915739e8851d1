"""The repository, as Git knows it."""

from __future__ import annotations

import functools
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Repository:
    """A checkout.

    Args:
        root: Its folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @functools.cached_property
    def files(self) -> frozenset[str]:
        """The paths of all files that Git tracks and that are there."""
        tracked = self._git("ls-files", "-z").removesuffix("\0").split("\0")
        return frozenset(path for path in tracked if (self.root / path).is_file())

    @functools.cached_property
    def project(self) -> dict[str, Any]:
        """The table ``[project]`` of pyproject.toml."""
        project: dict[str, Any] = tomllib.loads(self.text("pyproject.toml"))["project"]
        return project

    @property
    def name(self) -> str:
        """The distribution's name."""
        return str(self.project["name"])

    @property
    def address(self) -> str:
        """The repository's address, with which all others are compared."""
        return str(self.project["urls"]["Repository"])

    @functools.cached_property
    def version(self) -> str:
        """The version in the source."""
        found = re.search(r'^__version__ = "(.+)"$', self.text("aml_provider/__init__.py"), re.MULTILINE)
        assert found
        return found[1]

    @functools.cached_property
    def time(self) -> str:
        """The time of the last commit, in seconds since 1970."""
        return self._git("log", "-1", "--format=%ct").strip()

    @functools.cached_property
    def tags(self) -> list[str]:
        """The tags of versions on the last commit."""
        return self._git("tag", "--points-at", "HEAD", "--list", "v*").split()

    @functools.cached_property
    def changed(self) -> list[str]:
        """The files that differ from the last commit."""
        return [line[3:] for line in self._git("status", "--porcelain").splitlines()]

    def text(self, path: str) -> str:
        """The text of a file."""
        return (self.root / path).read_text(encoding="utf-8")

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
